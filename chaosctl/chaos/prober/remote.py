"""What tells a lost network of the tester from a lost service: a place beside the service, asked by name.

The prober's own server on the loopback answers also when the uplink, the VPN or the resolver is dead. This does not.
"""

from __future__ import annotations

import ssl

from chaosctl.chaos import requests as r
from chaosctl.chaos.prober import http1
from chaosctl.chaos.prober.stream import Stream

REMOTE_RATE = 2.0  # requests a second: each is a TLS handshake, for both sides


class AnyAnswer(Stream):
    """Whoever answers was reached: that nobody may ask without credentials (401, 403) is an answer too."""

    def judge(self, response: http1.Response) -> str:
        """See Stream."""
        return r.OK


def any_certificate() -> ssl.SSLContext:
    """No secret is sent and no answer is believed, so it does not matter who vouches for that place."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
