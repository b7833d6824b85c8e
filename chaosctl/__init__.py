"""chaosctl: deploy an unstable backend to EKS, break it on purpose, say honestly whether users noticed."""

__version__ = "0.1.0"
