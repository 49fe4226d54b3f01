import asyncio
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from clients.git import Repository
from domain.errors import NotFound, PermanentFailure, TransientFailure
from tests.support.git import EPOCH, Worktree
from tests.support.registry import Front, answering


@pytest.fixture
def worktree(tmp_path: Path) -> Worktree:
    made = Worktree(tmp_path / "isa_user")
    made.write("microservices/album/main.py", "one\n")
    made.write("tidegate.yaml", "services: {}\n")
    made.commit("first")
    return made


@pytest.fixture(params=["path", "bare path", "url"])
def repository(request: pytest.FixtureRequest, worktree: Worktree, tmp_path: Path) -> Repository:
    """The same repository as a work tree, as a bare one, and behind a URL."""
    if request.param == "path":
        return Repository(worktree.path)
    if request.param == "url":
        return Repository(worktree.path.as_uri(), tmp_path / "cache")
    worktree.git("clone", "--quiet", "--mirror", ".", str(tmp_path / "bare.git"))
    return Repository(tmp_path / "bare.git")


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(directory).parts
    }


async def test_every_way_to_name_a_commit_resolves_to_its_full_id(
    worktree: Worktree, repository: Repository
) -> None:
    head = worktree.git("rev-parse", "HEAD")
    for name in ("HEAD", "main", "@", head, head[:8], "HEAD^{/first}"):
        assert await repository.resolve(name) == head


async def test_an_unknown_revision_is_not_found_with_the_nearest_names(
    worktree: Worktree,
) -> None:
    worktree.git("tag", "v1.0.0")
    with pytest.raises(NotFound, match="nearest names: main"):
        await Repository(worktree.path).resolve("mian")
    with pytest.raises(NotFound, match=r"nearest names: v1\.0\.0"):
        await Repository(worktree.path).resolve("v1.0")
    for name in ("0" * 40, "deadbeef", "--all", "main:tidegate.yaml", "a b", ""):
        with pytest.raises(NotFound):
            await Repository(worktree.path).resolve(name)


async def test_a_repository_without_commits_says_so(tmp_path: Path) -> None:
    empty = Worktree(tmp_path / "empty")
    with pytest.raises(NotFound, match="commit something first"):
        await Repository(empty.path).resolve("HEAD")


async def test_a_directory_that_is_no_repository_is_not_found(
    worktree: Worktree, tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(NotFound, match="not a git repository"):
        await Repository(tmp_path / "plain").resolve("HEAD")
    with pytest.raises(NotFound, match="no repository at"):
        await Repository(tmp_path / "absent").resolve("HEAD")
    with pytest.raises(NotFound, match="not a git repository"):
        await Repository(worktree.path / "microservices").resolve("HEAD")


async def test_a_source_that_looks_like_an_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="neither a path nor a URL"):
        Repository("--upload-pack=touch", tmp_path)
    with pytest.raises(PermanentFailure, match="not allowed"):
        await Repository("ext::touch x", tmp_path / "cache").resolve("main")


async def test_uncommitted_changes_are_listed_by_path(worktree: Worktree) -> None:
    repository = Repository(worktree.path)
    assert await repository.uncommitted_paths() == ()
    worktree.write(".gitignore", "*.log\n")
    worktree.commit()
    worktree.write("ignored.log", "")
    worktree.write("microservices/album/new file.py", "")
    (worktree.path / "tidegate.yaml").unlink()
    assert await repository.uncommitted_paths() == (
        "microservices/album/new file.py",
        "tidegate.yaml",
    )


async def test_a_checkout_has_exactly_the_files_of_its_commit(
    worktree: Worktree, repository: Repository, tmp_path: Path
) -> None:
    first = worktree.git("rev-parse", "HEAD")
    expected = files_of(worktree.path)
    worktree.write("microservices/album/main.py", "two\n")
    worktree.commit("second")
    await repository.resolve("main")
    await repository.checkout(first, tmp_path / "target")
    assert files_of(tmp_path / "target") == expected


async def test_a_checkout_leaves_the_users_work_tree_and_index_alone(
    worktree: Worktree, tmp_path: Path
) -> None:
    worktree.write("microservices/album/main.py", "staged\n")
    worktree.git("add", "--all")
    worktree.write("microservices/album/main.py", "not staged\n")
    before = (worktree.git("status", "--porcelain"), files_of(worktree.path))
    index = (worktree.path / ".git/index").read_bytes()
    await Repository(worktree.path).checkout(worktree.git("rev-parse", "HEAD"), tmp_path / "target")
    assert (tmp_path / "target/microservices/album/main.py").read_text() == "one\n"
    assert (worktree.git("status", "--porcelain"), files_of(worktree.path)) == before
    assert (worktree.path / ".git/index").read_bytes() == index


async def test_a_checkout_keeps_links_and_executable_bits(
    worktree: Worktree, tmp_path: Path
) -> None:
    worktree.write("run.sh", "#!/bin/sh\n")
    (worktree.path / "run.sh").chmod(0o755)
    (worktree.path / "link").symlink_to("tidegate.yaml")
    commit = worktree.commit()
    await Repository(worktree.path).checkout(commit, tmp_path / "target")
    assert (tmp_path / "target/run.sh").stat().st_mode & stat.S_IXUSR
    assert (tmp_path / "target/link").readlink() == Path("tidegate.yaml")


async def test_a_checkout_into_a_used_directory_is_refused(worktree: Worktree) -> None:
    with pytest.raises(PermanentFailure, match="is not empty"):
        await Repository(worktree.path).checkout("HEAD", worktree.path)


async def test_a_commit_with_a_submodule_is_refused_by_its_name(
    worktree: Worktree, tmp_path: Path
) -> None:
    head = worktree.git("rev-parse", "HEAD")
    worktree.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    worktree.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "submodule")
    with pytest.raises(PermanentFailure, match=r"submodules \(vendor/lib\)"):
        await Repository(worktree.path).checkout("HEAD", tmp_path / "target")


async def test_a_file_is_shown_as_it_was_at_a_revision(
    worktree: Worktree, repository: Repository
) -> None:
    first = worktree.git("rev-parse", "HEAD")
    worktree.write("tidegate.yaml", "services: {album: {}}\n")
    worktree.commit()
    if "bare" in repository.source:
        worktree.git("push", "--quiet", repository.source, "main")
    assert await repository.show("main", "tidegate.yaml") == b"services: {album: {}}\n"
    assert await repository.show(first, "tidegate.yaml") == b"services: {}\n"


async def test_an_absent_file_is_not_found_with_the_nearest_path(repository: Repository) -> None:
    with pytest.raises(NotFound, match=r"did you mean 'tidegate\.yaml'"):
        await repository.show("main", "tidegate.yml")
    with pytest.raises(NotFound, match="no file 'microservices'"):
        await repository.show("main", "microservices")


async def test_authors_of_a_change_are_everybody_who_wrote_or_committed_it(
    worktree: Worktree, repository: Repository
) -> None:
    base = worktree.git("rev-parse", "HEAD")
    worktree.commit("by two", author="Bob@Example.com", committer="cy@example.com")
    trailer = "paired\n\nCo-authored-by: Dee <DEE@example.com>\nCo-authored-by: E <e@example.com>"
    commit = worktree.commit(trailer, author="ann@example.com")
    if "bare" in repository.source:
        worktree.git("push", "--quiet", repository.source, "main")
    await repository.resolve("main")
    everybody = ("ann", "bob", "cy", "dee", "e")
    assert await repository.authors_between(base, commit) == tuple(
        f"{name}@example.com" for name in everybody
    )
    assert await repository.authors_between(None, commit) == tuple(
        f"{name}@example.com" for name in ("ann", "dee", "e")
    )


async def test_an_older_commit_still_has_its_own_author(worktree: Worktree) -> None:
    old = worktree.commit(author="old@example.com")
    new = worktree.commit(author="new@example.com")
    assert await Repository(worktree.path).authors_between(new, old) == ("old@example.com",)


async def test_a_base_that_is_not_there_is_not_found_and_a_shallow_clone_is_told_so(
    worktree: Worktree, tmp_path: Path
) -> None:
    base = worktree.git("rev-parse", "HEAD")
    commit = worktree.commit()
    shallow = tmp_path / "shallow"
    worktree.git("clone", "--quiet", "--depth=1", worktree.path.as_uri(), str(shallow))
    with pytest.raises(NotFound, match="git fetch --unshallow"):
        await Repository(shallow).authors_between(base, commit)
    with pytest.raises(NotFound, match="does not hold commit"):
        await Repository(worktree.path).changed_paths("0" * 40, commit)


async def test_the_commit_time_is_the_commits_own(worktree: Worktree) -> None:
    commit = worktree.commit()
    time = await Repository(worktree.path).commit_time(commit)
    assert time == datetime.fromtimestamp(EPOCH, UTC) + timedelta(minutes=1)


async def test_changed_paths_are_those_that_differ(worktree: Worktree) -> None:
    repository = Repository(worktree.path)
    base = worktree.git("rev-parse", "HEAD")
    assert await repository.changed_paths(None, base) == (
        "microservices/album/main.py",
        "tidegate.yaml",
    )
    worktree.write("microservices/album/Ümlaut.py", "")
    middle = worktree.commit()
    (worktree.path / "tidegate.yaml").unlink()
    commit = worktree.commit()
    assert await repository.changed_paths(base, commit) == (
        "microservices/album/Ümlaut.py",
        "tidegate.yaml",
    )
    assert await repository.changed_paths(None, middle) == ("microservices/album/Ümlaut.py",)


async def test_a_url_is_fetched_anew_when_a_branch_has_moved(
    worktree: Worktree, tmp_path: Path
) -> None:
    repository = Repository(worktree.path.as_uri(), tmp_path / "cache")
    first = await repository.resolve("main")
    worktree.commit("second")
    second = await repository.resolve("HEAD")
    assert first != second
    worktree.git("reset", "--quiet", "--hard", first)
    assert await repository.resolve("main") == first, "a branch may also be forced back"


async def test_a_url_whose_default_branch_is_missing_still_shows_its_others(
    worktree: Worktree, tmp_path: Path
) -> None:
    worktree.git("clone", "--quiet", "--bare", ".", str(tmp_path / "policy.git"))
    bare = tmp_path / "policy.git"
    worktree.git("-C", str(bare), "symbolic-ref", "HEAD", "refs/heads/none")
    repository = Repository(bare.as_uri(), tmp_path / "cache")
    assert await repository.show("main", "tidegate.yaml") == b"services: {}\n"


async def test_a_machine_with_an_empty_cache_answers_about_any_commit(
    worktree: Worktree, tmp_path: Path
) -> None:
    base = worktree.git("rev-parse", "HEAD")
    worktree.write("new.py", "")
    commit = worktree.commit(author="bob@example.com")
    url = worktree.path.as_uri()
    authors = await Repository(url, tmp_path / "one").authors_between(base, commit)
    assert authors == ("bob@example.com",)
    assert await Repository(url, tmp_path / "two").changed_paths(base, commit) == ("new.py",)
    assert (await Repository(url, tmp_path / "three").commit_time(commit)).tzinfo is UTC
    await Repository(url, tmp_path / "four").checkout(commit, tmp_path / "target")
    assert (tmp_path / "target/new.py").exists()
    assert await Repository(url, tmp_path / "five").uncommitted_paths() == ()


async def test_a_full_id_that_is_here_needs_no_server(worktree: Worktree, tmp_path: Path) -> None:
    repository = Repository(worktree.path.as_uri(), tmp_path / "cache")
    commit = await repository.resolve("main")
    worktree.path.rename(tmp_path / "moved")
    assert await repository.show(commit, "tidegate.yaml") == b"services: {}\n"
    with pytest.raises(NotFound):
        await repository.resolve("main")


async def test_many_at_once_share_one_copy(worktree: Worktree, tmp_path: Path) -> None:
    repository = Repository(worktree.path.as_uri(), tmp_path / "cache")
    found = await asyncio.gather(*(repository.resolve("main") for _ in range(5)))
    assert len(set(found)) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


async def test_the_users_git_environment_and_configuration_do_not_act(
    worktree: Worktree, tmp_path: Path
) -> None:
    elsewhere, config = str(tmp_path / "elsewhere"), str(tmp_path / "config")
    environment = {"GIT_DIR": elsewhere, "GIT_CONFIG_GLOBAL": config}
    (tmp_path / "config").write_text("[core]\n\tautocrlf = true\n")
    repository = Repository(worktree.path, environment=environment)
    commit = await repository.resolve("HEAD")
    await repository.checkout(commit, tmp_path / "target")
    assert (tmp_path / "target/tidegate.yaml").read_bytes() == b"services: {}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another owner")
async def test_a_repository_of_another_owner_can_be_read(worktree: Worktree) -> None:
    for path in [worktree.path, *worktree.path.rglob("*")]:
        os.lchown(path, 65532, 65532)
    head = (worktree.path / ".git/refs/heads/main").read_text().strip()
    assert await Repository(worktree.path).resolve("HEAD") == head


@pytest.mark.parametrize(
    ("status", "failure", "reason"),
    [
        (401, PermanentFailure, "access was denied"),
        (403, PermanentFailure, "access was denied"),
        (404, NotFound, "not found"),
        (429, TransientFailure, "429"),
        (503, TransientFailure, "503"),
    ],
)
async def test_a_server_that_refuses_is_told_apart_from_one_that_is_down(
    tmp_path: Path, status: int, failure: type[Exception], reason: str
) -> None:
    async with Front("http://unused").running() as server:
        server.rule = answering(status, WWW_Authenticate='Basic realm="git"')
        repository = Repository(f"http://{server.address}/isa.git", tmp_path / "cache")
        with pytest.raises(failure, match=reason) as raised:
            await repository.resolve("main")
    assert type(raised.value) is failure


async def test_an_unreachable_server_is_transient(tmp_path: Path, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/isa.git"
    with pytest.raises(TransientFailure, match="it is tried again"):
        await Repository(url, tmp_path / "cache").resolve("main")
