"""What a release holds for: told once per reason, and what a person's promote is about."""

from __future__ import annotations

from datetime import datetime

from domain.judge.verdict import Judgement, Reason, Verdict
from domain.phases import Phase
from domain.records import Record

# So often a step tells at once that a hold began, changed or ended; then at its deadlines only.
MOST_TELLINGS = 8
# The reason of a hold that no judge gave: the plan says that a gate asks.
ASKED = "asked"


class Hold(Record):
    """A hold that people know of: since when, at which weight, and why in the judge's words."""

    phase: Phase
    weight: int
    reason: str
    sentence: str
    since: datetime

    @property
    def name(self) -> str:
        """What a signed promote says that it is about: another reason is another hold."""
        since = self.since.isoformat(timespec="milliseconds")
        return f"{self.phase} {self.weight} % {self.reason} since {since}"

    @property
    def judged(self) -> Reason | None:
        """The judge's reason; None where a gate asks."""
        return None if self.reason == ASKED else Reason(self.reason)

    @property
    def is_blind(self) -> bool:
        """Tell whether nobody sees the canary: then nobody can know that it is good."""
        return self.judged is Reason.no_data


def is_news(judgement: Judgement, told: Reason | None) -> bool:
    """Whether people must hear of this judgement: a hold began, changed, or is over.

    `told` is the reason of the hold that they know of. Gathering is no hold, but where it is held
    for at a deadline.
    """
    if judgement.verdict is not Verdict.HOLD or judgement.reason is Reason.gathering:
        return told is not None and judgement.reason is not told
    return judgement.reason is not told


def unpromotable(held: Hold | None, about: str | None, phase: Phase) -> str | None:
    """Why a promote that was signed `about` a hold must not count now, or None."""
    if held is None:
        return f"nothing is held in {phase}: the judge decides; promote counts while a step is held"
    if held.is_blind:
        return (
            f"nobody sees the new revision at {held.weight} % (no data): promote counts when the"
            " metrics source answers again; abort rolls back"
        )
    if about != held.name:
        return f"it is about {about or 'no hold'}, held now is {held.name}; look again"
    return None


def overtaken(held: Hold, judgement: Judgement, *, early: bool) -> str | None:
    """Why the judge's latest word leaves nothing to promote by hand, or None.

    `early`: a word that decides nothing yet.
    """
    if judgement.verdict is not Verdict.HOLD and not early:
        return f"the judge said {judgement.verdict} first"
    if judgement.reason is not held.judged:
        return f"it is not held for {held.reason} any more: {judgement.sentence}"
    return None
