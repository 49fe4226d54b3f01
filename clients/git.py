"""Commits of the services' and the policy's repositories, by the `git` program.

A path is read where it is and never written to; a URL is kept as a bare copy in a cache directory.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from clients import processes
from clients.git_errors import git_failure
from domain.errors import NotFound, PermanentFailure

LOCAL_TIME = timedelta(seconds=60)
FETCH_TIME = timedelta(minutes=10)
_ALLOWED_PROTOCOLS = "file:git:http:https:ssh"
_SUBMODULE = b"160000"
# Hooks, monitors and line-ending settings of whoever owns the repository must not act on us.
_CONFIGURATION = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.autocrlf": "false",
    "core.quotePath": "false",
    "gc.auto": "0",
    "log.showSignature": "false",
    "advice.detachedHead": "false",
}


class Repository:
    """One repository, at a path of this machine or at a URL.

    A commit may be given in every way that `resolve` takes; only a full id needs no fetch. Errors:
    NotFound (no such repository, revision or path), PermanentFailure (denied, unusable),
    TransientFailure (unreachable, out of time).
    """

    def __init__(
        self,
        source: str | Path,
        cache: Path | None = None,
        configuration: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`cache`: where copies of URLs are kept; `configuration`: git settings to use besides
        ours, for example a credential helper. The user's own git configuration is not read.
        `environment`: what git is shown of it (proxies, PATH, ssh's agent), never its GIT_*.
        """
        self.source = str(source)
        if self.source.startswith("-") or not self.source:
            raise PermanentFailure(f"{self.source!r} is neither a path nor a URL of a repository")
        self.is_remote = _is_url(self.source)
        self._directory = Path(self.source).absolute()
        if self.is_remote:
            if cache is None:
                raise PermanentFailure(f"{self.source} needs a cache directory for its copy")
            name = hashlib.sha256(self.source.encode()).hexdigest()[:16]
            self._directory = cache / f"{name}.git"
        self._configuration = {**_CONFIGURATION, **(configuration or {})}
        self._surroundings = environment or {}
        self._fetching = asyncio.Lock()

    async def resolve(self, revision: str) -> str:
        """Full commit id of a branch, tag, abbreviated id or expression; fetches from a URL first.

        NotFound names the nearest branches and tags.
        """
        if self.is_remote and not await self._holds(revision):
            await self._fetch(with_head=revision.startswith(("HEAD", "@")))
        arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options"]
        found = await self._run([*arguments, f"{revision}^{{commit}}"])
        if found.exit_code == 0:
            return found.whole_output().decode().strip()
        if found.exit_code != 1 and b"fatal: Needed a single revision" not in found.stderr:
            raise git_failure(found, f"look up {revision} in {self.source}", self.source)
        raise NotFound(f"{self.source} has no commit {revision!r}; {await self._nearest(revision)}")

    async def uncommitted_paths(self) -> tuple[str, ...]:
        """Paths of the work tree that differ from its commit or are untracked; none when bare."""
        if self.is_remote:
            return ()
        bare = await self._output("rev-parse", "--is-bare-repository")
        if bare.strip() == b"true":
            return ()
        # The only place where the user's own configuration counts: their ignored files and line
        # endings are theirs to choose, and would else all be reported as changes.
        listed = await self._run(
            ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames"],
            user_configuration=True,
        )
        if listed.exit_code != 0:
            raise git_failure(listed, f"look for changes in {self.source}", self.source)
        entries = listed.whole_output().decode(errors="surrogateescape").split("\0")
        return tuple(sorted(entry[3:] for entry in entries if entry))

    async def checkout(self, commit: str, target: Path) -> None:
        """Write the files of a commit into `target`, an empty or new directory.

        The repository's own work tree and index stay as they are. A submodule is refused by name.
        """
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise PermanentFailure(
                f"{target} is not empty; a checkout needs a directory of its own"
            )
        commit = await self.resolve(commit)
        await self._refuse_submodules(commit)
        with tempfile.TemporaryDirectory() as scratch:
            places = {
                "GIT_INDEX_FILE": str(Path(scratch) / "index"),
                "GIT_WORK_TREE": str(target.resolve()),
            }
            await self._output("read-tree", commit, environment=places)
            await self._output("checkout-index", "--all", environment=places)

    async def show(self, revision: str, path: str) -> bytes:
        """Content of a file at a revision (fetched first from a URL)."""
        commit = await self.resolve(revision)
        found = await self._run(["cat-file", "blob", f"{commit}:{path}"])
        if found.exit_code == 0:
            return found.whole_output()
        listed = await self._output("ls-tree", "-r", "-z", "--name-only", commit)
        paths = listed.decode(errors="replace").split("\0")
        if path in paths:
            raise git_failure(found, f"read {path} at {commit[:10]}", self.source)
        raise NotFound(
            f"{self.source} has no file {path!r} at {revision} ({commit[:10]})"
            f"{_suggestion(path, paths)}"
        )

    async def authors_between(self, base: str | None, commit: str) -> tuple[str, ...]:
        """E-mail addresses, lower-case and sorted, of everybody who wrote or committed the change.

        The change is what `commit` has and `base` has not, and always `commit` itself; None as
        base means `commit` alone. Co-authors named in trailers count as authors.
        """
        commit = await self.resolve(commit)
        trailer = "%(trailers:key=Co-authored-by,valueonly,separator=%x00)"
        written = f"--format=%ae%x00%ce%x00{trailer}%x00"
        said = await self._output("log", "-1", written, commit, "--")
        if base is not None:
            await self._check_history(base)
            said += await self._output("log", written, f"{base}..{commit}", "--")
        people = (part.strip() for part in said.decode(errors="replace").split("\0"))
        return tuple(sorted({_address(person) for person in people if person}))

    async def commit_time(self, commit: str) -> datetime:
        """When the commit was committed, in UTC."""
        commit = await self.resolve(commit)
        seconds = await self._output("log", "-1", "--format=%ct", commit, "--")
        return datetime.fromtimestamp(int(seconds), UTC)

    async def changed_paths(self, base: str | None, commit: str) -> tuple[str, ...]:
        """Paths that differ between two commits; None as base means the first parent."""
        commit = await self.resolve(commit)
        options = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-commit-id"]
        if base is None:
            arguments = [*options, "--root", "-m", "--first-parent", commit]
        else:
            await self._check_history(base)
            arguments = [*options, base, commit]
        listed = await self._output(*arguments)
        paths = listed.decode(errors="surrogateescape").split("\0")
        return tuple(sorted({path for path in paths if path}))

    async def _check_history(self, base: str) -> None:
        if await self._holds(base):
            return
        shallow = await self._output("rev-parse", "--is-shallow-repository")
        remedy = (
            "it is shallow: git fetch --unshallow" if shallow.strip() == b"true" else "fetch it"
        )
        raise NotFound(f"{self.source} does not hold commit {base} to compare with; {remedy}")

    async def _refuse_submodules(self, commit: str) -> None:
        listed = await self._output("ls-tree", "-r", "-z", commit)
        submodules = [
            line.partition(b"\t")[2].decode(errors="replace")
            for line in listed.split(b"\0")
            if line.startswith(_SUBMODULE)
        ]
        if submodules:
            raise PermanentFailure(
                f"{self.source} at {commit[:10]} has submodules ({', '.join(submodules)}), whose "
                "files are not part of the commit; vendor them, or release an image built elsewhere"
            )

    async def _nearest(self, revision: str) -> str:
        listed = await self._output(
            "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes"
        )
        names = listed.decode(errors="replace").split()
        nearest = difflib.get_close_matches(revision, names, n=3, cutoff=0.5) or names[:5]
        if not nearest:
            return "it has no branch and no tag: commit something first"
        return f"nearest names: {', '.join(nearest)}"

    async def _holds(self, commit: str) -> bool:
        """Whether a full commit id is here already; other names may have moved since."""
        if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit) is None:
            return False
        if not (self._directory / "HEAD").exists() and self.is_remote:
            return False
        found = await self._run(["cat-file", "-e", f"{commit}^{{commit}}"])
        return found.exit_code == 0

    async def _fetch(self, with_head: bool) -> None:
        async with self._fetching:
            if not (self._directory / "HEAD").exists():
                self._directory.mkdir(parents=True, exist_ok=True)
                await self._output("init", "--bare", "--quiet", str(self._directory))
            options = ["--prune", "--tags", "--force", "--quiet", "--no-write-fetch-head"]
            branches = "+refs/heads/*:refs/heads/*"
            await self._converse("fetch", *options, "--end-of-options", self.source, branches)
            if with_head:
                said = await self._converse("ls-remote", "--end-of-options", self.source, "HEAD")
                if head := said.whole_output().split():
                    await self._output("update-ref", "--no-deref", "HEAD", head[0].decode())

    async def _converse(self, *arguments: str) -> processes.Finished:
        finished = await self._run(arguments, timeout=FETCH_TIME)
        if finished.exit_code != 0:
            raise git_failure(finished, f"{arguments[0]} {self.source}", self.source)
        return finished

    async def _output(self, *arguments: str, environment: Mapping[str, str] | None = None) -> bytes:
        finished = await self._run(arguments, environment=environment)
        if finished.exit_code != 0:
            raise git_failure(finished, f"git {arguments[0]} in {self.source}", self.source)
        return finished.whole_output()

    async def _run(
        self,
        arguments: Sequence[str],
        *,
        timeout: timedelta = LOCAL_TIME,
        environment: Mapping[str, str] | None = None,
        user_configuration: bool = False,
    ) -> processes.Finished:
        if not self._directory.is_dir():
            raise NotFound(f"there is no repository at {self._directory}; check the path")
        hardened = self._environment(user_configuration) | dict(environment or {})
        command = ["git", "--no-optional-locks", "--no-replace-objects", "--literal-pathspecs"]
        return await processes.run(
            [*command, "-C", str(self._directory), *arguments],
            timeout=timeout,
            environment=hardened,
        )

    def _environment(self, user_configuration: bool) -> dict[str, str]:
        # Repositories of other owners are readable, only those named: ours to decide, not git's.
        settings = [*self._configuration.items(), ("safe.directory", str(self._directory))]
        if not self.is_remote:
            settings.append(("safe.directory", str(self._directory.resolve())))
        added = {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CEILING_DIRECTORIES": str(self._directory.resolve().parent),
            "GIT_ALLOW_PROTOCOL": _ALLOWED_PROTOCOLS,
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=10",
            "GIT_CONFIG_COUNT": str(len(settings)),
            "LC_ALL": "C",
        }
        if not user_configuration:
            added |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
        for number, (key, value) in enumerate(settings):
            added |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return processes.child_environment(
            self._surroundings, lambda name: not name.startswith("GIT_"), **added
        )


def _is_url(source: str) -> bool:
    if "://" in source:
        return True
    # git's short form of ssh, host:path; a colon after a slash is part of a path.
    return ":" in source.partition("/")[0] and not Path(source).exists()


def _address(person: str) -> str:
    """The address in `name <address>`, or the text itself when it is only an address."""
    return person.rpartition("<")[2].rstrip(">").strip().lower()


def _suggestion(path: str, paths: list[str]) -> str:
    nearest = difflib.get_close_matches(path, paths, n=1, cutoff=0.5)
    return f"; did you mean {nearest[0]!r}?" if nearest else "; check the path"
