"""Signing through a running ssh-agent: keys that are unlocked, forwarded or live in hardware.

Protocol: draft-ietf-sshm-ssh-agent. The socket is an argument; only the starter knows the
environment (SSH_AUTH_SOCK).
"""

from __future__ import annotations

import base64
import socket
import struct
from datetime import timedelta
from pathlib import Path

from clients.ssh_key import fingerprint, parse_public_key
from clients.ssh_signature import APPROVAL_NAMESPACE, seal
from clients.ssh_wire import Fields, string
from domain.errors import NotFound, PermanentFailure, TransientFailure

_LIST_KEYS, _KEYS = 11, 12
_SIGN, _SIGNED = 13, 14
_RSA_SHA2_512 = 4
_ANSWER_LIMIT_BYTES = 256 * 1024
_TOUCH_TIMEOUT = timedelta(minutes=1)


def list_keys(agent_socket: Path) -> tuple[str, ...]:
    """Return the public keys the agent holds, each as `type base64 comment`."""
    return tuple(_line(wire, comment) for wire, comment in _held(agent_socket))


def sign(
    message: bytes, agent_socket: Path, public_key: str, namespace: str = APPROVAL_NAMESPACE
) -> str:
    """Return the armored signature by the agent's key `public_key` (`type base64 [comment]`).

    NotFound without agent or key; PermanentFailure when the agent refuses; TransientFailure when it
    does not answer within a minute (a touch or a confirmation is waited for).
    """
    wire = parse_public_key(public_key, "the signer")
    if wire not in dict(_held(agent_socket)):
        raise NotFound(
            f"the ssh-agent at {agent_socket} does not hold the key {fingerprint(wire)}; "
            "add it with ssh-add"
        )

    def sign_bytes(data: bytes) -> bytes:
        request = bytes([_SIGN]) + string(wire) + string(data) + struct.pack(">I", _RSA_SHA2_512)
        return _ask(agent_socket, request, _SIGNED, f"sign with {fingerprint(wire)}").string()

    return seal(message, wire, namespace, sign_bytes)


def _held(agent_socket: Path) -> list[tuple[bytes, bytes]]:
    fields = _ask(agent_socket, bytes([_LIST_KEYS]), _KEYS, "list its keys")
    return [(fields.string(), fields.string()) for _ in range(fields.number())]


def _line(wire: bytes, comment: bytes) -> str:
    key_type = Fields(wire, "a key of the ssh-agent").text()
    encoded = base64.b64encode(wire).decode()
    return f"{key_type} {encoded} {comment.decode(errors='replace')}".rstrip()


def _ask(agent_socket: Path, request: bytes, expected: int, purpose: str) -> Fields:
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_TOUCH_TIMEOUT.total_seconds())
            connection.connect(str(agent_socket))
            connection.sendall(string(request))
            (length,) = struct.unpack(">I", _receive(connection, 4))
            answer = _receive(connection, min(length, _ANSWER_LIMIT_BYTES))
    except TimeoutError:
        raise TransientFailure(
            f"the ssh-agent at {agent_socket} did not {purpose} in time; confirm or touch the key"
        ) from None
    except OSError as error:
        raise NotFound(
            f"there is no ssh-agent at {agent_socket} ({error}); start one, or name a key file"
        ) from None
    if not answer or answer[0] != expected:
        raise PermanentFailure(
            f"the ssh-agent at {agent_socket} refused to {purpose}; unlock it, or confirm the key"
        )
    return Fields(answer[1:], "the answer of the ssh-agent")


def _receive(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise ConnectionError("it closed the connection")
        received += part
    return received
