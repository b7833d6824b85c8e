"""PodDisruptionBudgets as Hypothesis makes them, for the properties of plans."""

from __future__ import annotations

from hypothesis import strategies as st

from chaosctl.chaos.cluster import DisruptionBudget

budgets = st.lists(
    st.builds(
        DisruptionBudget,
        name=st.just("pdb"),
        match_labels=st.sampled_from([{}, {"app.kubernetes.io/instance": "shop"}, {"x": "y"}]),
        match_expressions=st.just(()),
        disruptions_allowed=st.integers(0, 5),
    ),
    max_size=2,
)
