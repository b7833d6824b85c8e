from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosctl.chaos.verdict import Facts, Verdict, judge
from chaosctl.errors import ExitStatus

FINE = Facts(planned=2, gone=2)
some_text = st.sampled_from(["", "because"])
reasons = st.sampled_from([(), ("because",)])


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, Verdict.PASS),
        ({"breaches": ("b",)}, Verdict.SLO_BREACHED),
        ({"unrecovered": ("u",), "breaches": ("b",)}, Verdict.NOT_RECOVERED),
        ({"gone": 0, "unrecovered": ("u",)}, Verdict.NO_EFFECT),
        ({"gone": 1}, Verdict.INVALID),
        ({"gone": 1, "breaches": ("b",)}, Verdict.SLO_BREACHED),
        ({"gone": 1, "stopped": True, "breaches": ("b",)}, Verdict.SLO_BREACHED),
        ({"stopped": True}, Verdict.INVALID),
        ({"invalid": ("i",), "gone": 0}, Verdict.INVALID),
        ({"unsteady": "n", "gone": 0, "invalid": ("i",)}, Verdict.NOT_STEADY),
        ({"interrupted": "c", "invalid": ("i",)}, Verdict.ABORTED),
        ({"refused": "r", "gone": 0}, Verdict.REFUSED),
        ({"not_undone": "n"}, Verdict.NOT_RECOVERED),
        ({"not_undone": "n", "gone": 0}, Verdict.NOT_RECOVERED),
        ({"not_undone": "n", "invalid": ("i",)}, Verdict.NOT_RECOVERED),
        ({"not_undone": "n", "refused": "r", "gone": 0}, Verdict.NOT_RECOVERED),
        ({"not_undone": "n", "interrupted": "c"}, Verdict.ABORTED),
    ],
)
def test_precedence(change: dict[str, object], verdict: Verdict) -> None:
    assert judge(replace(FINE, **change))[0] is verdict  # type: ignore[arg-type]


@given(
    st.builds(
        Facts,
        refused=some_text,
        interrupted=some_text,
        unsteady=some_text,
        planned=st.integers(1, 3),
        gone=st.integers(0, 3),
        stopped=st.booleans(),
        invalid=reasons,
        not_undone=some_text,
        unrecovered=reasons,
        breaches=reasons,
    )
)
def test_it_passes_only_if_a_victim_is_gone_and_nothing_is_wrong(facts: Facts) -> None:
    verdict, why = judge(facts)
    assert (verdict is Verdict.PASS) == (not why)
    if verdict is Verdict.PASS:
        assert facts.gone >= 1
        assert not any((facts.refused, facts.interrupted, facts.unsteady, facts.invalid, facts.unrecovered))
        assert not facts.breaches and not facts.not_undone and (facts.gone == facts.planned or facts.stopped)


def test_an_undo_that_failed_is_always_told() -> None:
    _, why = judge(replace(FINE, not_undone="forbidden", interrupted="in the gate; nothing had been killed"))
    assert why == ("in the gate; nothing had been killed", "the fault could not be undone: forbidden")


def test_everything_else_that_is_wrong_is_told_too() -> None:
    assert judge(replace(FINE, unrecovered=("u",), breaches=("b",)))[1] == ("u", "b")


def test_each_verdict_has_an_exit_status_of_its_own() -> None:
    assert len({verdict.status for verdict in Verdict}) == len(Verdict)
    assert Verdict.PASS.status is ExitStatus.OK
    assert all(verdict.words for verdict in Verdict)
