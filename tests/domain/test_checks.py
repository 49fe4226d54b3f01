"""HTTP checks and test reports: what passes, and what people read when it does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.checks import (
    CheckResult,
    ChecksReport,
    HttpAnswer,
    HttpCheck,
    UnitTestReport,
    evaluate,
)

CHECK = HttpCheck(path="/albums", contains='"items"', within=timedelta(milliseconds=300))
GOOD = HttpAnswer(status=200, body='{"items": []}', elapsed=timedelta(milliseconds=20))


def test_the_expected_answer_passes() -> None:
    result = evaluate(CHECK, GOOD)
    assert (result.problem, result.status, result.elapsed) == ("", 200, GOOD.elapsed)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (GOOD.with_(status=503), "answered 503, expected 200"),
        (GOOD.with_(body="{}"), "body does not contain '\"items\"'"),
        (GOOD.with_(elapsed=timedelta(seconds=2)), "took 2s, limit 0.3s"),
        (GOOD.with_(status=500, body="", elapsed=timedelta(9)), "answered 500, expected 200"),
    ],
)
def test_the_first_difference_is_the_problem(answer: HttpAnswer, problem: str) -> None:
    assert evaluate(CHECK, answer).problem == problem


@given(
    st.builds(HttpCheck, path=st.just("/"), status=st.integers(100, 599)),
    st.integers(100, 599),
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(seconds=3)),
)
def test_a_check_passes_exactly_when_status_and_time_are_as_wanted(
    check: HttpCheck, status: int, elapsed: timedelta
) -> None:
    result = evaluate(check, HttpAnswer(status=status, body="", elapsed=elapsed))
    assert (result.problem == "") is (status == check.status and elapsed <= check.within)


def test_a_path_alone_is_a_check_for_200_within_a_second() -> None:
    assert HttpCheck.model_validate("/health") == HttpCheck(
        path="/health", status=200, within=timedelta(seconds=1)
    )


@pytest.mark.parametrize(
    "wrong", ["health", {"path": "/", "status": 999}, {"path": "/", "method": "POST"}]
)
def test_a_check_that_cannot_be_sent_cannot_be_made(wrong: object) -> None:
    with pytest.raises(ValidationError):
        HttpCheck.model_validate(wrong)


def suite(*problems: str) -> ChecksReport:
    results = tuple(
        CheckResult(
            path=f"/{n}", status=200, elapsed=timedelta(milliseconds=10 * (n + 1)), problem=problem
        )
        for n, problem in enumerate(problems)
    )
    return ChecksReport(suite="smoke", results=results)


def test_a_suite_passes_when_all_its_checks_do_and_says_how_slow_it_was() -> None:
    report = suite("", "", "")
    assert report.passed
    assert report.sentence == "3 smoke checks passed, slowest 30ms"


def test_one_failed_check_fails_the_suite_and_is_named() -> None:
    report = suite("", "answered 500, expected 200", "")
    assert not report.passed
    assert report.sentence == "smoke: /1 answered 500, expected 200"


def test_a_suite_without_checks_passes() -> None:
    assert suite().passed
    assert suite().sentence == "0 smoke checks passed, slowest 0s"


@pytest.mark.parametrize(
    ("report", "passed", "sentence"),
    [
        (
            UnitTestReport(tests=12, failures=0, coverage=0.91),
            True,
            "12 unit tests passed, 91% covered",
        ),
        (
            UnitTestReport(tests=12, failures=0, coverage=None),
            True,
            "12 unit tests passed, coverage not reported",
        ),
        (
            UnitTestReport(tests=3, failures=2, coverage=0.9, failed_names=("test_a", "test_b")),
            False,
            "2 of 3 unit tests failed: test_a, test_b",
        ),
        (
            UnitTestReport(tests=3, failures=0, coverage=0.5, problem="coverage 50% below 80%"),
            False,
            "coverage 50% below 80%",
        ),
    ],
)
def test_unit_tests_pass_without_failures_and_without_a_problem(
    report: UnitTestReport, passed: bool, sentence: str
) -> None:
    assert (report.passed, report.sentence) == (passed, sentence)
