"""The program in a helper (chaos/helper.py): it acts on one container of one pod, from beside it on the same node.

These files are all that ever runs with a helper's rights. They are handed over as text: any image with a Python from
3.9 on will do, so nothing but the standard library is used.

Nothing that it does outlives it, however it ends. Its processes inside the container are killed by the kernel with it;
the network device through which it leads a pod's packets goes with it, and all routes to that device with the device.
"""
