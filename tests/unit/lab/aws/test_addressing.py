from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from itertools import islice

import pytest

from chaosctl.lab.aws.addressing import SubnetFull, free_prefixes, next_address

SUBNET = IPv4Network("10.0.1.0/24")


def test_the_first_address_is_after_the_reserved_ones() -> None:
    assert next_address(SUBNET, [], []) == "10.0.1.4"


def test_addresses_are_not_given_out_again_at_once() -> None:
    assert next_address(SUBNET, [], [], last="10.0.1.9") == "10.0.1.10"


def test_after_the_last_address_it_starts_again_without_the_reserved_ones() -> None:
    assert next_address(SUBNET, [], [], last="10.0.1.254") == "10.0.1.4"


def test_taken_addresses_and_prefixes_are_skipped() -> None:
    assert next_address(SUBNET, ["10.0.1.4"], ["10.0.1.0/28"]) == "10.0.1.16"


def test_a_full_subnet_is_an_error() -> None:
    with pytest.raises(SubnetFull):
        next_address(IPv4Network("10.0.1.0/28"), [f"10.0.1.{n}" for n in range(4, 15)], [])


def test_prefixes_come_from_above_and_spare_the_reserved_addresses() -> None:
    blocks = list(free_prefixes(SUBNET, [], []))
    assert blocks[0] == "10.0.1.224/28"  # the block above it holds the subnet's last address
    assert blocks[-1] == "10.0.1.16/28"  # the block below it holds the first four
    assert len(blocks) == 14


def test_prefixes_hold_no_taken_address_and_no_other_prefix() -> None:
    taken, given = ["10.0.1.230", "10.0.1.200"], ["10.0.1.208/28"]
    for block in map(IPv4Network, islice(free_prefixes(SUBNET, taken, given), 5)):
        assert not any(IPv4Address(address) in block for address in taken)
        assert str(block) not in given
