from pathlib import Path

import pytest

from clients.policy_source import PolicyProblems, PolicySource
from domain.errors import NotFound
from domain.policy import Role
from tests.support.git import Worktree

GOOD = """\
version: 1
rehearsal: true
floors:
  soak: 12h
people:
  - principal: ann
    emails: [ann@example.com]
    roles: [approver, operator]
"""


@pytest.fixture
def worktree(tmp_path: Path) -> Worktree:
    made = Worktree(tmp_path / "policy")
    made.write("policy.yaml", GOOD)
    made.commit("first")
    return made


@pytest.fixture
def source(worktree: Worktree) -> PolicySource:
    return PolicySource(worktree.path, "main", "policy.yaml")


async def test_a_policy_is_read_from_its_ref_not_from_the_work_tree(
    worktree: Worktree, source: PolicySource
) -> None:
    worktree.write("policy.yaml", "rehearsal: [")
    policy, _ = await source.fetch()
    assert policy.rehearsal
    assert policy.holders(Role.APPROVER)[0].principal == "ann"


async def test_the_version_changes_exactly_when_the_content_does(
    worktree: Worktree, source: PolicySource
) -> None:
    _, first = await source.fetch()
    worktree.write("README", "another file")
    worktree.commit("nothing of the policy")
    same = await source.read()
    assert same.version == first
    assert same.commit == worktree.git("rev-parse", "HEAD")
    worktree.write("policy.yaml", GOOD.replace("12h", "18h"))
    worktree.commit("longer soak")
    changed, second = await source.fetch()
    assert second != first
    assert str(changed.floors.soak) == "18:00:00"
    worktree.write("policy.yaml", GOOD)
    worktree.commit("back")
    assert (await source.fetch())[1] == first


async def test_a_policy_behind_a_url_is_fetched_each_time(
    worktree: Worktree, tmp_path: Path
) -> None:
    source = PolicySource(worktree.path.as_uri(), "main", "policy.yaml", tmp_path / "cache")
    _, first = await source.fetch()
    worktree.write("policy.yaml", GOOD.replace("true", "false"))
    worktree.commit("no rehearsals")
    policy, second = await source.fetch()
    assert not policy.rehearsal
    assert second != first


async def test_every_problem_of_a_policy_is_told_with_its_line(
    worktree: Worktree, source: PolicySource
) -> None:
    worktree.write(
        "policy.yaml",
        """\
reharsal: true
floors:
  soak: 0s
  scan: hihg
defaults:
  soak: {durtion: 24h}
  build: {builder: assemble}
people:
  - principal: ann
    roles: [aprover]
  - emails: [bob@example.com]
  - principal: 5
version: 1
version: 1
""",
    )
    commit = worktree.commit("broken")
    with pytest.raises(PolicyProblems) as caught:
        await source.fetch()
    file = f"policy.yaml@{commit[:10]}"
    assert str(caught.value).splitlines() == [
        f"{file}:1: reharsal: unknown key; did you mean `rehearsal`?",
        f"{file}:3: floors.soak: must be longer than zero, not 0s",
        f"{file}:4: floors.scan: must be one of critical, high, not 'hihg'; did you mean `high`?",
        f"{file}:6: defaults.soak.durtion: unknown key; did you mean `duration`?",
        f"{file}:10: people[0].roles[0]: must be one of approver, operator, release-manager, "
        "not 'aprover'; did you mean `approver`?",
        f"{file}:11: people[1]: `principal` is missing",
        f"{file}:12: people[2].principal: must be text, not 5; put it in quotes",
        f"{file}:14: key `version` is there twice; it is also on line 13",
    ]


@pytest.mark.parametrize("text", ["", "- ann\n", "people: [\n"])
async def test_a_file_that_is_no_policy_is_refused(
    worktree: Worktree, source: PolicySource, text: str
) -> None:
    worktree.write("policy.yaml", text)
    worktree.commit("broken")
    with pytest.raises(PolicyProblems, match=r"policy\.yaml@[0-9a-f]{10}:\d: "):
        await source.fetch()


async def test_one_person_under_two_names_is_refused(
    worktree: Worktree, source: PolicySource
) -> None:
    twice = (
        "people:\n  - principal: ann\n    emails: [a@x]\n  - principal: bob\n    emails: [a@x]\n"
    )
    worktree.write("policy.yaml", twice)
    worktree.commit("twice")
    with pytest.raises(PolicyProblems, match=r":1: people: email a@x belongs to two people"):
        await source.fetch()


async def test_a_missing_repository_ref_or_file_is_not_found(
    worktree: Worktree, tmp_path: Path
) -> None:
    for repository, ref, path in (
        (tmp_path / "nowhere", "main", "policy.yaml"),
        (worktree.path, "mian", "policy.yaml"),
        (worktree.path, "main", "polcy.yaml"),
    ):
        with pytest.raises(NotFound):
            await PolicySource(repository, ref, path).fetch()
