"""A repository's `tidegate.yaml`: defaults merged, validated, held against the policy.

Every problem is told at once, with its line. Used by the CLI before anything starts and by the
build role for the commit that is released.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from clients.model_problems import dotted, faults, nearest
from clients.yaml_lines import Document, FileProblems, Path, Problem, read_yaml
from domain.plan import PlanFile, ServicePlan
from domain.policy import Policy, violations

Plans = dict[str, ServicePlan]

# In place of required keys that are wrong, so that the rest of a plan can still be judged.
STAND_INS: Mapping[str, Any] = {"path": ".", "port": 1, "image": "unknown", "manifests": "."}
_ROUNDS = 8


class PlanProblems(FileProblems):
    """The plan cannot be used; nothing was started."""


class _Finding(NamedTuple):
    """A problem and the service it stops; None stops all of them."""

    service: str | None
    problem: Problem


@dataclass
class _Reading:
    document: Document
    plans: Plans = field(default_factory=dict)
    findings: list[_Finding] = field(default_factory=list)

    @property
    def problems(self) -> tuple[Problem, ...]:
        return tuple(finding.problem for finding in self.findings)

    def find(self, path: Path, what: str) -> None:
        """Note what is wrong at a path of the effective plan, where the file says it."""
        origin = _origin(self.document, path)
        where = f"{dotted(origin)}: " if origin else ""
        service = str(path[1]) if path[:1] == ("services",) and len(path) > 1 else None
        problem = Problem(self.document.file, self.document.line_of(origin), f"{where}{what}")
        self.findings.append(_Finding(service, problem))


def load_plans(text: bytes, file_name: str, policy: Policy | None) -> Plans:
    """Every service's effective plan: policy defaults < the file's defaults < the service's keys.

    Mappings merge deeply, lists and values replace. `policy` None leaves out its defaults and its
    floors. Raises PlanProblems with everything that is wrong.
    """
    reading = _read(text, file_name, policy)
    if reading.findings:
        raise PlanProblems(reading.problems)
    return reading.plans


def plan_of(text: bytes, file_name: str, service: str, policy: Policy | None) -> ServicePlan:
    """One service's effective plan; other services' problems do not stop it.

    Raises PlanProblems with everything that is wrong in the file when this service is unknown or
    cannot be used.
    """
    reading = _read(text, file_name, policy)
    names = _names(reading.document)
    if names and service not in names:
        what = f"there is no service {service!r}{nearest(service, names)}"
        reading.find(("services",), what)
    if any(finding.service in (None, service) for finding in reading.findings):
        raise PlanProblems(reading.problems)
    return reading.plans[service]


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers over earlier ones: mappings deeply, everything else as a whole."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            old = merged.get(key)
            both = isinstance(old, dict) and isinstance(value, dict)
            merged[key] = merge(old or {}, value) if both else value
    return merged


def _read(text: bytes, file_name: str, policy: Policy | None) -> _Reading:
    document = read_yaml(text, file_name)
    reading = _Reading(document)
    reading.findings += [_Finding(None, problem) for problem in document.problems]
    if isinstance(document.data, dict):
        _judge(reading, document.data, policy)
    elif not document.problems:
        what = "is empty" if document.data is None else "is not a mapping of keys"
        reading.find((), f"{what}; it needs `services` with a plan for each")
    return reading


def _judge(reading: _Reading, data: dict[str, Any], policy: Policy | None) -> None:
    file, errors = _validated(_effective(data, policy))
    wrong = faults(errors, PlanFile)
    # What YAML itself refused has no value: that it is missing would be said twice.
    refused = {problem.line for problem in reading.document.problems}
    for path, what in wrong:
        if reading.document.line_of(path) not in refused:
            reading.find(path, what)
    if file is None:
        return
    if not file.services and not errors:
        reading.find(("services",), "is empty; it needs a plan for each service")
    reading.plans = dict(file.services)
    for path, what in (*_loads_missing(reading.plans), *_below_policy(reading.plans, policy)):
        if not any(_overlap(path, error["loc"]) for error in errors):
            is_set = _origin(reading.document, path) in reading.document.lines
            reading.find(path, what if is_set else f"{what} (by default)")


def _names(document: Document) -> list[str]:
    services = document.data.get("services") if isinstance(document.data, dict) else None
    return list(services) if isinstance(services, dict) else []


def _effective(data: dict[str, Any], policy: Policy | None) -> dict[str, Any]:
    """The file with every service's plan merged; what is not a mapping stays for validation."""
    left_empty = [key for key in ("defaults", "version") if data.get(key) is None]
    effective = {key: value for key, value in data.items() if key not in left_empty}
    defaults, services = effective.get("defaults"), data.get("services")
    layers = [policy.defaults if policy else {}, defaults if isinstance(defaults, dict) else {}]
    if "services" in data and services is None:
        effective["services"] = {}
    if isinstance(services, dict):
        plans = {name: {} if plan is None else plan for name, plan in services.items()}
        effective["services"] = {
            name: merge(*layers, plan) if isinstance(plan, dict) else plan
            for name, plan in plans.items()
        }
    return effective


def _validated(data: dict[str, Any]) -> tuple[PlanFile | None, list[ErrorDetails]]:
    """The plans and all errors: what is wrong is taken out until the rest can be judged.

    One validation does not find everything: rules about a whole mapping run after its values.
    """
    errors: list[ErrorDetails] = []
    for _ in range(_ROUNDS):
        try:
            return PlanFile.model_validate(data), errors
        except ValidationError as refused:
            found = refused.errors(include_url=False)
            errors += found
            data = _mended(data, found)
    return None, errors


def _mended(data: dict[str, Any], errors: list[ErrorDetails]) -> dict[str, Any]:
    mended = deepcopy(data)
    for error in errors:
        path = error["loc"]
        if path == ("services",):
            mended["services"] = {}
        elif len(path) == 3 and path[2] in STAND_INS:
            mended["services"].get(path[1], {})[path[2]] = STAND_INS[str(path[2])]
        else:
            _remove(
                mended, path[:-1] if path[-1] == "[key]" or error["type"] == "missing" else path
            )
    return mended


def _remove(data: dict[Any, Any], path: Path) -> None:
    """Take out what a path leads to; of a list, all of it, since its other indexes would move."""
    for depth, part in enumerate(path):
        is_last = depth + 1 == len(path) or isinstance(path[depth + 1], int)
        if is_last or not isinstance(data.get(part), dict):
            data.pop(part, None)
            return
        data = data[part]


def _loads_missing(plans: Plans) -> Iterator[tuple[Path, str]]:
    """Releases that began before there was a load hold instead: their plans stay readable."""
    for name, plan in plans.items():
        if plan.canary.on_quiet == "synthetic" and plan.canary.load is None:
            what = "synthetic needs `load`, for example load: {path: /api/v1/albums, rate: 5}"
            yield ("services", name, "canary", "on_quiet"), what


def _below_policy(plans: Plans, policy: Policy | None) -> Iterator[tuple[Path, str]]:
    if policy is None:
        return
    for name, plan in plans.items():
        for violation in violations(plan, policy):
            yield ("services", name, *violation.where), violation.what


def _origin(document: Document, path: Path) -> Path:
    """Where the file says what stands at a path of the effective plan: there or in its defaults."""
    inherited = ("defaults", *path[2:])
    is_inherited = path[:1] == ("services",) and len(path) > 2 and path not in document.lines
    return inherited if is_inherited and inherited in document.lines else path


def _overlap(one: Path, other: Path) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]
