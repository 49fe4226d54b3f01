from __future__ import annotations

import json
from pathlib import Path

import aiohttp

from sandbox.kubernetes.cluster import Cluster
from sandbox.kubernetes.requests import RequestLog, RequestRecord


def record(verb: str, user_agent: str = "tidegate") -> RequestRecord:
    return RequestRecord(verb, "pods", "", "production", "a", user_agent, 200, 1.0)


def test_requests_are_counted_by_verb_and_by_who_sent_them() -> None:
    log = RequestLog()
    for made in (record("get"), record("get"), record("patch", "kubectl")):
        log.add(made)
    assert log.counts() == {"get": 2, "patch": 1}
    assert log.counts(lambda r: r.user_agent == "kubectl") == {"patch": 1}


async def test_every_request_is_a_line_of_the_audit_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    cluster = Cluster("staging", audit_path=path)
    await cluster.start()
    try:
        connector = aiohttp.TCPConnector(ssl=cluster.client_ssl())
        async with aiohttp.ClientSession(cluster.url, connector=connector) as session:
            headers = {"Authorization": f"Bearer {cluster.token}", "User-Agent": "tester/1"}
            async with session.get("/api/v1/namespaces", headers=headers):
                pass
            async with session.get("/api/v1/nodes"):
                pass
    finally:
        await cluster.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    seen = [(line["verb"], line["resource"], line["user_agent"], line["code"]) for line in lines]
    assert seen[0] == ("list", "namespaces", "tester/1", 200)
    assert seen[1] == ("list", "nodes", lines[1]["user_agent"], 403)


async def test_two_clusters_are_served_side_by_side_and_closed_twice() -> None:
    clusters = [Cluster("staging"), Cluster("production")]
    for cluster in clusters:
        await cluster.start()
    assert len({cluster.url for cluster in clusters}) == 2
    assert clusters[0].kubeconfig()["current-context"] == "staging"
    assert clusters[0].store.get("gateways", "staging", "public") is not None
    for cluster in [*clusters, *clusters]:
        await cluster.close()
