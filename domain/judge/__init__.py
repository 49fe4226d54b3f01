"""The statistical rule that decides a canary, and its data.

`start` a state, `observe` each block, `judge` at any time: the error rates hold however often and
whenever one asks.
"""

from domain.judge.counts import Block, Counts, Histogram, Pods
from domain.judge.decision import judge
from domain.judge.interval import RatioInterval
from domain.judge.rules import Control, JudgeRules, OnQuiet, PromoteBy, Stakes, margin_for
from domain.judge.state import JudgeState, next_step, observe, start
from domain.judge.verdict import Judgement, Reason, Thresholds, Verdict

__all__ = [
    "Block",
    "Control",
    "Counts",
    "Histogram",
    "JudgeRules",
    "JudgeState",
    "Judgement",
    "OnQuiet",
    "Pods",
    "PromoteBy",
    "RatioInterval",
    "Reason",
    "Stakes",
    "Thresholds",
    "Verdict",
    "judge",
    "margin_for",
    "next_step",
    "observe",
    "start",
]
