"""For every test: requests of our clients are seen, and in CI nothing is left out."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ("tests.contract.recording",)

# How long an example takes says more of the machine's other work than of the code.
settings.register_profile("tidegate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tidegate")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of `-n auto`: the tests wait for half of their time, for clocks and other processes."""
    known = hasattr(os, "sched_getaffinity")  # not on macOS
    return 2 * (len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A part that is missing here is a reason to skip; in CI it is a failure with that reason."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"in CI a missing part is a failure: {reason}"
    return report
