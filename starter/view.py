"""A release on a terminal: a tree of its stages, and a bar per wait."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from domain.phases import Outcome
from domain.release import ReleaseState
from starter.story import (
    Wait,
    facts,
    headline,
    present_sentence,
    rehearsal_clock,
    stage_line,
    verdict_line,
    verdicts_of,
    waits,
)

BAR_WIDTH = 30
SHOWN_FACTS = 3
_STAGE_STYLES = {True: "green", False: "red", None: "bold"}
_VERDICT_STYLES = {"PROMOTE": "green", "ROLL_BACK": "red"}


def view(
    state: ReleaseState,
    now: datetime,
    note: str = "",
    *,
    under_way: tuple[str, ...] = (),
    fits: bool = False,
) -> RenderableType:
    """Everything about a release at one moment; `note` is about the looking itself.

    `under_way` are the words of what is at work for it.
    `fits`: what is over takes one line each, so that what goes on stays on the screen.
    """
    style = "bold" if state.outcome in (None, Outcome.RELEASED) else "bold red"
    tree = Tree(_line(headline(state), style, cut=fits))
    told: set[str] = set()
    for number, stage in enumerate(state.stages):
        verdicts = verdicts_of(state, stage.phase)
        told |= {verdict.sentence for verdict in verdicts}
        said = "" if stage.sentence in told else stage.sentence
        is_last = number == len(state.stages) - 1
        clock = rehearsal_clock(state, stage.phase)
        line = f"{stage_line(stage, now, clock)}{f': {said}' if said else ''}"
        branch = tree.add(_line(line, _STAGE_STYLES[stage.ok], cut=fits and not is_last))
        told.add(stage.sentence)
        for verdict in verdicts:
            cut = fits and not (is_last and verdict is verdicts[-1])
            colour = _VERDICT_STYLES.get(verdict.verdict, "yellow")
            branch.add(_line(verdict_line(verdict), colour, cut=cut))
        if is_last and present_sentence(state) not in told | {""}:
            branch.add(_line(state.sentence, "dim", cut=False))
    work = [_line(words, "dim", cut=False) for words in under_way]
    below = _below(state, now, told, fits)
    return Group(tree, *work, *below, *([Text(note, "yellow")] if note else []))


def _below(
    state: ReleaseState, now: datetime, told: set[str], fits: bool
) -> Iterator[RenderableType]:
    """Under the tree: bars, who is waited for, what did not work, the end."""
    if bars := waits(state, now):
        yield _bars(bars)
    found = facts(state)
    yield from (_line(fact, "yellow", cut=False) for fact in found[-SHOWN_FACTS:] if fits)
    yield from (_line(fact, "yellow", cut=False) for fact in found if not fits)
    if state.outcome is not None:
        said = "" if state.sentence in told else f": {state.sentence}"
        yield _line(
            f"{state.outcome}{said}",
            "bold green" if state.outcome is Outcome.RELEASED else "bold red",
            cut=False,
        )


def _line(text: str, style: str, *, cut: bool) -> Text:
    return Text(text, style, no_wrap=cut, overflow="ellipsis" if cut else None)


def _bars(found: list[Wait]) -> Table:
    table = Table.grid(padding=(0, 1))
    for wait in found:
        bar = ProgressBar(total=1.0, completed=wait.share, width=BAR_WIDTH)
        table.add_row(Text(wait.what), bar, Text(f"{wait.share:.0%}"), Text(wait.note))
    return table
