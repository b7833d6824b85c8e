"""The lab's AWS: moto in a long-lived process, extended and corrected; what it wants is made real by reconcilers.

What must be set before moto is imported is set here.
"""

from __future__ import annotations

import functools
import os

from botocore import loaders

os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")

# Every session reads and keeps its own copy of each service's description: 50 MB and a second for that of EC2 alone.
loaders.create_loader = functools.cache(loaders.create_loader)
