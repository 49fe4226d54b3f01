"""Shares of traffic between revisions, and the pods that a share needs."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

from pydantic import Field, model_validator

from domain.environments import Environment
from domain.records import Record

HEADROOM = 1.2


class Backend(Record):
    """One revision's share of a route, in percent."""

    revision: str
    weight: int = Field(ge=0, le=100)


class TrafficSplit(Record):
    """Who gets how much: weights sum to 100; empty means the route did not exist."""

    backends: tuple[Backend, ...] = ()

    @model_validator(mode="after")
    def _sums_to_100(self) -> TrafficSplit:
        if self.backends and sum(backend.weight for backend in self.backends) != 100:
            raise ValueError(f"weights must sum to 100: {self}")
        return self

    @classmethod
    def all_to(cls, revision: str | None) -> TrafficSplit:
        """Everything to one revision, or to nobody when there is none."""
        return cls(backends=(Backend(revision=revision, weight=100),) if revision else ())

    @classmethod
    def step(cls, weight: int, canary: str, stable: str | None) -> TrafficSplit:
        """`weight` percent to the canary and the rest to stable."""
        if stable is None or weight == 100:
            return cls.all_to(canary)
        return cls(
            backends=(
                Backend(revision=stable, weight=100 - weight),
                Backend(revision=canary, weight=weight),
            )
        )

    def weight_of(self, revision: str) -> int:
        """Percent that a revision gets."""
        return sum(b.weight for b in self.backends if b.revision == revision)

    def __str__(self) -> str:
        return ", ".join(f"{b.revision} {b.weight} %" for b in self.backends) or "nobody"


class StableRevision(Record):
    """The revision that serves now, as read from the cluster before anything was changed."""

    environment: Environment
    revision: str
    bundle: str
    commit: str
    ready_pods: int = Field(ge=0)
    min_replicas: int | None = Field(default=None, description="of its autoscaler, if it has one")


def pods_needed(weight: int, stable_ready: int, declared: int) -> int:
    """Ready pods a revision must have before it gets `weight` percent (design 6: 20 % headroom).

    Without a stable to measure (first release) it is what the manifest declares.
    """
    if stable_ready == 0:
        return max(1, declared)
    return max(1, ceil(weight * stable_ready * HEADROOM / 100))


def pods_behind(ready: int) -> int:
    """Pods of another revision that the traffic of `ready` pods needs: `pods_needed` undone."""
    return floor(ready / Fraction(str(HEADROOM)))


def pods_to_carry(weight: int, asked: int, beside_ready: int) -> int:
    """Ready pods without which a revision cannot carry `weight` percent on its own.

    What its Deployment is asked to have less the headroom, since the autoscaler knows the traffic
    of now; and no more than the pods that go (`beside_ready`) would need for it.
    """
    own = max(1, ceil(asked / Fraction(str(HEADROOM))))
    return min(own, pods_needed(weight, beside_ready, asked))
