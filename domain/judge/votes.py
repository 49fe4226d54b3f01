"""Per-pod votes: where several pods make up the canary, each is a witness of its own.

A fault of one pod (bad node, full disk) then no longer looks like a fault of the version, and a
fault of the version is found sooner: one block may weigh more than 1 / share.
"""

from __future__ import annotations

import math

from domain.judge.bets import LOG_CAP
from domain.judge.counts import Counts, Pods

# In the order of `REGRESSION_GRID`: each stake is about that of its alternative at 10 % weight.
POD_STAKES = (0.03, 0.1, 0.3, 0.6, 1.0)
LEAST_CANARY_PODS = 2
# About equal traffic: no pod of either arm answers more than so many times another's requests.
EQUAL_TRAFFIC = 2.0


def several(pods: Pods) -> bool:
    """Whether there are pods to compare one by one."""
    return len(pods.canary_requests) >= LEAST_CANARY_PODS and pods.stable_pods > 0


def equal_traffic(pods: Pods) -> bool:
    """Whether all pods of both arms answered about the same number of requests, at least one.

    It looks at requests alone: which blocks vote by pods is no choice of the evidence.
    """
    least = min(*pods.canary_requests, pods.stable_least)
    most = max(*pods.canary_requests, pods.stable_most)
    return least > 0 and most <= EQUAL_TRAFFIC * least


def pod_factors(
    pods: Pods, canary_bad: tuple[int, ...], counts: Counts, rho0: float
) -> tuple[float, ...] | None:
    """e_t(l) = product over canary pods p of 1 + l (X_p / (m_p mean X) - 1); None without events.

    X_p are p's bad events, mean X that of all pods, m_p how many times the mean a pod may have
    under canary <= rho0 x stable: the larger of rho0 N / (rho0 k + N - k) (pods are
    exchangeable) and of p's part of the traffic weighted so (each request is as likely to fail).
    Both ways the X_p, given all causes and their sizes, are drawn without replacement or by
    independent causes, hence negatively associated (Joag-Dev and Proschan 1983): the expectation
    of the product is at most the product of the expectations, each <= 1.
    """
    if counts.bad == 0:
        return None
    canary, everywhere = len(canary_bad), len(canary_bad) + pods.stable_pods
    exchangeable = rho0 * everywhere / (rho0 * canary + pods.stable_pods)
    weighted = rho0 * sum(pods.canary_requests) + counts.stable_requests
    per_request = rho0 * everywhere / weighted
    excesses = [
        bad * everywhere / (counts.bad * max(exchangeable, per_request * requests)) - 1
        for bad, requests in zip(canary_bad, pods.canary_requests, strict=True)
    ]
    return tuple([_product([1 + stake * excess for excess in excesses]) for stake in POD_STAKES])


def _product(terms: list[float]) -> float:
    """The product of many terms >= 0 by logarithms: it neither overflows nor meets inf x 0."""
    if min(terms) <= 0:
        return 0.0
    return math.exp(min(sum(map(math.log, terms)), LOG_CAP))
