"""HTTP checks of a revision, and what running tests said."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, model_validator

from domain.quantities import PositiveDuration, format_duration
from domain.records import Record


class HttpCheck(Record):
    """One request through a revision's own Service and what must come back."""

    path: str = Field(pattern="^/")
    method: Literal["GET"] = "GET"
    status: int = Field(default=200, ge=100, le=599)
    contains: str | None = None
    within: PositiveDuration = timedelta(seconds=1)

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class HttpAnswer(Record):
    """What came back: status, body (bounded) and how long it took."""

    status: int
    body: str
    elapsed: timedelta


class CheckResult(Record):
    """One check's outcome; `problem` is empty when it passed."""

    path: str
    status: int | None
    elapsed: timedelta
    problem: str = ""


class ChecksReport(Record):
    """A suite's outcome in one environment."""

    suite: Literal["preview", "smoke", "critical"]
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Tell whether every check passed."""
        return not any(result.problem for result in self.results)

    @property
    def sentence(self) -> str:
        """Say it to a person: how many, how slow, or which failed and why."""
        failed = [result for result in self.results if result.problem]
        if failed:
            return f"{self.suite}: " + "; ".join(f"{r.path} {r.problem}" for r in failed)
        slowest = max((result.elapsed for result in self.results), default=timedelta(0))
        return f"{len(self.results)} {self.suite} checks passed, slowest {format_duration(slowest)}"


def evaluate(check: HttpCheck, answer: HttpAnswer) -> CheckResult:
    """Compare an answer with its check; the first difference is the problem."""
    problem = ""
    if answer.status != check.status:
        problem = f"answered {answer.status}, expected {check.status}"
    elif check.contains is not None and check.contains not in answer.body:
        problem = f"body does not contain {check.contains!r}"
    elif answer.elapsed > check.within:
        problem = f"took {format_duration(answer.elapsed)}, limit {format_duration(check.within)}"
    return CheckResult(
        path=check.path, status=answer.status, elapsed=answer.elapsed, problem=problem
    )


class UnitTestReport(Record):
    """Summary of a JUnit report and of a Cobertura coverage report."""

    tests: int
    failures: int
    coverage: float | None
    failed_names: tuple[str, ...] = ()
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Tell whether the gate opens."""
        return not self.problem and self.failures == 0

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        covered = (
            "coverage not reported" if self.coverage is None else f"{self.coverage:.0%} covered"
        )
        if self.problem:
            return self.problem
        if self.failures:
            return f"{self.failures} of {self.tests} unit tests failed: " + ", ".join(
                self.failed_names[:5]
            )
        if self.tests == 0:
            return "no unit test was run"
        return f"{self.tests} unit tests passed, {covered}"
