"""Real SSH keys, `ssh-keygen -Y` and ssh-agent for the tests of our SSH signatures."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from clients.ssh_signature import AllowedKey
from clients.ssh_wire import mpint, string

SSH_KEYGEN = shutil.which("ssh-keygen")
SSH_AGENT = shutil.which("ssh-agent")

MESSAGE = b"evidence sha256:0123456789abcdef\n"

# Made once by OpenSSH 9.2: `ssh-keygen -Y sign -n tidegate-approval` over MESSAGE.
GOLDEN_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJcoPuBEarYfnR28xLcDQ5vNEg8i0TDuDBBgsm3QXk7+"
GOLDEN_SIGNATURE = """\
-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAglyg+4ERqth+dHbzEtwNDm80SDy
LRMO4MEGCybdBeTv4AAAARdGlkZWdhdGUtYXBwcm92YWwAAAAAAAAABnNoYTUxMgAAAFMA
AAALc3NoLWVkMjU1MTkAAABAL+PARfvXiU3R5+KC5hRYHgg8srnycBeIJEmB+NYK3QWNhm
QDriNNoCjVzN5RYIqUh7R9x+SFkLh3nN5/w66DDg==
-----END SSH SIGNATURE-----
"""

KEY_TYPES = {
    "ed25519": ("-t", "ed25519"),
    "ecdsa256": ("-t", "ecdsa", "-b", "256"),
    "ecdsa384": ("-t", "ecdsa", "-b", "384"),
    "ecdsa521": ("-t", "ecdsa", "-b", "521"),
    "rsa2048": ("-t", "rsa", "-b", "2048"),
}


@dataclass(frozen=True)
class KeyFile:
    """A private key file and its public line."""

    path: Path

    @property
    def public(self) -> str:
        return self.path.with_name(self.path.name + ".pub").read_text().strip()


def run(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> bytes:
    """Run an OpenSSH program; CalledProcessError (with stderr) when it refuses."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        input=stdin,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise subprocess.CalledProcessError(
            done.returncode, arguments[:3], done.stdout, done.stderr
        )
    return done.stdout


def make_key(path: Path, *options: str, passphrase: str = "") -> KeyFile:
    run("ssh-keygen", "-q", *options, "-N", passphrase, "-C", "someone", "-f", path)
    return KeyFile(path)


def keygen_sign(
    key: KeyFile, message: bytes, namespace: str, *options: str, passphrase: str = ""
) -> str:
    with tempfile.TemporaryDirectory() as folder:
        asker = Path(folder, "askpass")
        asker.write_text('#!/bin/sh\nprintf "%s\\n" "$PASSPHRASE"\n')
        asker.chmod(0o700)
        signed = run(
            *("ssh-keygen", "-Y", "sign", "-f", str(key.path), "-n", namespace, *options),
            stdin=message,
            SSH_ASKPASS=str(asker),
            SSH_ASKPASS_REQUIRE="force",
            PASSPHRASE=passphrase,
        )
    return signed.decode()


def keygen_verify(message: bytes, armored: str, principal: str, public: str, namespace: str) -> str:
    """Return what `ssh-keygen -Y verify` says of a good signature."""
    with tempfile.TemporaryDirectory() as folder:
        signature, signers = Path(folder, "message.sig"), Path(folder, "allowed_signers")
        signature.write_text(armored)
        signers.write_text(f'{principal} namespaces="{namespace}" {public}\n')
        said = run(
            *("ssh-keygen", "-Y", "verify", "-f", signers, "-I", principal),
            *("-n", namespace, "-s", signature),
            stdin=message,
        )
    return said.decode()


def keygen_check(message: bytes, armored: str, namespace: str) -> str:
    """Return what `ssh-keygen -Y check-novalidate` says of a good signature."""
    with tempfile.TemporaryDirectory() as folder:
        signature = Path(folder, "message.sig")
        signature.write_text(armored)
        said = run(
            *("ssh-keygen", "-Y", "check-novalidate", "-n", namespace, "-s", signature),
            stdin=message,
        )
    return said.decode()


@contextlib.contextmanager
def running_agent(*keys: KeyFile) -> Iterator[Path]:
    """A real ssh-agent holding `keys`; yields its socket."""
    with tempfile.TemporaryDirectory(prefix="agent") as folder:
        listening = Path(folder, "socket")
        with subprocess.Popen(
            ["ssh-agent", "-D", "-a", str(listening)], stdout=subprocess.PIPE
        ) as agent:
            assert agent.stdout is not None
            agent.stdout.readline()  # it prints where it listens once it does
            try:
                for key in keys:
                    run("ssh-add", "-q", key.path, SSH_AUTH_SOCK=str(listening))
                yield listening
            finally:
                agent.terminate()


def written(path: Path, key: Ed25519PrivateKey | rsa.RSAPrivateKey) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    path.with_name(path.name + ".pub").write_bytes(line)
    return path


def allowed_key(path: Path, principal: str = "alice") -> AllowedKey:
    return AllowedKey(principal, KeyFile(path).public)


def flipped(data: bytes, position: int, mask: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= mask
    return bytes(changed)


def blob_of(armored: str) -> bytes:
    return base64.b64decode("".join(armored.splitlines()[1:-1]))


def armored_of(blob: bytes) -> str:
    begin, end = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
    return f"{begin}\n{base64.b64encode(blob).decode()}\n{end}\n"


def security_key_ed25519(flags: int) -> tuple[bytes, Callable[[bytes], bytes]]:
    key, name = Ed25519PrivateKey.generate(), b"sk-ssh-ed25519@openssh.com"
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def touch(data: bytes) -> bytes:
        value = key.sign(_authenticated(data, flags))
        return string(name) + string(value) + bytes([flags]) + b"\0\0\0\7"

    return string(name) + string(raw) + string(b"ssh:"), touch


def security_key_ecdsa(flags: int) -> tuple[bytes, Callable[[bytes], bytes]]:
    key, name = ec.generate_private_key(ec.SECP256R1()), b"sk-ecdsa-sha2-nistp256@openssh.com"
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def touch(data: bytes) -> bytes:
        signed = key.sign(_authenticated(data, flags), ec.ECDSA(hashes.SHA256()))
        r, s = decode_dss_signature(signed)
        return string(name) + string(mpint(r) + mpint(s)) + bytes([flags]) + b"\0\0\0\7"

    return string(name) + string(b"nistp256") + string(point) + string(b"ssh:"), touch


def _authenticated(data: bytes, flags: int) -> bytes:
    def digest(value: bytes) -> bytes:
        made = hashes.Hash(hashes.SHA256())
        made.update(value)
        return made.finalize()

    return digest(b"ssh:") + bytes([flags]) + b"\0\0\0\7" + digest(data)
