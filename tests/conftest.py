"""For all tests."""

import signal

# A shell starts what it puts into the background with Ctrl-C ignored, and programs inherit that. The tests of Ctrl-C
# must not depend on how the tests themselves were started.
signal.signal(signal.SIGINT, signal.default_int_handler)
