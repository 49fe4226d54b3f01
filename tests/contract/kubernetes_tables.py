"""What `kubectl get` prints: columns and cells as the server writes them."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.contract.conversations import Conversation, Question
from tests.contract.kubernetes_kinds import KINDS, SERVICE
from tests.contract.kubernetes_lives import settled

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_AGE = "<age>"
# The autoscaler's numbers come from metrics, which a control plane alone has not.
_PLAYED = ("HorizontalPodAutoscaler",)


async def tables(talk: Conversation, namespace: str) -> None:
    """A table of each kind."""
    for kind in KINDS:
        await talk.ask(Question("POST", kind.collection(namespace), body=kind.object()))
    for kind in KINDS:
        await settled(kind, talk, namespace)
        query = f"labelSelector=app%3D{SERVICE}"
        asked = Question("GET", kind.collection(namespace), query, accept=_TABLE)
        view = partial(_table, kind.kind not in _PLAYED)
        await talk.step(f"{kind.kind} as a table", asked, view)


def _table(has_comparable_cells: bool, body: Any) -> Any:
    columns = [
        {key: column[key] for key in ("name", "type", "format", "priority")}
        for column in body["columnDefinitions"]
    ]
    ages = [at for at, column in enumerate(columns) if column["name"] == "Age"]
    rows = [
        [_AGE if at in ages else cell for at, cell in enumerate(row["cells"])]
        for row in body["rows"]
    ]
    heads = [sorted(row["object"]) for row in body["rows"]]
    shown = {**body, "columnDefinitions": columns, "rows": [heads]}
    return {**shown, "rows": [heads, rows]} if has_comparable_cells else shown
