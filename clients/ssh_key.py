"""SSH keys: one-line public keys, private key files, and the signatures each key type makes.

Formats: RFC 4253 6.6, RFC 5656 (ECDSA), RFC 8332 (rsa-sha2), RFC 8709 (Ed25519), and OpenSSH
PROTOCOL.u2f (security keys). Never SHA-1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from clients.ssh_wire import Fields, mpint, string
from domain.errors import NotFound, PermanentFailure

PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_SMALLEST_RSA_BITS = 2048
_USER_PRESENT = 0x01
_CURVES: Mapping[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "nistp256": (ec.SECP256R1(), hashes.SHA256()),
    "nistp384": (ec.SECP384R1(), hashes.SHA384()),
    "nistp521": (ec.SECP521R1(), hashes.SHA512()),
}


def fingerprint(public_key: bytes) -> str:
    """Return the fingerprint of a key's wire form as `ssh-keygen -l` prints it."""
    digest = base64.b64encode(hashlib.sha256(public_key).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def parse_public_key(line: str, owner: str) -> bytes:
    """Return the wire form of a public key given as `type base64 [comment]`.

    `owner` names whose key it is in the PermanentFailure for a malformed or unsupported line.
    """
    words = line.split()
    if len(words) < 2:
        raise PermanentFailure(
            f'the SSH key of {owner} is malformed: "{line[:60]}" is not "ssh-ed25519 AAAA..."; '
            "put the one line of its .pub file there"
        )
    try:
        wire = base64.b64decode(words[1], validate=True)
    except binascii.Error as error:
        raise PermanentFailure(
            f"the SSH key of {owner} is malformed: {error}; put the line of its .pub file there"
        ) from None
    load_public_key(wire, f"the SSH key of {owner}")
    if Fields(wire, f"the SSH key of {owner}").text() != words[0]:
        raise PermanentFailure(
            f"the SSH key of {owner} says {words[0]} but holds another type; "
            "put the one line of its .pub file there"
        )
    return wire


@dataclass(frozen=True, slots=True)
class LoadedKey:
    """A public key ready to check signatures, with the signature algorithms it may use."""

    key: PublicKey
    algorithms: Mapping[str, hashes.HashAlgorithm | None]
    application: bytes | None = None

    def check(self, signature: bytes, data: bytes) -> None:
        """Raise PermanentFailure unless `signature` (wire form) is this key's over `data`."""
        fields = Fields(signature, "the SSH signature")
        algorithm = fields.text()
        if algorithm not in self.algorithms:
            raise PermanentFailure(
                f"the SSH signature uses the unsupported algorithm {algorithm}; this key signs "
                f"with {' or '.join(self.algorithms)}, so sign again with a newer ssh-keygen"
            )
        value = fields.string()
        if self.application is not None:
            data = _touched(fields, self.application, data)
        fields.end()
        try:
            _check_value(self.key, self.algorithms[algorithm], value, data)
        except InvalidSignature:
            raise PermanentFailure(
                "the SSH signature does not fit the message: one of them was altered after "
                "signing; sign the message as it is now"
            ) from None


def load_public_key(wire: bytes, subject: str) -> LoadedKey:
    """Return the key in wire form; PermanentFailure for types that are unsupported or malformed."""
    fields = Fields(wire, subject)
    key_type = fields.text()
    load = _LOADERS.get(key_type)
    if load is None:
        raise PermanentFailure(
            f"{subject} has the unsupported algorithm {key_type}; use one of {', '.join(_LOADERS)}"
        )
    try:
        loaded = load(fields)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PermanentFailure(
            f"{subject} is a malformed {key_type} key: {error}; make it again"
        ) from None
    fields.end()
    return loaded


def load_private_key(path: Path, passphrase: str | None) -> PrivateKey:
    """Read an OpenSSH, PKCS#8 or PEM private key file.

    NotFound without the file; PermanentFailure for a wrong passphrase or an unsupported key.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no private key {path}; name the key to sign with") from None
    except OSError as error:
        raise PermanentFailure(f"cannot read the private key {path}: {error.strerror}") from None
    read = load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in text else load_pem_private_key
    try:
        key = read(text, passphrase.encode() if passphrase is not None else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise PermanentFailure(
            f"cannot open the private key {path}: {error}; give the right passphrase, or add the "
            "key to ssh-agent and sign through it"
        ) from None
    if not isinstance(key, PrivateKey) or not _has_wire_form(key):
        raise PermanentFailure(
            f"the private key {path} has an unsupported algorithm or curve; "
            f"use one of {', '.join(_LOADERS)}"
        )
    return key


def public_wire(key: PrivateKey) -> bytes:
    """Return the wire form of a private key's public half."""
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return base64.b64decode(line.split()[1])


def sign_data(key: PrivateKey, data: bytes) -> bytes:
    """Return the signature over `data` in wire form (algorithm, value); RSA as rsa-sha2-512."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return string(b"ssh-ed25519") + string(key.sign(data))
    if isinstance(key, rsa.RSAPrivateKey):
        value = key.sign(data, padding.PKCS1v15(), hashes.SHA512())
        return string(b"rsa-sha2-512") + string(value)
    name = Fields(public_wire(key), "the private key").text()
    _, digest = _CURVES[name.removeprefix("ecdsa-sha2-")]
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
    return string(name.encode()) + string(mpint(r) + mpint(s))


def _has_wire_form(key: PrivateKey) -> bool:
    curves = {curve.name for curve, _ in _CURVES.values()}
    return not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name in curves


def _touched(fields: Fields, application: bytes, data: bytes) -> bytes:
    flags, counter = fields.take(1), fields.take(4)
    if not flags[0] & _USER_PRESENT:
        raise PermanentFailure(
            "the SSH signature was made by a security key that nobody touched; "
            "sign again with a key that asks for a touch"
        )
    parts = (hashlib.sha256(application).digest(), flags, counter, hashlib.sha256(data).digest())
    return b"".join(parts)


def _check_value(
    key: PublicKey, digest: hashes.HashAlgorithm | None, value: bytes, data: bytes
) -> None:
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(value, data)
        return
    if digest is None:
        raise PermanentFailure("the SSH signature names no hash for its key; sign again")
    if isinstance(key, rsa.RSAPublicKey):
        # Some agents drop leading zeros (RFC 8332 section 3 asks to accept that).
        key.verify(value.rjust((key.key_size + 7) // 8, b"\0"), data, padding.PKCS1v15(), digest)
        return
    fields = Fields(value, "the SSH signature")
    pair = encode_dss_signature(fields.positive_mpint(), fields.positive_mpint())
    fields.end()
    key.verify(pair, data, ec.ECDSA(digest))


def _load_ed25519(fields: Fields) -> LoadedKey:
    key = ed25519.Ed25519PublicKey.from_public_bytes(fields.string())
    return LoadedKey(key, {"ssh-ed25519": None})


def _load_rsa(fields: Fields) -> LoadedKey:
    exponent, modulus = fields.positive_mpint(), fields.positive_mpint()
    if modulus.bit_length() < _SMALLEST_RSA_BITS:
        raise ValueError(f"{modulus.bit_length()} bits are too few, {_SMALLEST_RSA_BITS} are due")
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return LoadedKey(key, {"rsa-sha2-512": hashes.SHA512(), "rsa-sha2-256": hashes.SHA256()})


def _load_ecdsa(curve_name: str) -> Callable[[Fields], LoadedKey]:
    def load(fields: Fields) -> LoadedKey:
        if (written := fields.text()) != curve_name:
            raise ValueError(f"its curve is {written}")
        curve, digest = _CURVES[curve_name]
        key = ec.EllipticCurvePublicKey.from_encoded_point(curve, fields.string())
        return LoadedKey(key, {f"ecdsa-sha2-{curve_name}": digest})

    return load


def _load_security_key(
    name: str, load: Callable[[Fields], LoadedKey]
) -> Callable[[Fields], LoadedKey]:
    def load_with_application(fields: Fields) -> LoadedKey:
        plain = load(fields)
        (digest,) = plain.algorithms.values()
        return LoadedKey(plain.key, {name: digest}, application=fields.string())

    return load_with_application


_SK_ED25519 = "sk-ssh-ed25519@openssh.com"
_SK_ECDSA = "sk-ecdsa-sha2-nistp256@openssh.com"
_LOADERS: Mapping[str, Callable[[Fields], LoadedKey]] = {
    "ssh-ed25519": _load_ed25519,
    "ecdsa-sha2-nistp256": _load_ecdsa("nistp256"),
    "ecdsa-sha2-nistp384": _load_ecdsa("nistp384"),
    "ecdsa-sha2-nistp521": _load_ecdsa("nistp521"),
    "ssh-rsa": _load_rsa,
    _SK_ED25519: _load_security_key(_SK_ED25519, _load_ed25519),
    _SK_ECDSA: _load_security_key(_SK_ECDSA, _load_ecdsa("nistp256")),
}
