"""How a workflow acts and waits so that a person's abort or a cancel is safe at any moment.

A write is finished before the interruption counts; a wait is left at once. Nothing here knows
what a release is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError

with workflow.unsafe.imports_passed_through():
    from domain.decisions import Report, Signal
    from workflows.options import on

Question = TypeVar("Question")
Result = TypeVar("Result")
Method = Callable[[Any, Question], Awaitable[Result]]


class Interrupted(Exception):  # noqa: N818 - like asyncio.CancelledError, it is no error
    """Raised at the next safe point after somebody asked the release to stop."""

    def __init__(self, report: Report) -> None:
        super().__init__(report.sentence)
        self.report = report


class Interruptible:
    """Base of a workflow that can be told to stop and then stops at a safe point."""

    def __init__(self) -> None:
        self._interruption: Report | None = None

    def _interrupt(self, signal: Signal, sentence: str) -> None:
        """Ask to stop; the first to ask is the reason."""
        self._interruption = self._interruption or Report(signal=signal, sentence=sentence)

    def _note_cancel(self) -> None:
        self._interrupt(Signal.CANCELLED, "cancelled in Temporal")

    def _stop_if_interrupted(self) -> None:
        if self._interruption is not None:
            raise Interrupted(self._interruption)

    async def _do(
        self,
        activity: Method[Question, Result],
        question: Question,
        *,
        queue: str,
        options: workflow.ActivityConfig,
        summary: str,
    ) -> Result:
        """Run an activity to its end: a write that has begun is never abandoned."""
        self._stop_if_interrupted()
        handle = self._start(activity, question, queue, options, summary)
        return await finish(handle, on_cancel=self._note_cancel)

    async def _surely(self, step: Coroutine[Any, Any, Result]) -> Result:
        """Take a step that is no activity to its end; a cancel counts afterwards."""
        return await finish(asyncio.create_task(step), on_cancel=self._note_cancel)

    async def _watch_for(
        self,
        activity: Method[Question, Result],
        question: Question,
        *,
        queue: str,
        options: workflow.ActivityConfig,
        summary: str,
        until: Callable[[], bool] = lambda: False,
    ) -> Result | None:
        """Run a waiting activity; an interruption cancels it.

        When `until` came true first, it is what the activity knew by then, or None.
        """
        self._stop_if_interrupted()
        handle = self._start(activity, question, queue, options, summary)
        try:
            await self._until(lambda: handle.done() or until())
        except Interrupted:
            await self._give_up(handle)
            raise
        if handle.done():
            return await handle
        return await self._give_up(handle)

    async def _give_up(self, handle: workflow.ActivityHandle[Result]) -> Result | None:
        handle.cancel()
        with suppress(ActivityError):
            return await finish(handle, on_cancel=self._note_cancel)
        return None

    def _start(
        self,
        activity: Method[Question, Result],
        question: Question,
        queue: str,
        options: workflow.ActivityConfig,
        summary: str,
    ) -> workflow.ActivityHandle[Result]:
        return workflow.start_activity_method(activity, question, **on(queue, options, summary))

    async def _until(
        self, condition: Callable[[], bool], *, within: timedelta | None = None, summary: str = ""
    ) -> bool:
        """Wait for a condition; False when the time is up, Interrupted when asked to stop."""
        try:
            await workflow.wait_condition(
                lambda: condition() or self._interruption is not None,
                timeout=within,
                timeout_summary=summary or None,
            )
        except TimeoutError:
            return False
        except asyncio.CancelledError:
            self._note_cancel()
        if not condition():
            self._stop_if_interrupted()
        return True


def cause_of(error: FailureError) -> str:
    """What went wrong, in the words of whoever raised it."""
    return error.cause.message if isinstance(error.cause, FailureError) else str(error)


async def finish(
    handle: asyncio.Task[Result], on_cancel: Callable[[], None] = lambda: None
) -> Result:
    """Await something that must come to its end; a cancel is noted and changes nothing."""
    while True:
        try:
            return await asyncio.shield(handle)
        except asyncio.CancelledError:
            # Only an eviction from the cache cancels the handle itself; then there is no more to
            # wait. Done is not enough: a cancel may arrive together with the result.
            if handle.cancelled():
                raise
            on_cancel()
