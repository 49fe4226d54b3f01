"""Servers behind TLS and credentials let our client in, or it says in one message why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.prometheus import UP, Prometheus
from domain.errors import NoAccess
from domain.metrics.places import PrometheusPlace
from tests.cluster.certificates import Authority
from tests.cluster.programs import built
from tests.sources.access import LOCKED, PASSWORD, TOKEN, locked

pytestmark = pytest.mark.real
WRONG = {"basic_auth_file": "tidegate:wr0ng-password", "bearer_token_file": "wr0ng-token"}


@pytest.fixture(params=LOCKED)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PrometheusPlace]:
    program = LOCKED[request.param]
    if built(program) is None:
        pytest.skip(f"not built: {program}; say `python -m tests.cluster.programs {program}`")
    with locked(request.param, tmp_path) as running:
        yield running


async def ask(place: PrometheusPlace) -> list[object]:
    client = Prometheus(place)
    try:
        return list(await client.raw_series(UP, {}, datetime.now(UTC), timedelta(minutes=1)))
    finally:
        await client.close()


async def problem(place: PrometheusPlace) -> str | None:
    client = Prometheus(place)
    try:
        return await client.problem()
    finally:
        await client.close()


async def test_a_locked_server_lets_in_who_has_its_authority_and_credentials(
    place: PrometheusPlace, tmp_path: Path
) -> None:
    assert await ask(place) == []
    assert await problem(place) is None
    other = Authority(tmp_path / "other", "somebody else").certificate
    for untrusted in (other, None):
        stranger = place.model_copy(update={"ca_file": untrusted})
        with pytest.raises(NoAccess, match=r"certificate of Prometheus at \S+ is not trusted"):
            await ask(stranger)
        assert "name its authority by ca_file" in str(await problem(stranger))
    secret = place.bearer_token_file or place.basic_auth_file
    assert secret is not None
    secret.write_text(WRONG["bearer_token_file" if place.bearer_token_file else "basic_auth_file"])
    with pytest.raises(NoAccess, match=r"answered 401 to up.*check the credentials") as refused:
        await ask(place)
    said = f"{refused.value} {await problem(place)}"
    assert "check the credentials" in str(await problem(place))
    assert not any(word in said for word in (PASSWORD, TOKEN, "wr0ng"))
