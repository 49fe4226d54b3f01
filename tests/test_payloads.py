"""What a histories' keeper sees when payloads are encrypted: nothing."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from domain.errors import PermanentFailure
from payloads import data_converter
from settings import TemporalSettings, TlsSettings
from starter.connection import connect
from tests.support.release_records import request
from tests.support.temporal import connection_to, dev_server


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def key_file(folder: Path, *keys: str) -> Path:
    path = folder / "keys"
    path.write_text("\n".join(keys) + "\n")
    return path


async def test_what_was_encrypted_comes_back_and_shows_nothing(tmp_path: Path) -> None:
    converter = data_converter(key_file(tmp_path, new_key()))
    encoded = await converter.encode([request()])
    assert request().service.encode() not in encoded[0].SerializeToString()
    assert await converter.decode(encoded, [type(request())]) == [request()]


async def test_after_a_change_of_keys_old_payloads_are_still_read(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    encoded = await data_converter(key_file(tmp_path, old)).encode(["said before"])
    changed = data_converter(key_file(tmp_path, new, old))
    assert await changed.decode(encoded) == ["said before"]
    unencrypted = await data_converter(None).encode(["said before that"])
    assert await changed.decode(unencrypted) == ["said before that"]
    forgotten = data_converter(key_file(tmp_path, new))
    with pytest.raises(PermanentFailure, match="encrypted with the key"):
        await forgotten.decode(encoded)


async def test_a_payload_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    converter = data_converter(key_file(tmp_path, new_key()))
    [encoded] = await converter.encode(["approve"])
    encoded.data = encoded.data[:-1] + bytes([encoded.data[-1] ^ 1])
    with pytest.raises(PermanentFailure, match="tampered"):
        await converter.decode([encoded])


@pytest.mark.parametrize("content", ["", "no base64!", base64.b64encode(b"short").decode()])
def test_a_file_without_keys_is_refused_by_name(tmp_path: Path, content: str) -> None:
    with pytest.raises(PermanentFailure, match="encryption_key_file"):
        data_converter(key_file(tmp_path, content))


@pytest.fixture
async def server() -> AsyncIterator[WorkflowEnvironment]:
    async with dev_server() as server:
        yield server


async def test_the_connection_file_turns_it_on(server: WorkflowEnvironment, tmp_path: Path) -> None:
    keys = key_file(tmp_path, new_key())
    settings = TemporalSettings(**connection_to(server), encryption_key_file=keys)
    hidden: Client = await connect(settings)
    await hidden.start_workflow("Anything", request(), id="hidden", task_queue="nobody")
    history = await hidden.get_workflow_handle("hidden").fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    assert request().service.encode() not in started.input.SerializeToString()


@pytest.mark.parametrize(
    "settings",
    [
        TemporalSettings(tls=TlsSettings(server_ca=Path("nowhere.pem"))),
        TemporalSettings(api_key_file=Path("nowhere.pem")),
    ],
)
async def test_a_file_that_is_not_there_is_named(settings: TemporalSettings) -> None:
    with pytest.raises(PermanentFailure, match=r"nowhere\.pem cannot be read"):
        await connect(settings)
