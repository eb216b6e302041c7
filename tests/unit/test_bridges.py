"""Networks of a Docker engine for one task each get addresses also when the engine's own pools are used up."""

from __future__ import annotations

import ipaddress

import pytest

from tcbox import errors
from tcbox.workers import bridges


async def test_other_addresses_when_the_engines_own_are_used_up():
    """The engine chooses first; then networks of sixteen are tried that lead nowhere outside, until one is free."""
    asked = []

    async def make(addresses: dict[str, str]) -> str:
        asked.append(addresses)
        if len(asked) == 1:
            raise errors.TcboxError("could not find an available, non-overlapping IPv4 address pool among the defaults")
        if len(asked) < 4:
            raise errors.TcboxError("Pool overlaps with other one on this address space")
        return "made"

    assert await bridges.made(make) == "made"
    assert asked[0] == {}
    for each in asked[1:]:
        subnet = ipaddress.ip_network(each["Subnet"])
        assert (subnet.prefixlen, subnet.subnet_of(ipaddress.ip_network("198.18.0.0/15"))) == (28, True)
        assert ipaddress.ip_address(each["Gateway"]) in subnet


@pytest.mark.parametrize(("says", "tries"), [("permission denied", 1), ("all predefined address pools have been fully subnetted", 12)])
async def test_what_the_engine_refuses(says, tries):
    """Another refusal is handed on at once, and one for want of addresses after a dozen tries."""
    asked = []

    async def make(addresses: dict[str, str]) -> None:
        asked.append(addresses)
        raise errors.TcboxError(says)

    with pytest.raises(errors.TcboxError, match=says):
        await bridges.made(make)
    assert len(asked) == tries


@pytest.mark.parametrize(
    ("configs", "found"),
    [
        ([{"Subnet": "fd00::/64", "Gateway": "fd00::1"}, {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1"}], ("172.18.0.1", "172.18.0.0/16")),
        ([{"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1/16"}], ("172.18.0.1", "172.18.0.0/16")),
        ([{"Subnet": "fd00::/64", "Gateway": "fd00::1"}], None),
        ([{"Subnet": "172.18.0.0/16"}], None),
        ([], None),
    ],
)
def test_where_this_machine_is_on_a_network(configs, found):
    """It is the first gateway with an IPv4 address."""
    assert bridges.ends(configs) == found
