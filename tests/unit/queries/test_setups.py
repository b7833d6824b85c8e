from __future__ import annotations

import pytest

from chaosctl.cli.cost import report
from chaosctl.config import InfraSettings
from chaosctl.queries.costs import load, total
from chaosctl.queries.setups import HIGHLY_AVAILABLE, SMALL, Setup, Usage, fixed, priced, setups, trade_offs
from chaosctl.ui.render import report_text

PRICES = load(None)
NOTHING = Usage(0, 0, 0, 0, 0)


def test_the_set_ups_differ_by_what_their_settings_say() -> None:
    small, large = (priced(setup, NOTHING, PRICES) for setup in (SMALL, HIGHLY_AVAILABLE))
    gateways = [next(i.count for i in bill.fixed if i.what == "NAT gateway") for bill in (small, large)]
    nodes = [next(i.count for i in bill.fixed if i.what == "node t3.medium") for bill in (small, large)]
    assert (gateways, nodes) == ([1, 3], [2, 3])
    assert total(small.fixed) < total(large.fixed)
    assert total(small.used) == total(large.used) == 0


def test_the_configured_set_up_is_shown_when_it_is_another_one() -> None:
    assert setups(InfraSettings()) == [SMALL, HIGHLY_AVAILABLE]
    other = InfraSettings(node_desired_size=4)
    assert setups(other)[2] == Setup("as configured", other)


def test_traffic_crosses_zones_only_to_a_single_gateway() -> None:
    usage = Usage(0, 30, 0, 0)
    crossing = [
        {i.what: i.count for i in priced(setup, usage, PRICES).used}["GB of it between zones"]
        for setup in (SMALL, HIGHLY_AVAILABLE)
    ]
    assert crossing == [15, 0]


@pytest.mark.parametrize(("gigabytes", "dollars"), [(99, 0), (200, 9)])
def test_the_first_hundred_gigabytes_to_users_are_free(gigabytes: float, dollars: float) -> None:
    assert total(priced(SMALL, Usage(0, 0, gigabytes, 0, 0), PRICES).used) == dollars


def observed(setup: Setup, usage: Usage) -> tuple[str, float]:
    [(what, count)] = [(i.what, i.count) for i in priced(setup, usage, PRICES).used if "observations" in i.what]
    return what, count


def test_what_container_insights_observes_is_estimated_unless_somebody_knows() -> None:
    what, small = observed(SMALL, Usage())
    # 20 pods, 22 containers, 2 nodes and the cluster, each minute of a month
    assert small == round((20 * 36 + 22 * 8 + 2 * 24 + 50) * 43_800 / 1e6, 1)
    assert what.endswith("(estimate)")
    assert observed(HIGHLY_AVAILABLE, Usage())[1] > small
    assert observed(SMALL, Usage(observations=7)) == ("million observations", 7)


def test_a_trade_off_costs_what_the_bill_says() -> None:
    offs = {t.choice.split(" (")[0]: t.dollars for t in trade_offs(PRICES)}
    third = total(fixed(InfraSettings(), PRICES, nodes=3)) - total(fixed(InfraSettings(), PRICES))
    assert offs["a third node"] == pytest.approx(third, abs=0.01)
    gateways = total(fixed(InfraSettings(single_nat_gateway=False), PRICES)) - total(fixed(InfraSettings(), PRICES))
    assert offs["a NAT gateway in each zone"] == pytest.approx(gateways, abs=0.01)


def test_the_report_names_set_ups_totals_and_what_it_leaves_out() -> None:
    bills = [priced(setup, Usage(), PRICES) for setup in setups(InfraSettings())]
    told = report(bills, Usage(), PRICES)
    text = report_text(told)
    for setup, bill in zip(told.data["setups"], bills, strict=True):
        assert setup["total"] == total([*bill.fixed, *bill.used])
        assert f"{setup['total']:.2f}" in text
    assert "Not counted" in text and str(PRICES.collected) in text
