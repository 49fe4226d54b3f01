"""SSH signatures (SSHSIG): what `ssh-keygen -Y sign` makes is accepted, and the other way round.

Format: OpenSSH PROTOCOL.sshsig. Used to approve a release and to sign a bundle; the starter signs,
the activities verify.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clients.ssh_key import (
    fingerprint,
    load_private_key,
    load_public_key,
    parse_public_key,
    public_wire,
    sign_data,
)
from clients.ssh_wire import Fields, string
from domain.errors import PermanentFailure

APPROVAL_NAMESPACE = "tidegate-approval"

_SUBJECT = "the SSH signature"
_MAGIC = b"SSHSIG"
_VERSION = 1
_HEADER = "-----BEGIN SSH SIGNATURE-----"
_FOOTER = "-----END SSH SIGNATURE-----"
_LINE_LENGTH = 70  # as ssh-keygen breaks its lines
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class AllowedKey:
    """A person (or machine) of the policy and one public key, `ssh-ed25519 AAAA... [comment]`."""

    principal: str
    key: str


@dataclass(frozen=True, slots=True)
class _Envelope:
    public_key: bytes
    namespace: str
    reserved: bytes
    hash_name: str

    def signed_data(self, message: bytes) -> bytes:
        digest = _HASHES[self.hash_name](message).digest()
        name, hash_name = self.namespace.encode(), self.hash_name.encode()
        return _MAGIC + b"".join(map(string, (name, self.reserved, hash_name, digest)))

    def armored(self, signature: bytes) -> str:
        strings = (
            self.public_key,
            self.namespace.encode(),
            self.reserved,
            self.hash_name.encode(),
            signature,
        )
        blob = _MAGIC + struct.pack(">I", _VERSION) + b"".join(map(string, strings))
        text = base64.b64encode(blob).decode()
        lines = (text[at : at + _LINE_LENGTH] for at in range(0, len(text), _LINE_LENGTH))
        return "\n".join((_HEADER, *lines, _FOOTER, ""))


def sign(
    message: bytes,
    private_key_path: Path,
    namespace: str = APPROVAL_NAMESPACE,
    passphrase: str | None = None,
) -> str:
    """Return the armored signature of `message` by a private key file, hashed with SHA-512.

    NotFound without the file; PermanentFailure for a wrong passphrase or an unsupported key. Keys
    that live in hardware or in ssh-agent sign through `clients.ssh_agent`.
    """
    key = load_private_key(private_key_path, passphrase)
    return seal(message, public_wire(key), namespace, lambda data: sign_data(key, data))


def seal(
    message: bytes, public_key: bytes, namespace: str, sign_bytes: Callable[[bytes], bytes]
) -> str:
    """Return the armored signature that `sign_bytes` (data to wire-form signature) makes.

    The result is checked before it is returned: a signer that answers with a wrong or outdated
    algorithm (an old agent using SHA-1) is a PermanentFailure here, not later at the gate.
    """
    if not namespace:
        raise PermanentFailure("an SSH signature needs a namespace; give one that is not empty")
    envelope = _Envelope(public_key, namespace, b"", "sha512")
    data = envelope.signed_data(message)
    signature = sign_bytes(data)
    load_public_key(public_key, "the key to sign with").check(signature, data)
    return envelope.armored(signature)


def verify(
    message: bytes,
    armored: str,
    allowed: Sequence[AllowedKey],
    namespace: str = APPROVAL_NAMESPACE,
) -> str:
    """Return the principal among `allowed` who signed `message` for `namespace`.

    Raises PermanentFailure saying which: malformed armor, truncated, unsupported version, hash or
    algorithm, wrong namespace, unknown key, or altered message.
    """
    envelope, signature = _open(armored)
    if envelope.namespace != namespace:
        raise PermanentFailure(
            f'the SSH signature was made for the namespace "{envelope.namespace}" and not for '
            f'"{namespace}"; sign again with: ssh-keygen -Y sign -n {namespace}'
        )
    key = load_public_key(envelope.public_key, "the key of the SSH signature")
    principal = _principal(envelope.public_key, allowed)
    key.check(signature, envelope.signed_data(message))
    return principal


def _principal(public_key: bytes, allowed: Sequence[AllowedKey]) -> str:
    principals = {
        entry.principal
        for entry in allowed
        if parse_public_key(entry.key, entry.principal) == public_key
    }
    if not principals:
        raise PermanentFailure(
            f"the SSH signature was made by the unknown key {fingerprint(public_key)}; sign with "
            f"a key the policy lists for one of: {', '.join(_names(allowed)) or 'nobody yet'}"
        )
    if len(principals) > 1:
        # One key for two people would let one person be a quorum of two.
        raise PermanentFailure(
            f"the key {fingerprint(public_key)} is listed for {' and '.join(sorted(principals))}; "
            "give each person a key of their own in the policy"
        )
    return principals.pop()


def _names(allowed: Sequence[AllowedKey]) -> list[str]:
    return sorted({entry.principal for entry in allowed})


def _open(armored: str) -> tuple[_Envelope, bytes]:
    fields = Fields(_unarmored(armored), _SUBJECT)
    if fields.take(len(_MAGIC)) != _MAGIC:
        raise PermanentFailure("the SSH signature is malformed: it does not begin with SSHSIG")
    if (version := fields.number()) != _VERSION:
        raise PermanentFailure(
            f"the SSH signature has the unsupported version {version}; version {_VERSION} is due"
        )
    envelope = _Envelope(fields.string(), fields.text(), fields.string(), fields.text())
    signature = fields.string()
    fields.end()
    if envelope.hash_name not in _HASHES:
        raise PermanentFailure(
            f"the SSH signature uses the unsupported hash algorithm {envelope.hash_name}; "
            f"sign again with {' or '.join(_HASHES)}"
        )
    return envelope, signature


def _unarmored(armored: str) -> bytes:
    lines = armored.replace("\r\n", "\n").rstrip("\n").split("\n")
    if lines[0] != _HEADER:
        raise PermanentFailure(f"malformed armor: the SSH signature does not begin with {_HEADER}")
    if lines[-1] != _FOOTER:
        raise PermanentFailure(
            f"malformed armor: the SSH signature is truncated, it does not end with {_FOOTER}"
        )
    text = "".join(lines[1:-1])
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PermanentFailure(
            f"malformed armor: the SSH signature is not base64 ({error}); copy it again"
        ) from None
    # Unused low bits of the last character must be zero, else two texts are one signature.
    if base64.b64encode(blob).decode() != text:
        raise PermanentFailure(
            "malformed armor: the base64 of the SSH signature was altered; copy it again"
        )
    return blob
