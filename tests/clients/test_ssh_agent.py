from __future__ import annotations

import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.ssh_agent import list_keys, sign
from clients.ssh_signature import APPROVAL_NAMESPACE, AllowedKey, verify
from domain.errors import NotFound, PermanentFailure
from tests.support.ssh_keys import (
    KEY_TYPES,
    SSH_AGENT,
    KeyFile,
    keygen_verify,
    make_key,
    run,
    running_agent,
)

MESSAGE = b"evidence sha256:0123456789abcdef\n"
pytestmark = pytest.mark.skipif(SSH_AGENT is None, reason="OpenSSH is not installed")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyFile]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder / name, *options) for name, options in KEY_TYPES.items()}


@pytest.fixture(scope="module")
def agent(keys: dict[str, KeyFile]) -> Iterator[Path]:
    with running_agent(*keys.values()) as listening:
        yield listening


@pytest.mark.parametrize("name", KEY_TYPES)
def test_what_the_agent_signs_is_accepted_by_us_and_by_ssh_keygen(
    agent: Path, keys: dict[str, KeyFile], name: str
) -> None:
    public = keys[name].public
    armored = sign(MESSAGE, agent, public)
    assert verify(MESSAGE, armored, [AllowedKey("alice", public)]) == "alice"
    keygen_verify(MESSAGE, armored, "alice", public, APPROVAL_NAMESPACE)


def test_agent_lists_its_keys_as_public_lines(agent: Path, keys: dict[str, KeyFile]) -> None:
    assert set(list_keys(agent)) == {key.public for key in keys.values()}


def test_key_the_agent_does_not_hold_is_not_found(agent: Path, tmp_path: Path) -> None:
    stranger = make_key(tmp_path / "key", *KEY_TYPES["ed25519"])
    with pytest.raises(NotFound, match=r"does not hold the key SHA256:.*ssh-add"):
        sign(MESSAGE, agent, stranger.public)


def test_locked_agent_does_not_sign(keys: dict[str, KeyFile]) -> None:
    with running_agent(keys["ed25519"]) as listening, tempfile.TemporaryDirectory() as folder:
        asker = Path(folder, "askpass")
        asker.write_text("#!/bin/sh\necho secret\n")
        asker.chmod(0o700)
        run(
            *("ssh-add", "-x"),
            SSH_AUTH_SOCK=str(listening),
            SSH_ASKPASS=str(asker),
            SSH_ASKPASS_REQUIRE="force",
        )
        with pytest.raises(NotFound, match="does not hold the key"):
            sign(MESSAGE, listening, keys["ed25519"].public)


def test_no_agent_is_not_found(tmp_path: Path, keys: dict[str, KeyFile]) -> None:
    with pytest.raises(NotFound, match="no ssh-agent"):
        sign(MESSAGE, tmp_path / "socket", keys["ed25519"].public)


@pytest.mark.parametrize(
    ("answer", "failure", "reason"),
    [
        (struct.pack(">IB", 1, 5), PermanentFailure, "refused to list its keys"),
        (b"", NotFound, "closed the connection"),
        (struct.pack(">IBI", 5, 12, 1), PermanentFailure, "truncated"),
    ],
)
def test_agent_that_answers_otherwise_is_named(
    keys: dict[str, KeyFile], answer: bytes, failure: type[PermanentFailure], reason: str
) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        path = Path(folder, "socket")
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(failure, match=reason):
            sign(MESSAGE, path, keys["ed25519"].public)
        thread.join()
