"""The lab's stand-in for the Kubernetes Cluster Autoscaler: a pod that resizes auto scaling groups.

What it decides by is less than the real one, which asks a copy of the scheduler: processors, memory, number of pods,
node selectors and taints. A pod that would fit by these, and waits for something else (affinity, spreading), gets no
node.
"""
