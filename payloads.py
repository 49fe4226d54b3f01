"""Payloads of workflows in their one form; encrypted when the connection file names a key.

Histories hold digests and references only; what is left (commits, people's names, sentences) can
be hidden from whoever runs Temporal. Workflow ids and search attributes stay readable.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from domain.errors import PermanentFailure

ENCODING = b"binary/encrypted"
KEY_BYTES = 32
NONCE_BYTES = 12


class Encryption(PayloadCodec):
    """AES-256-GCM; the first key encrypts, every key decrypts, so that keys can be changed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {_name(key): AESGCM(key) for key in keys}
        self._current = _name(keys[0])

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt whole payloads, their metadata too."""
        return [self._encrypt(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt; what was never encrypted is left alone, for histories from before."""
        return [self._decrypt(payload) for payload in payloads]

    def _encrypt(self, payload: Payload) -> Payload:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, payload.SerializeToString(), None)
        metadata = {"encoding": ENCODING, "encryption-key-id": self._current.encode()}
        return Payload(metadata=metadata, data=nonce + sealed)

    def _decrypt(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return payload
        key = payload.metadata.get("encryption-key-id", b"").decode()
        if key not in self._ciphers:
            raise PermanentFailure(
                f"a payload is encrypted with the key {key}, which [temporal] encryption_key_file "
                "does not hold; add the old key as another line"
            )
        nonce, sealed = payload.data[:NONCE_BYTES], payload.data[NONCE_BYTES:]
        try:
            return Payload.FromString(self._ciphers[key].decrypt(nonce, sealed, None))
        except InvalidTag:
            raise PermanentFailure(f"a payload of the key {key} was tampered with") from None


def data_converter(key_file: Path | None) -> DataConverter:
    """Our records as JSON, encrypted when a key file is named.

    The file has one base64 line of 32 bytes per key (`openssl rand -base64 32`), the current first.
    PermanentFailure names the file when it cannot be used.
    """
    if key_file is None:
        return pydantic_data_converter
    return replace(
        pydantic_data_converter,
        payload_codec=Encryption(_keys(key_file)),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def _keys(key_file: Path) -> list[bytes]:
    try:
        lines = key_file.read_text().split()
        keys = [base64.b64decode(line, validate=True) for line in lines]
    except (OSError, UnicodeDecodeError, binascii.Error) as error:
        raise PermanentFailure(f"[temporal] encryption_key_file {key_file}: {error}") from error
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise PermanentFailure(
            f"[temporal] encryption_key_file {key_file} must hold {KEY_BYTES} bytes in base64 per "
            "line; `openssl rand -base64 32` makes one"
        )
    return keys


def _name(key: bytes) -> str:
    return sha256(b"tidegate payload key" + key).hexdigest()[:12]
