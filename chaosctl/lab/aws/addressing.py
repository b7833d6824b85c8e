"""Which addresses of a subnet are free: single ones are taken from below, /28 prefixes for pods from above.

Both for AWS's reasons (a prefix needs an aligned block) and for the lab's: an address is not given out again soon, so
that a replaced node gets a new name, as it nearly always does on AWS.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

PREFIX_LENGTH = 28
RESERVED = 4  # network, router, resolver and the one for future use, where the lab's control planes listen


class SubnetFull(Exception):
    """No address, or no block of addresses, is left."""


def usable(subnet: IPv4Network) -> tuple[int, int]:
    """First and last address of the subnet that may be given out, as numbers."""
    return int(subnet.network_address) + RESERVED, int(subnet.broadcast_address) - 1


def next_address(subnet: IPv4Network, taken: Iterable[str], prefixes: Iterable[str], last: str | None = None) -> str:
    """The first free address after `last`, the one given out before; starts again at the bottom. Raises SubnetFull."""
    first, end = usable(subnet)
    used = {int(IPv4Address(address)) for address in taken}
    blocks = [IPv4Network(prefix) for prefix in prefixes]
    begin = first if last is None else int(IPv4Address(last)) + 1
    for number in (*range(begin, end + 1), *range(first, min(begin, end + 1))):
        if number not in used and not any(IPv4Address(number) in block for block in blocks):
            return str(IPv4Address(number))
    raise SubnetFull(str(subnet))


def free_prefixes(subnet: IPv4Network, taken: Iterable[str], prefixes: Iterable[str]) -> Iterator[str]:
    """Free /28 blocks, the highest first, that hold no reserved address, no address in `taken`, none of `prefixes`."""
    first, end = usable(subnet)
    used = {IPv4Address(address) for address in taken}
    blocks = {IPv4Network(prefix) for prefix in prefixes}
    size = 2 ** (32 - PREFIX_LENGTH)
    top = int(subnet.broadcast_address) + 1 - size
    for number in range(top, int(subnet.network_address) - 1, -size):
        block = IPv4Network((number, PREFIX_LENGTH))
        if number < first or number + size - 1 > end or block in blocks:
            continue
        if not any(address in block for address in used):
            yield str(block)
