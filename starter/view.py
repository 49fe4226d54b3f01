"""A release on a terminal: a tree of its stages, and a bar per wait."""

from __future__ import annotations

from datetime import datetime

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from domain.phases import Outcome, Phase
from domain.release import ReleaseState, StageRecord
from starter.story import Wait, facts, headline, stage_line, waits

BAR_WIDTH = 40
_STAGE_STYLES = {True: "green", False: "red", None: "bold"}
_VERDICT_STYLES = {"PROMOTE": "green", "ROLL_BACK": "red"}


def view(state: ReleaseState, now: datetime, note: str = "") -> RenderableType:
    """Everything about a release at one moment; `note` is about the looking itself."""
    style = "bold" if state.outcome in (None, Outcome.RELEASED) else "bold red"
    tree = Tree(Text(headline(state), style=style))
    for number, stage in enumerate(state.stages):
        branch = tree.add(Text(stage_line(stage, now), style=_STAGE_STYLES[stage.ok]))
        if stage.phase is Phase.CANARY:
            _add_verdicts(branch, state)
        if number == len(state.stages) - 1 and stage.ended_at is None:
            _add_present(branch, state, stage)
    parts: list[RenderableType] = [tree]
    if bars := waits(state, now):
        parts.append(_bars(bars))
    parts += [Text(line, style="yellow") for line in facts(state)]
    if state.outcome is not None:
        parts.append(Text(f"{state.outcome}: {state.sentence}", style=style))
    if note:
        parts.append(Text(note, style="dim"))
    return Group(*parts)


def _add_verdicts(branch: Tree, state: ReleaseState) -> None:
    for verdict in state.verdicts:
        line = Text(f"{verdict.weight} %: ")
        line.append(verdict.verdict, style=_VERDICT_STYLES.get(verdict.verdict, "yellow"))
        line.append(f" {verdict.sentence}")
        branch.add(line)


def _add_present(branch: Tree, state: ReleaseState, stage: StageRecord) -> None:
    told = {stage.sentence, *(verdict.sentence for verdict in state.verdicts)}
    if state.sentence and state.sentence not in told:
        branch.add(Text(state.sentence, style="dim"))


def _bars(found: list[Wait]) -> Table:
    table = Table.grid(padding=(0, 1))
    for wait in found:
        bar = ProgressBar(total=1.0, completed=wait.share, width=BAR_WIDTH)
        table.add_row(Text(wait.what), bar, Text(f"{wait.share:.0%}"), Text(wait.note))
    return table
