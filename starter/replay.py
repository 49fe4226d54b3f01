"""`tidegate replay`: past releases judged again by another policy or plan; nothing is started."""

# ruff: noqa: PLC0415 - records in files need neither Temporal nor a registry.

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import settings as configuration
from clients.files import read_file
from clients.plan_file import plan_of
from clients.policy_source import parse_policy
from domain.errors import NotFound, PermanentFailure
from domain.plan import ServicePlan
from domain.policy import Policy, Violation
from domain.rejudge import (
    CHANGED,
    Change,
    Plans,
    RejudgedStep,
    StoredVerdict,
    ended_well,
    rejudge,
    total,
)
from domain.soak_replay import RejudgedSoak, soak_under
from domain.tightening import tightened
from starter.event_loop import run
from starter.exit_codes import ExitCode
from starter.output import Format, complain, say, say_json
from starter.replay_words import lines_of, totals_line
from starter.shelf import Shelf


@dataclass(frozen=True)
class Question:
    """What was asked for on the command line; without `places`, all past releases."""

    places: tuple[str, ...]
    policy: Path | None
    plan: Path | None
    service: str | None
    limit: int


@dataclass(frozen=True)
class Standard:
    """The policy and the plan to judge by; at least one of them is given."""

    policy: Policy | None
    plan: ServicePlan | None
    service: str | None

    def plans(self, release: str, old: ServicePlan | None) -> Judged:
        """What one release is judged by; PermanentFailure when its own plan would be needed."""
        if self.plan is not None:
            return Judged(Plans(old, self.plan), (), ())
        if old is None or self.policy is None:
            raise PermanentFailure(
                f"the plan of {release} is not among the records: give its bundle "
                "(REPOSITORY@sha256:..., or the file of its configuration), or --plan with "
                "--service"
            )
        strict = tightened(old, self.policy)
        return Judged(Plans(old, strict.plan), strict.raised, strict.left)


class Judged(NamedTuple):
    """The plans, and where the release's own fell below the policy: raised, or not to be raised."""

    plans: Plans
    raised: tuple[Violation, ...]
    left: tuple[Violation, ...]


@dataclass(frozen=True)
class Replayed:
    """One release under the other rules."""

    release: str
    revision: str
    judged: Judged
    steps: tuple[RejudgedStep, ...]
    soak: RejudgedSoak | None

    @property
    def rank(self) -> int:
        """What matters most comes first: rollbacks that come or go, then every other change."""
        if any(step.change in CHANGED[:2] for step in self.steps):
            return 0
        return 1 if any(step.changed for step in self.steps) else 2


def replay(question: Question, output: Format) -> ExitCode:
    """Print what would have changed; UNEXPECTED (1) when a verdict is another one."""
    standard = _standard(question)
    shelf, wanted = run(_gathered(question))
    found = sorted(_replayed(shelf, standard, wanted), key=lambda one: one.rank)
    totals = total((one.steps, ended_well(one.steps)) for one in found)
    if output is Format.JSON:
        say_json(
            {
                "releases": [_as_json(one) for one in found],
                "totals": totals.model_dump(mode="json"),
            }
        )
    else:
        for one in found:
            say("\n".join(lines_of(one)))
        _note_defaults(standard)
        say(totals_line(totals))
    return ExitCode.UNEXPECTED if totals.changed else ExitCode.OK


def _standard(question: Question) -> Standard:
    if question.policy is None and question.plan is None:
        raise PermanentFailure("say by what to judge: --policy FILE, or --plan FILE with --service")
    policy = None
    if question.policy is not None:
        policy = parse_policy(_read(question.policy, "--policy"), str(question.policy))
    if question.plan is None:
        return Standard(policy, None, question.service)
    if question.service is None:
        raise PermanentFailure(f"say which service's plan of {question.plan} is meant: --service S")
    text = _read(question.plan, "--plan")
    plan = plan_of(text, str(question.plan), question.service, policy)
    return Standard(policy, plan, question.service)


def _read(file: Path, option: str) -> bytes:
    try:
        return read_file(file)
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror}; correct {option}") from error


def _note_defaults(standard: Standard) -> None:
    if standard.plan is None and standard.policy is not None and standard.policy.defaults:
        complain(
            "tidegate: the policy's defaults are not applied: they hold where a plan says nothing, "
            "and a stored plan does not tell which of its values were defaults; --plan does"
        )


async def _gathered(question: Question) -> tuple[Shelf, set[str] | None]:
    """The records, and the releases that are meant; None: all that the records tell of."""
    shelf = Shelf()
    files = [place for place in question.places if _is_file(place)]
    for place in files:
        shelf.put_file(place)
    asked = [place for place in question.places if place not in files]
    wanted: set[str] = set()
    if asked or not question.places:
        from starter.past_releases import fetch

        wanted = await fetch(asked, question.service, question.limit, shelf, configuration.load())
    if not shelf.verdicts:
        raise NotFound(_nothing(question))
    shelf.sort()
    every = files or any("@sha256:" in place for place in asked)
    return shelf, None if every else wanted


def _is_file(place: str) -> bool:
    return "@sha256:" not in place and ("/" in place or "." in place or Path(place).is_file())


def _nothing(question: Question) -> str:
    where = ", ".join(question.places) or (question.service or "any past release")
    return (
        f"there is no verdict of {where}: what ended before production, or was released before "
        "Tidegate stored blocks, cannot be judged again"
    )


def _replayed(shelf: Shelf, standard: Standard, wanted: set[str] | None) -> list[Replayed]:
    releases: dict[str, list[StoredVerdict]] = {}
    for origin, record in shelf.verdicts:
        release = record.step.target.release_id
        if wanted is None or release in wanted:
            blocks = tuple(shelf.earlier(origin, record))
            stored = StoredVerdict(record, (*blocks, *record.blocks))
            releases.setdefault(release, []).append(stored)
    shelf.refuse_foreign_blocks()
    return [_judged(release, found, standard, shelf) for release, found in releases.items()]


def _judged(
    release: str, verdicts: list[StoredVerdict], standard: Standard, shelf: Shelf
) -> Replayed:
    target = verdicts[0].record.step.target
    if standard.service is not None and target.service != standard.service:
        raise PermanentFailure(
            f"{release} is a release of {target.service}, not of {standard.service}: leave it out, "
            "or correct --service"
        )
    judged = standard.plans(release, shelf.plan_of(target))
    try:
        steps = rejudge(verdicts, judged.plans)
    except PermanentFailure as failure:
        raise PermanentFailure(f"{release} cannot be judged again: {failure}") from failure
    evidence = shelf.evidence.get(release)
    old, new = judged.plans.old, judged.plans.new
    soak = soak_under(evidence.soak, old, new) if evidence is not None else None
    return Replayed(release, target.revision, judged, steps, soak)


def _as_json(one: Replayed) -> dict[str, object]:
    def told(found: tuple[Violation, ...]) -> list[str]:
        return [f"{'.'.join(violation.where)} {violation.what}" for violation in found]

    return {
        "release": one.release,
        "revision": one.revision,
        "raised": told(one.judged.raised),
        "not_raised": told(one.judged.left),
        "steps": [step.model_dump(mode="json") for step in one.steps],
        "soak": one.soak.model_dump(mode="json") if one.soak else None,
        "ended_well": ended_well(one.steps),
        "rollback_gained": any(step.change is Change.ROLLBACK_GAINED for step in one.steps),
    }
