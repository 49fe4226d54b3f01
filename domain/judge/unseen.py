"""What of a step was not seen: arms that nobody scraped, and blocks that could not be used."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.judge.counts import ArmName, Block
from domain.judge.rules import JudgeRules


class LeftOut(BaseModel):
    """The step's blocks that could not be used: how many `of` all, the end and why of the latest.

    States of before they were counted count from then on.
    """

    model_config = ConfigDict(frozen=True)

    blocks: int = 0
    of: int = 0
    until: AwareDatetime | None = None
    why: str = ""

    def after(self, block: Block) -> LeftOut:
        """With one more block of the step."""
        update: dict[str, object] = {"of": self.of + 1}
        if block.spoiled:
            update |= {"blocks": self.blocks + 1, "until": block.end, "why": block.spoiled}
        return self.model_copy(update=update)

    @property
    def is_all(self) -> bool:
        """Whether no block of the step could be used."""
        return bool(self.blocks) and self.blocks == self.of

    @property
    def sentence(self) -> str:
        """Say it to a person; nothing where all could be used."""
        if not self.blocks:
            return ""
        whole = f"{self.blocks} of {self.of} blocks" if self.of > 1 else "the only block"
        latest = ", the latest" if self.blocks > 1 else ""
        return f"{whole} could not be used{latest}: {self.why}"


def dark_arms(block: Block, metric: str, rules: JudgeRules) -> tuple[ArmName, ...]:
    """The compared arms of which the block knows nothing on a metric."""
    dark = block.dark.get(metric, ())
    return dark if rules.control_arm else tuple(arm for arm in dark if arm == "canary")
