from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from clients.ssh_key import fingerprint, parse_public_key, public_wire
from clients.ssh_signature import APPROVAL_NAMESPACE, AllowedKey, seal, sign, verify
from clients.ssh_wire import mpint, string
from domain.errors import NotFound, PermanentFailure
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
    keygen_sign,
    keygen_verify,
    make_key,
    run,
    security_key_ecdsa,
    security_key_ed25519,
    written,
)

needs_ssh_keygen = pytest.mark.skipif(SSH_KEYGEN is None, reason="OpenSSH is not installed")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyFile]:
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder / name, *options) for name, options in KEY_TYPES.items()}


def _line(name: bytes, rest: bytes) -> str:
    return f"{name.decode()} {base64.b64encode(string(name) + rest).decode()}"


@needs_ssh_keygen
@pytest.mark.skipif(find_spec("bcrypt") is None, reason="needs bcrypt, as cryptography's ssh extra")
@pytest.mark.parametrize("name", KEY_TYPES)
def test_passphrase_protected_openssh_key_signs_both_ways(tmp_path: Path, name: str) -> None:
    key = make_key(tmp_path / name, *KEY_TYPES[name], passphrase="tide and time")
    ours = sign(MESSAGE, key.path, passphrase="tide and time")
    keygen_verify(MESSAGE, ours, "alice", key.public, APPROVAL_NAMESPACE)
    theirs = keygen_sign(key, MESSAGE, APPROVAL_NAMESPACE, passphrase="tide and time")
    assert verify(MESSAGE, theirs, [allowed_key(key.path)]) == "alice"


@needs_ssh_keygen
@pytest.mark.parametrize("name", ["ecdsa256", "rsa2048"])
def test_passphrase_protected_pkcs8_key_signs_both_ways(tmp_path: Path, name: str) -> None:
    options = (*KEY_TYPES[name], "-m", "PKCS8")
    key = make_key(tmp_path / name, *options, passphrase="tide and time")
    ours = sign(MESSAGE, key.path, passphrase="tide and time")
    keygen_verify(MESSAGE, ours, "alice", key.public, APPROVAL_NAMESPACE)
    theirs = keygen_sign(key, MESSAGE, APPROVAL_NAMESPACE, passphrase="tide and time")
    assert verify(MESSAGE, theirs, [allowed_key(key.path)]) == "alice"


@needs_ssh_keygen
@pytest.mark.parametrize("passphrase", [None, "wrong"])
def test_missing_or_wrong_passphrase_is_refused(tmp_path: Path, passphrase: str | None) -> None:
    key = make_key(tmp_path / "key", *KEY_TYPES["ed25519"], passphrase="tide and time")
    with pytest.raises(PermanentFailure, match=r"cannot open the private key .*passphrase"):
        sign(MESSAGE, key.path, passphrase=passphrase)


@needs_ssh_keygen
def test_without_bcrypt_a_protected_openssh_key_is_refused_with_the_way_out(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", *KEY_TYPES["ed25519"], passphrase="secret")
    script = (
        "import sys; sys.modules['bcrypt'] = None\n"
        "from pathlib import Path\n"
        "from clients.ssh_signature import sign\n"
        "from domain.errors import PermanentFailure\n"
        "try: sign(b'', Path(sys.argv[1]), passphrase='secret')\n"
        "except PermanentFailure as failure: print(failure)\n"
    )
    root = str(Path(__file__).parents[2])
    said = run(sys.executable, "-c", script, key.path, PYTHONPATH=root).decode()
    assert "bcrypt" in said
    assert "ssh-agent" in said


@needs_ssh_keygen
def test_fingerprint_is_the_one_ssh_keygen_prints(keys: dict[str, KeyFile]) -> None:
    for key in keys.values():
        said = run("ssh-keygen", "-l", "-f", key.path).decode()
        assert fingerprint(parse_public_key(key.public, "alice")) in said


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ssh-ed25519", 'is not "ssh-ed25519 AAAA..."'),
        ("ssh-ed25519 AAAA!", "malformed"),
        ("ssh-ed25519 AAAA", "truncated"),
        (GOLDEN_KEY.replace("ssh-ed25519 ", "ssh-rsa "), "holds another type"),
        (_line(b"ssh-dss", b""), "algorithm ssh-dss"),
        (_line(b"ssh-ed25519", string(bytes(32)) + b"!"), "1 bytes follow its end"),
        (_line(b"ssh-ed25519", string(bytes(31))), "malformed ssh-ed25519 key"),
        (_line(b"ecdsa-sha2-nistp256", string(b"nistp384") + string(b"")), "curve is nistp384"),
        (_line(b"ecdsa-sha2-nistp256", string(b"nistp256") + string(b"\4")), "malformed ecdsa"),
    ],
)
def test_malformed_key_of_the_policy_is_refused_naming_whose_it_is(line: str, reason: str) -> None:
    with pytest.raises(PermanentFailure, match="the SSH key of carol") as refused:
        verify(MESSAGE, GOLDEN_SIGNATURE, [AllowedKey("carol", line)])
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("spell", "reason"),
    [
        (lambda r, s: string(b"\0" + mpint(r)[4:]) + mpint(s), "not in its shortest form"),
        (lambda r, s: mpint(0) + mpint(s), "not positive"),
        (lambda r, s: mpint(r) + mpint(s) + b"!", "1 bytes follow its end"),
        (lambda r, s: mpint(r), "truncated"),
    ],
)
def test_second_spelling_of_an_ecdsa_signature_is_refused(
    spell: Callable[[int, int], bytes], reason: str
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())

    def sign_bytes(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return string(b"ecdsa-sha2-nistp256") + string(spell(r, s))

    with pytest.raises(PermanentFailure, match=reason):
        seal(MESSAGE, public_wire(key), APPROVAL_NAMESPACE, sign_bytes)


def test_sha1_signature_of_an_rsa_key_is_refused_by_name(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    path = written(tmp_path / "id_rsa", key)
    good = blob_of(sign(MESSAGE, path))
    envelope, signed = good[: good.rindex(b"rsa-sha2-512") - 8], []

    def with_sha1(data: bytes) -> bytes:
        value = key.sign(data, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - what must be refused
        signed.append(string(b"ssh-rsa") + string(value))
        return signed[0]

    with pytest.raises(PermanentFailure, match="unsupported algorithm ssh-rsa"):
        seal(MESSAGE, public_wire(key), APPROVAL_NAMESPACE, with_sha1)
    with pytest.raises(PermanentFailure, match="unsupported algorithm ssh-rsa"):
        verify(MESSAGE, armored_of(envelope + string(signed[0])), [allowed_key(path)])


def test_short_rsa_key_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "id_rsa", rsa.generate_private_key(65537, 1024))  # noqa: S505
    with pytest.raises(PermanentFailure, match="1024 bits are too few"):
        sign(MESSAGE, path)


def test_certificate_is_refused_by_name() -> None:
    name = b"ssh-ed25519-cert-v01@openssh.com"
    blob = blob_of(GOLDEN_SIGNATURE)
    rest = blob[6 + 4 + 4 + 51 :]
    armored = armored_of(blob[:10] + string(string(name)) + rest)
    with pytest.raises(PermanentFailure, match=f"unsupported algorithm {name.decode()}"):
        verify(MESSAGE, armored, [AllowedKey("alice", GOLDEN_KEY)])


def test_missing_private_key_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no private key"):
        sign(MESSAGE, tmp_path / "id_ed25519")


def test_unsupported_private_key_is_refused(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    path = tmp_path / "id_ecdsa"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    with pytest.raises(PermanentFailure, match="unsupported algorithm or curve"):
        sign(MESSAGE, path)


def test_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    path.write_text("not a key")
    with pytest.raises(PermanentFailure, match="cannot open the private key"):
        sign(MESSAGE, path)


@needs_ssh_keygen
@pytest.mark.parametrize("make", [security_key_ed25519, security_key_ecdsa])
def test_touched_security_key_is_accepted_by_us_and_by_ssh_keygen(
    make: Callable[[int], tuple[bytes, Callable[[bytes], bytes]]],
) -> None:
    wire, touch = make(1)
    name = wire[4 : 4 + wire[3]].decode()
    line = f"{name} {base64.b64encode(wire).decode()}"
    armored = seal(MESSAGE, wire, APPROVAL_NAMESPACE, touch)
    assert verify(MESSAGE, armored, [AllowedKey("alice", line)]) == "alice"
    keygen_verify(MESSAGE, armored, "alice", line, APPROVAL_NAMESPACE)


@pytest.mark.parametrize("make", [security_key_ed25519, security_key_ecdsa])
def test_security_key_that_nobody_touched_is_refused(
    make: Callable[[int], tuple[bytes, Callable[[bytes], bytes]]],
) -> None:
    wire, touch = make(0)
    with pytest.raises(PermanentFailure, match="nobody touched"):
        seal(MESSAGE, wire, APPROVAL_NAMESPACE, touch)
