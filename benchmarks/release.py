"""`make bench`: one release in the sandbox, what it costs beside the plan's own waits.

The sandbox, Temporal and the workers run as their own processes, as for a person; the second
release is measured (the first one has no stable to compare with). Figures come from Temporal's
history, the API servers' own request log and /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory

import settings
from domain.environments import rollback_id
from domain.phases import Phase
from domain.release import ReleaseState
from examples.demo import Demo
from starter.connection import connect

ENVIRONMENTS = ("staging", "production")


@dataclass(frozen=True)
class Figure:
    """One measured number beside its goal (None: nothing is promised)."""

    name: str
    value: float
    unit: str
    goal: float | None
    excludes: str

    @property
    def is_met(self) -> bool:
        """Tell whether the goal is reached."""
        return self.goal is None or self.value <= self.goal

    def __str__(self) -> str:
        goal = "" if self.goal is None else f"goal <= {self.goal:g} {self.unit}"
        mark = "" if self.goal is None else ("met" if self.is_met else "MISSED")
        measured = f"{self.name:<42} {self.value:>9.2f} {self.unit:<9}"
        return f"{measured} {goal:<22} {mark:<7} {self.excludes}".rstrip()


async def measure(demo: Demo, release: str, before: Counter[str]) -> list[Figure]:
    """Everything about one finished release."""
    place = settings.load(demo.state / "tidegate.toml").temporal
    client = await connect(place)
    handle = client.get_workflow_handle(release, result_type=ReleaseState)
    state, history = await handle.result(), await handle.fetch_history()
    waits, people = _planned_waits(state), _people(state)
    assert state.ended_at is not None
    total = state.ended_at - state.started_at
    beyond = total - waits - people
    tests, build = _spent(history, "unit tests"), _spent(history, "build the image")
    events = len(history.events) + await _events_of_children(client, state)
    figures = [
        Figure("whole release", total.total_seconds(), "s", None, "nothing"),
        Figure(
            "beyond the plan's own waits", beyond.total_seconds(), "s", 3.0,
            f"soak, min_bake of each step, watch ({waits.total_seconds():.1f} s) and the "
            f"approver's {people.total_seconds():.1f} s",
        ),
        Figure("  of which the service's own unit tests", tests, "s", None, ""),
        Figure("  of which the image", build, "s", None, ""),
        Figure("events in history, children counted", events, "events", 600, "lanes (shared)"),
        Figure("peak RSS of the worker", _worker_memory(demo), "MiB", 150,
               "build's own process; control and both clusters share the measured one"),
    ]  # fmt: skip
    requests = kubernetes_requests(demo) - before
    figures += [
        Figure(f"Kubernetes requests: {verb}", count, "requests", None, "")
        for verb, count in sorted(requests.items())
    ]
    await asyncio.sleep(0.1)
    return figures


def _planned_waits(state: ReleaseState) -> timedelta:
    plan = state.request.plan
    return plan.pace.soak + plan.pace.min_bake * len(plan.canary.steps) + plan.pace.watch


def _people(state: ReleaseState) -> timedelta:
    """From the frozen evidence to the approval: the evidence expires so long after it froze."""
    assert state.evidence_expires_at is not None
    frozen = state.evidence_expires_at - state.request.plan.approval.expires
    stage = next(s for s in state.stages if s.phase is Phase.APPROVAL)
    return max(state.approvals[0].at - max(frozen, stage.started_at), timedelta(0))


def _spent(history: WorkflowHistory, summary: str) -> float:
    """Seconds from scheduling an activity to its completion, by its summary."""
    scheduled: dict[int, datetime] = {}
    for event in history.events:
        moment = event.event_time.ToDatetime()
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            told = event.user_metadata.summary.data.decode(errors="replace").strip('"')
            if told == summary:
                scheduled[event.event_id] = moment
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            begun = event.activity_task_completed_event_attributes.scheduled_event_id
            if begun in scheduled:
                return (moment - scheduled[begun]).total_seconds()
    return float("nan")


async def _events_of_children(client: Client, state: ReleaseState) -> int:
    if state.rollback is None:
        return 0
    child = client.get_workflow_handle(rollback_id(state.request.release_id))
    return len((await child.fetch_history()).events)


def kubernetes_requests(demo: Demo) -> Counter[str]:
    """Tidegate's requests by verb, as the API servers themselves counted them."""
    counted: Counter[str] = Counter()
    for environment in ENVIRONMENTS:
        command = (
            str(Path(sys.executable).parent / "kubectl"),
            "--kubeconfig", str(demo.state / "kubeconfig"), "--context", environment,
            "get", "--raw", "/sandbox/requests?userAgent=tidegate",
        )  # fmt: skip
        answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        counted.update(json.loads(answer)["requests"])
    return counted


def _worker_memory(demo: Demo) -> float:
    """MiB that the worker with the control and cluster roles held at its peak (VmHWM)."""
    told = demo.tidegate("sandbox", "status", "--state", str(demo.state), "--output", "json")
    processes: dict[str, int] = json.loads(told)["processes"]
    pid = next(pid for name, pid in processes.items() if "worker" in name and "build" not in name)
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def report(figures: list[Figure], target: Path) -> None:
    """Print the table and write the same as JSON."""
    for figure in figures:
        print(figure)
    rows: list[dict[str, Any]] = [{**asdict(f), "met": f.is_met} for f in figures]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=2) + "\n")
    print(f"\nwritten to {target}")


def main() -> int:
    """Release twice, measure the second."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--wheelhouse", type=Path, required=True)
    options.add_argument("--folder", type=Path, default=Path(".cache/bench"))
    options.add_argument("--json", type=Path, default=Path(".cache/bench-release.json"))
    wishes = options.parse_args()
    demo = Demo(wishes.folder.resolve(), wishes.wheelhouse)
    demo.prepare()
    try:
        demo.start()
        demo.release()
        demo.change(2)
        before = kubernetes_requests(demo)
        demo.release()
        figures = asyncio.run(measure(demo, demo.releases[-1], before))
    finally:
        demo.stop()
    report(figures, wishes.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
