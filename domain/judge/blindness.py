"""The sentence of a hold in which nobody sees the canary: which arm, on what, for how long."""

from __future__ import annotations

from domain.judge.case import Case
from domain.judge.sentences import spoken


def no_data(case: Case, silent: list[str]) -> str:
    """Held because the metrics source is silent."""
    longest, arms = max(map(case.silence, silent)), " and ".join(case.dark())
    allowed = case.rules.silent_after
    lasting = f"more than {spoken(allowed)}" if longest > allowed else spoken(longest)
    return (
        f"Holding: no data on {', '.join(silent)}{arms and f' of the {arms}'} for {lasting}: no"
        " evidence either way; next: look whether the metrics source is up and scrapes the pods of"
        " both arms"
    )
