"""What of a step was not seen: arms that nobody scraped, and blocks that could not be used."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.judge.counts import ArmName, Block
from domain.judge.rules import JudgeRules


class LeftOut(BaseModel):
    """The step's blocks that could not be used: how many, and of the latest its end and why."""

    model_config = ConfigDict(frozen=True)

    blocks: int = 0
    until: AwareDatetime | None = None
    why: str = ""

    def after(self, block: Block) -> LeftOut:
        """With one more of them."""
        return LeftOut(blocks=self.blocks + 1, until=block.end, why=block.spoiled)

    def among(self, delivered: int) -> str:
        """Say it to a person, of all blocks of the step; nothing where all could be used."""
        if not self.blocks:
            return ""
        whole = f"{self.blocks} of {delivered} blocks" if delivered > 1 else "the only block"
        latest = ", the latest" if self.blocks > 1 else ""
        return f"{whole} could not be used{latest}: {self.why}"


def dark_arms(block: Block, metric: str, rules: JudgeRules) -> tuple[ArmName, ...]:
    """The compared arms of which the block knows nothing on a metric."""
    dark = block.dark.get(metric, ())
    return dark if rules.control_arm else tuple(arm for arm in dark if arm == "canary")


def too_late(metrics: tuple[str, ...]) -> str:
    """Say which metrics are not judged although they are counted by now; nothing without any."""
    if not metrics:
        return ""
    told = " and ".join(metrics)
    return f"not judged: {told}, which nothing counted yet when the rollout's first block ended"
