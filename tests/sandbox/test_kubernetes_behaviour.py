from __future__ import annotations

import pytest

from sandbox.kubernetes.behaviour import Behaviour, FaultError, parse_faults


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("", "production", Behaviour()),
        ("production:errors=5%", "production", Behaviour(error_share=0.05)),
        ("production:errors=5%", "staging", Behaviour()),
        ("errors=0.5%", "staging", Behaviour(error_share=0.005)),
        ("production:latency=3x, staging:crash", "production", Behaviour(latency_factor=3)),
        ("production:latency=3x, staging:crash", "staging", Behaviour(crash=True)),
        (
            "staging:unready,staging:slow-start=5s",
            "staging",
            Behaviour(unready=True, slow_start_seconds=5),
        ),
        ("staging:oom", "staging", Behaviour(oom=True)),
    ],
)
def test_faults_hold_in_the_environment_they_name(
    text: str, environment: str, expected: Behaviour
) -> None:
    assert parse_faults(text, environment) == expected


@pytest.mark.parametrize("text", ["production:explode", "errors=5", "latency=x", "a:"])
def test_a_fault_that_cannot_be_read_is_named_with_the_known_ones(text: str) -> None:
    with pytest.raises(FaultError, match="known: errors=5%"):
        parse_faults(text, "production")
