"""Gates that do not act by themselves: what they say is told, or a person is asked."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.commands import AcceptedCommand
    from domain.decisions import Report
    from domain.gates import Gate, GateMode, GateNote
    from domain.holds import ASKED, Hold
    from workflows.holding import Holding


class Gating(Holding):
    """Base of the stages with gates; a gate that acts is the stage's own report."""

    def _mode_of(self, gate: Gate) -> GateMode:
        return self._state.request.plan.gates.mode_of(gate)

    async def _pass_gate(self, gate: Gate, no: Report) -> Report | None:
        """A gate's no by the plan's mode: the report itself, or None where the release goes on."""
        mode = self._mode_of(gate)
        if mode is GateMode.ACT:
            return no
        note = GateNote(gate=gate, mode=mode, sentence=no.sentence, at=workflow.now())
        if mode is GateMode.ASK:
            person = await self._ask(0, f"the {gate} gate says no: {no.sentence}")
            reason = person.command.statement.reason
            note = note.with_(by=person.principal, reason=reason, at=workflow.now())
        self._change(gate_notes=(*self._state.gate_notes, note))
        self._tell(note.words)
        return None

    async def _ask(self, weight: int, sentence: str) -> AcceptedCommand:
        """Hold for a person's promote; an abort is heard as everywhere."""
        self._hold_asked(weight, sentence)
        return await self._asked()

    def _hold_asked(self, weight: int, sentence: str) -> None:
        """Ask, with the exact command; a promote of what was asked before is void."""
        held = Hold(
            phase=self._state.phase,
            weight=weight,
            reason=ASKED,
            sentence=sentence,
            since=workflow.now(),
        )
        self._void_promotion("it is asked anew")
        self._told_hold = held
        self._change(held=held)
        self._tell(self._held_words(held))
        self._wait_note("a release manager's promote, or an abort")

    async def _asked(self) -> AcceptedCommand:
        await self._until(lambda: self._promotion is not None, summary="a person's promote")
        promotion, self._promotion = self._promotion, None
        assert promotion is not None  # noqa: S101 - it was waited for
        self._end_hold()
        return promotion
