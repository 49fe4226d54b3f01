"""What git's messages mean: it tells everything by exit code 128 and a sentence."""

from __future__ import annotations

from clients.processes import Finished
from domain.errors import NotFound, PermanentFailure, ReleaseError, TransientFailure

_DENIED = (
    "Authentication failed",
    "Permission denied",
    "could not read Username",
    "could not read Password",
    "Host key verification failed",
    "returned error: 401",
    "returned error: 403",
)
_ABSENT = (
    "not a git repository",
    "does not appear to be a git repository",
    "' not found",
    "does not exist",
    "returned error: 404",
    "not found in upstream",
    "couldn't find remote ref",
    "unknown revision",
    "bad object",
    "not a tree object",
    "not a valid object name",
    "bad revision",
)
_PASSING = (
    "Could not resolve host",
    "Connection refused",
    "Connection reset",
    "Connection timed out",
    "Operation timed out",
    "unable to connect",
    "Failed to connect",
    "Couldn't connect",
    "early EOF",
    "remote end hung up unexpectedly",
    "RPC failed",
    "returned error: 429",
    "returned error: 5",
    "cannot lock ref",
    ".lock': File exists",
    "No space left on device",
)


def git_failure(finished: Finished, attempt: str, source: str) -> ReleaseError:
    """Translate a failed git command: transient (network, locks, full disk), denied, or absent."""
    said = finished.complaint
    if _says(said, _DENIED):
        return PermanentFailure(
            f"{attempt}: access was denied ({_last_line(said)}); "
            f"give this machine a key or credential helper that may read {source}"
        )
    if _says(said, _PASSING):
        return TransientFailure(f"{attempt}: {_last_line(said)}; it is tried again")
    if _says(said, _ABSENT):
        return NotFound(f"{attempt}: {_last_line(said)}; check the name")
    return PermanentFailure(f"{attempt}: {said}")


def _says(text: str, phrases: tuple[str, ...]) -> bool:
    return any(phrase.lower() in text.lower() for phrase in phrases)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith(("fatal:", "error:"))]
    return (lines or text.splitlines())[0]
