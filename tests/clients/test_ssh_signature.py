from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from clients.ssh_key import fingerprint, parse_public_key
from clients.ssh_signature import APPROVAL_NAMESPACE, AllowedKey, seal, sign, verify
from clients.ssh_wire import string
from domain.errors import PermanentFailure
from tests.support.ssh_keys import (
    GOLDEN_KEY,
    GOLDEN_SIGNATURE,
    KEY_TYPES,
    MESSAGE,
    SSH_KEYGEN,
    KeyFile,
    allowed_key,
    armored_of,
    blob_of,
    flipped,
    keygen_check,
    keygen_sign,
    keygen_verify,
    make_key,
    security_key_ecdsa,
    security_key_ed25519,
    written,
)

needs_ssh_keygen = pytest.mark.skipif(SSH_KEYGEN is None, reason="OpenSSH is not installed")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyFile]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder / name, *options) for name, options in KEY_TYPES.items()}


@pytest.fixture(scope="module")
def software_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "id_ed25519"
    return written(path, Ed25519PrivateKey.generate())


@needs_ssh_keygen
@pytest.mark.parametrize("name", KEY_TYPES)
def test_what_ssh_keygen_signs_names_its_principal(keys: dict[str, KeyFile], name: str) -> None:
    armored = keygen_sign(keys[name], MESSAGE, APPROVAL_NAMESPACE)
    others = [allowed_key(key.path, other) for other, key in keys.items() if other != name]
    assert verify(MESSAGE, armored, [*others, allowed_key(keys[name].path)]) == "alice"


@needs_ssh_keygen
@pytest.mark.parametrize("name", KEY_TYPES)
def test_what_we_sign_is_accepted_by_ssh_keygen(keys: dict[str, KeyFile], name: str) -> None:
    armored = sign(MESSAGE, keys[name].path)
    said = keygen_verify(MESSAGE, armored, "alice", keys[name].public, APPROVAL_NAMESPACE)
    assert 'Good "tidegate-approval" signature for alice' in said
    assert "Good" in keygen_check(MESSAGE, armored, APPROVAL_NAMESPACE)
    assert verify(MESSAGE, armored, [allowed_key(keys[name].path)]) == "alice"


@needs_ssh_keygen
def test_ssh_keygen_refuses_what_we_signed_for_another_namespace_or_message(
    keys: dict[str, KeyFile],
) -> None:
    key = keys["ed25519"]
    armored = sign(MESSAGE, key.path, namespace="bundle")
    with pytest.raises(subprocess.CalledProcessError):
        keygen_verify(MESSAGE, armored, "alice", key.public, APPROVAL_NAMESPACE)
    with pytest.raises(subprocess.CalledProcessError):
        keygen_verify(MESSAGE + b"!", armored, "alice", key.public, "bundle")


@needs_ssh_keygen
@pytest.mark.parametrize("name", ["ed25519", "rsa2048"])
def test_deterministic_keys_sign_byte_for_byte_as_ssh_keygen(
    keys: dict[str, KeyFile], name: str
) -> None:
    assert sign(MESSAGE, keys[name].path) == keygen_sign(keys[name], MESSAGE, APPROVAL_NAMESPACE)


@needs_ssh_keygen
@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_both_message_hashes_of_ssh_keygen_are_accepted(
    keys: dict[str, KeyFile], hash_name: str
) -> None:
    key = keys["ecdsa256"]
    armored = keygen_sign(key, MESSAGE, APPROVAL_NAMESPACE, "-O", f"hashalg={hash_name}")
    assert hash_name.encode() in blob_of(armored)
    assert verify(MESSAGE, armored, [allowed_key(key.path)]) == "alice"


def test_golden_signature_of_ssh_keygen_is_accepted() -> None:
    assert verify(MESSAGE, GOLDEN_SIGNATURE, [AllowedKey("alice", GOLDEN_KEY)]) == "alice"


def test_signature_is_accepted_with_windows_line_ends() -> None:
    armored = GOLDEN_SIGNATURE.replace("\n", "\r\n")
    assert verify(MESSAGE, armored, [AllowedKey("alice", GOLDEN_KEY)]) == "alice"


def test_other_namespace_is_refused_by_name(software_key: Path) -> None:
    armored = sign(MESSAGE, software_key, namespace="git")
    with pytest.raises(PermanentFailure, match=r'namespace "git" and not for "tidegate-approval"'):
        verify(MESSAGE, armored, [allowed_key(software_key)])


def test_empty_namespace_is_never_signed(software_key: Path) -> None:
    with pytest.raises(PermanentFailure, match="needs a namespace"):
        sign(MESSAGE, software_key, namespace="")


def test_unknown_key_is_named_by_its_fingerprint(software_key: Path) -> None:
    armored = sign(MESSAGE, software_key)
    print_of_key = fingerprint(parse_public_key(KeyFile(software_key).public, "alice"))
    with pytest.raises(PermanentFailure) as refused:
        verify(MESSAGE, armored, [AllowedKey("bob", GOLDEN_KEY)])
    assert f"unknown key {print_of_key}" in str(refused.value)
    assert "bob" in str(refused.value)


def test_nobody_allowed_refuses_everything() -> None:
    with pytest.raises(PermanentFailure, match="nobody yet"):
        verify(MESSAGE, GOLDEN_SIGNATURE, [])


def test_one_key_for_two_people_is_refused() -> None:
    allowed = [AllowedKey("bob", GOLDEN_KEY), AllowedKey("alice", GOLDEN_KEY)]
    with pytest.raises(PermanentFailure, match="listed for alice and bob"):
        verify(MESSAGE, GOLDEN_SIGNATURE, allowed)


def test_altered_message_is_refused() -> None:
    with pytest.raises(PermanentFailure, match="does not fit the message"):
        verify(MESSAGE + b" ", GOLDEN_SIGNATURE, [AllowedKey("alice", GOLDEN_KEY)])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda text: "", "does not begin with"),
        (lambda text: text.replace("BEGIN SSH", "BEGIN PGP"), "does not begin with"),
        (lambda text: text[:120], "truncated"),
        (lambda text: text.replace("U1NI", "U1N ", 1), "not base64"),
        (lambda text: text.replace("U1NI", "U1Né", 1), "not base64"),
        (lambda text: armored_of(b"SSHSIC" + blob_of(text)[6:]), "does not begin with SSHSIG"),
        (lambda text: armored_of(flipped(blob_of(text), 9, 3)), "unsupported version 2"),
        (lambda text: armored_of(blob_of(text)[:-1]), "truncated"),
        (lambda text: armored_of(blob_of(text) + b"\0"), "1 bytes follow"),
        (lambda text: armored_of(blob_of(text).replace(b"sha512", b"sha384")), "algorithm sha384"),
    ],
)
def test_malformed_armor_is_refused_with_its_reason(
    spoil: Callable[[str], str], reason: str
) -> None:
    with pytest.raises(PermanentFailure, match=reason):
        verify(MESSAGE, spoil(GOLDEN_SIGNATURE), [AllowedKey("alice", GOLDEN_KEY)])


def test_second_spelling_of_the_same_base64_is_refused(software_key: Path) -> None:
    name = "n"
    while blob_of(sign(MESSAGE, software_key, name)).__len__() % 3 != 1:
        name += "n"
    armored = sign(MESSAGE, software_key, name)
    at = armored.index("=") - 1
    other = chr(ord(armored[at]) + 1)
    assert base64.b64decode(armored[at - 1] + armored[at] + "==") == base64.b64decode(
        armored[at - 1] + other + "=="
    )
    with pytest.raises(PermanentFailure, match="base64 of the SSH signature was altered"):
        verify(MESSAGE, armored[:at] + other + armored[at + 1 :], [allowed_key(software_key)], name)


def test_reserved_field_added_later_is_refused() -> None:
    name = string(APPROVAL_NAMESPACE.encode())
    blob = blob_of(GOLDEN_SIGNATURE).replace(name + string(b""), name + string(b"later"))
    with pytest.raises(PermanentFailure, match="does not fit the message"):
        verify(MESSAGE, armored_of(blob), [AllowedKey("alice", GOLDEN_KEY)])


def test_bytes_after_the_inner_signature_are_refused() -> None:
    blob = blob_of(GOLDEN_SIGNATURE)
    inner = blob[-83:]
    with pytest.raises(PermanentFailure, match="1 bytes follow its end"):
        verify(
            MESSAGE,
            armored_of(blob[:-87] + string(inner + b"!")),
            [AllowedKey("alice", GOLDEN_KEY)],
        )


@given(st.binary(max_size=300), st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_what_is_signed_verifies_for_any_message_and_namespace(
    software_key: Path, message: bytes, namespace: str
) -> None:
    armored = sign(message, software_key, namespace)
    assert verify(message, armored, [allowed_key(software_key)], namespace) == "alice"


@pytest.fixture(scope="module")
def signed(
    software_key: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[str, AllowedKey]]:
    folder = tmp_path_factory.mktemp("signed")
    rsa_key = written(folder / "rsa", rsa.generate_private_key(65537, 2048))
    samples = [(sign(MESSAGE, path), allowed_key(path)) for path in (software_key, rsa_key)]
    for make in (security_key_ed25519, security_key_ecdsa):
        wire, touch = make(1)
        line = f"{wire[4 : 4 + wire[3]].decode()} {base64.b64encode(wire).decode()}"
        armored = seal(MESSAGE, wire, APPROVAL_NAMESPACE, touch)
        samples.append((armored, AllowedKey("alice", line)))
    return samples


@given(st.data(), st.integers(1, 255))
def test_any_flipped_byte_of_the_message_fails(
    signed: list[tuple[str, AllowedKey]], data: st.DataObject, mask: int
) -> None:
    armored, allowed = data.draw(st.sampled_from(signed))
    position = data.draw(st.integers(0, len(MESSAGE) - 1))
    with pytest.raises(PermanentFailure, match="does not fit the message"):
        verify(flipped(MESSAGE, position, mask), armored, [allowed])


@given(st.data(), st.integers(1, 255))
def test_any_flipped_byte_of_the_signature_fails(
    signed: list[tuple[str, AllowedKey]], data: st.DataObject, mask: int
) -> None:
    armored, allowed = data.draw(st.sampled_from(signed))
    blob = blob_of(armored)
    position = data.draw(st.integers(0, len(blob) - 1))
    with pytest.raises(PermanentFailure):
        verify(MESSAGE, armored_of(flipped(blob, position, mask)), [allowed])


@given(st.data(), st.integers(1, 255))
def test_any_flipped_character_of_the_armor_fails(
    signed: list[tuple[str, AllowedKey]], data: st.DataObject, mask: int
) -> None:
    armored, allowed = data.draw(st.sampled_from(signed))
    text = armored.encode()
    position = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(PermanentFailure):
        verify(MESSAGE, flipped(text, position, mask).decode("latin-1"), [allowed])


def test_each_single_bit_of_an_ed25519_signature_counts() -> None:
    blob, allowed = blob_of(GOLDEN_SIGNATURE), [AllowedKey("alice", GOLDEN_KEY)]
    for position in range(len(blob)):
        for bit in range(8):
            with pytest.raises(PermanentFailure):
                verify(MESSAGE, armored_of(flipped(blob, position, 1 << bit)), allowed)
