"""JUnit and Cobertura files -> what the gate needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

from clients.processes import Finished
from domain.checks import UnitTestReport
from domain.quantities import format_share


def summarise_tests(
    files: Mapping[str, bytes], wanted_coverage: float, finished: Finished
) -> UnitTestReport:
    """Join `junit.xml` and `coverage.xml`; a missing or unreadable JUnit report is a failed run.

    Formats: the JUnit XML that pytest, gotestsum and Surefire write; Cobertura's coverage-04.
    """
    try:
        tests, failed = _junit(files.get("junit.xml"))
        coverage = _coverage(files.get("coverage.xml"))
    except ElementTree.ParseError as error:
        return _unusable(f"a test report is not XML: {error}")
    if tests == 0:
        return _unusable(f"the unit tests reported no test: {finished.complaint or 'no output'}")
    problem = ""
    if finished.exit_code != 0 and not failed:
        problem = f"the unit tests ended with exit code {finished.exit_code}: {finished.complaint}"
    elif coverage is None and wanted_coverage > 0:
        problem = "the unit tests wrote no coverage report ({coverage} in the plan's command)"
    elif coverage is not None and coverage < wanted_coverage:
        problem = (
            f"coverage {format_share(round(coverage, 4))} is below the plan's "
            f"{format_share(wanted_coverage)}"
        )
    return UnitTestReport(
        tests=tests,
        failures=len(failed),
        coverage=coverage,
        failed_names=tuple(failed[:50]),
        problem=problem,
    )


def no_tests(wanted_coverage: float) -> UnitTestReport:
    """The report of a plan without unit tests; it passes only where no coverage is wanted."""
    problem = ""
    if wanted_coverage > 0:
        problem = (
            f"the plan wants {format_share(wanted_coverage)} of lines covered and has no unit "
            "tests; give `tests.unit` the command that runs them"
        )
    return UnitTestReport(tests=0, failures=0, coverage=None, problem=problem)


def _junit(content: bytes | None) -> tuple[int, list[str]]:
    if content is None:
        return 0, []
    # The service's own test run wrote it in this very sandboxed checkout.
    cases = ElementTree.fromstring(content).findall(".//testcase")  # noqa: S314
    failed = [
        f"{case.get('classname', '')}.{case.get('name', '')}".lstrip(".")
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    ]
    return len(cases), failed


def _coverage(content: bytes | None) -> float | None:
    if content is None:
        return None
    rate = ElementTree.fromstring(content).get("line-rate")  # noqa: S314
    return None if rate is None else float(rate)


def _unusable(problem: str) -> UnitTestReport:
    return UnitTestReport(tests=0, failures=0, coverage=None, problem=problem)
