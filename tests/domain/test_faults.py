"""The grammar of declared faults."""

from __future__ import annotations

import pytest

from domain.faults import Fault, FaultError, FaultKind, parse_all


@pytest.mark.parametrize(
    ("text", "environment", "kind", "value", "from_weight"),
    [
        ("production:errors=2%@50%", "production", FaultKind.ERRORS, 0.02, 50),
        ("errors=0.5%", "", FaultKind.ERRORS, 0.005, 0),
        ("staging:latency=3x", "staging", FaultKind.LATENCY, 3, 0),
        ("production:latency=1.5x@10%", "production", FaultKind.LATENCY, 1.5, 10),
        ("production:leak=10m", "production", FaultKind.LEAK, 600, 0),
        ("leak=90s", "", FaultKind.LEAK, 90, 0),
        ("leak=2h", "", FaultKind.LEAK, 7200, 0),
        ("staging: slow-start=5s", "staging", FaultKind.SLOW_START, 5, 0),
        ("staging:crash", "staging", FaultKind.CRASH, 0, 0),
        ("unready", "", FaultKind.UNREADY, 0, 0),
        ("oom", "", FaultKind.OOM, 0, 0),
    ],
)
def test_a_fault_says_where_what_and_from_which_weight(
    text: str, environment: str, kind: FaultKind, value: float, from_weight: float
) -> None:
    fault = Fault.parse(text)
    assert fault == Fault(environment=environment, kind=kind, value=value, from_weight=from_weight)
    again = Fault.parse(f"{environment}:{fault}" if environment else str(fault))
    assert again == fault


@pytest.mark.parametrize(
    "text",
    [
        "",
        "production:",
        "production:explode",
        "errors",
        "errors=5",
        "errors=5%@101%",
        "errors=5%@",
        "latency=x",
        "crash=1",
        "crash@50%",
        "leak=10m@50%",
        "leak=10",
        "a:b:crash",
    ],
)
def test_what_is_no_fault_is_named_with_the_known_ones(text: str) -> None:
    with pytest.raises(FaultError, match="known: errors=5%, latency=3x, leak=10m"):
        Fault.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "errors=101%",
        "errors=" + "9" * 400 + "%",
        "production:latency=0x",
        "latency=0.001x",
        "latency=1001x",
        "leak=0s",
        "leak=721h",
        "slow-start=864001s",
    ],
)
def test_a_fault_that_nobody_could_see_is_refused_with_its_bounds(text: str) -> None:
    with pytest.raises(FaultError, match=r"is out of bounds: [a-z-]+ is from .* to "):
        Fault.parse(text)


def test_a_list_may_have_spaces_and_ends() -> None:
    assert [str(one) for one in parse_all(" crash, errors=1% ,")] == ["crash", "errors=1%"]
