"""`tidegate judge replay`: what an auditor sees of stored verdicts, true ones and changed ones."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.archive import Archive
from clients.registry import Registry
from domain.bundle import Bundle, RecordReference
from domain.canary import judge_rules
from domain.environments import Environment
from domain.judge import Block, Histogram, JudgeState, Pods, judge, observe
from domain.observed import BlockChunk, ObservedBlocks, begin, spoken_of, with_restarts
from domain.records import canonical_json, digest_of
from domain.steps import ObserveStep, RevisionRequest
from starter import shelf
from tests.starter.conftest import Told
from tests.support.cli import Cli, Done
from tests.support.judge_streams import LENGTH, SINCE, counts
from tests.support.registry import running_registry
from tests.support.release_records import bundle, plan, stable
from tests.support.stored_verdicts import COMMIT, PastRelease

RULES = judge_rules(plan(), 10, has_stable=True).model_copy(update={"warm_up_blocks": 0})


def step(since_block: int, weight: int, state: JudgeState | None) -> ObserveStep:
    since = SINCE + since_block * LENGTH
    target = RevisionRequest(
        release_id="album-1",
        environment=Environment.PRODUCTION,
        service="album",
        bundle=bundle("c" * 40),
        stable=stable(Environment.PRODUCTION),
    )
    return ObserveStep(
        target=target,
        weight=weight,
        rules=RULES,
        since=since,
        ends_at=since + timedelta(hours=1),
        block=LENGTH,
        slow_above=timedelta(milliseconds=500),
        state=state,
    )


def blocks_from(first: int, times: int, canary_bad: int = 1) -> tuple[Block, ...]:
    return tuple(
        Block(
            start=SINCE + index * LENGTH,
            end=SINCE + (index + 1) * LENGTH,
            counts={
                "errors": counts(100, canary_bad, 900, 9),
                "slow": counts(100, 2, 900, 18),
                "restarts": counts(2, 0, 18, 0),
            },
            histograms={"slow": Histogram(edges=(1.0,), canary_above=(1,), stable_above=(8,))},
            pods=Pods(
                canary_requests=(50, 50),
                canary_bad={"errors": (canary_bad, 0), "slow": (1, 1)},
                stable_pods=18,
                stable_least=50,
                stable_most=50,
            ),
        )
        for index in range(first, first + times)
    )


def observed(
    request: ObserveStep,
    earlier: tuple[BlockChunk, ...],
    blocks: tuple[Block, ...],
    left_out: tuple[str, ...] = (),
) -> tuple[ObservedBlocks, JudgeState]:
    """As the observing activity does it."""
    every = (*(block for chunk in earlier for block in chunk.blocks), *blocks)
    state = with_restarts(begin(request), request, every)
    for block in every:
        state = observe(state, request.rules, block)
    elapsed = (state.until or state.since) - request.since
    judgement = judge(state, request.rules, elapsed if every else timedelta(hours=1))
    references = tuple(
        RecordReference(kind="blocks-10", digest=digest_of(chunk), sentence="") for chunk in earlier
    )
    record = ObservedBlocks(
        step=request,
        earlier=references,
        blocks=blocks,
        judgement=spoken_of(judgement, left_out),
        left_out=left_out,
    )
    return record, state


CHUNK = BlockChunk(blocks=blocks_from(0, 20))
FIRST, AFTER_FIRST = observed(step(0, 10, None), (CHUNK,), blocks_from(20, 10))
SECOND, _ = observed(step(30, 25, AFTER_FIRST), (), blocks_from(30, 30))


def write(directory: Path, name: str, content: Any) -> str:
    file = directory / name
    file.write_bytes(content if isinstance(content, bytes) else canonical_json(content))
    return str(file)


@pytest.fixture
def stored(tmp_path: Path) -> list[str]:
    """A verdict, the blocks it names, and the verdict of the next step."""
    return [
        write(tmp_path, "25.json", SECOND),
        write(tmp_path, "blocks.json", CHUNK),
        write(tmp_path, "10.json", FIRST),
    ]


def changed(record: ObservedBlocks, path: str, value: object) -> dict[str, Any]:
    """The record as JSON with one value changed by hand."""
    content: Any = json.loads(canonical_json(record))
    *places, last = [int(name) if name.isdigit() else name for name in path.split(".")]
    place = content
    for name in places:
        place = place[name]
    place[last] = value
    return dict(content)


def test_true_verdicts_are_recomputed_word_for_word_in_order(
    tidegate: Told, stored: list[str]
) -> None:
    done = tidegate("judge", "replay", *stored)
    assert (done.code, done.err) == (0, "")
    first, second = done.out.split(stored[0])
    assert f"{stored[2]}: {FIRST.step.target.revision} at 10 %, 30 blocks: as stored" in first
    assert "at 25 %, 30 blocks: as stored" in second
    for record in (FIRST, SECOND):
        assert f"({record.judgement.reason}): {record.judgement.sentence}" in done.out
        assert f"evidence of regression {record.judgement.evidence:.4g} of 100" in done.out


def test_a_record_that_was_made_pretty_is_the_same_record(
    tidegate: Told, tmp_path: Path, stored: list[str]
) -> None:
    pretty = json.dumps(json.loads(canonical_json(CHUNK)), indent=2).encode()
    again = write(tmp_path, "pretty.json", pretty)
    assert tidegate("judge", "replay", again, stored[2]).code == 0


def test_programs_get_json(tidegate: Told, stored: list[str]) -> None:
    told = json.loads(tidegate("judge", "replay", "--output", "json", *stored).out)
    assert [(one["weight"], one["blocks"], one["differences"]) for one in told] == [
        (10, 30, []),
        (25, 30, []),
    ]
    assert told[0]["judgement"]["verdict"] == FIRST.judgement.verdict


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("judgement.verdict", "ROLL_BACK", "verdict: stored 'ROLL_BACK', recomputed 'PROMOTE'"),
        ("judgement.sentence", "Promoted: trust me", "sentence: stored 'Promoted: trust me'"),
        ("judgement.evidence", 0.01, "evidence: stored 0.01, recomputed"),
        ("judgement.proof", {"errors": 1.0}, "proof.errors: stored 1.0, recomputed"),
        ("blocks.0.counts.errors.canary_bad", 40, "proof.errors: stored"),
        ("step.rules.beta", 0.2, "thresholds.promote: stored 20.0, recomputed 5.0"),
    ],
)
def test_a_record_changed_in_one_place_differs_and_says_where(
    tidegate: Told, tmp_path: Path, path: str, value: object, said: str
) -> None:
    record, _ = observed(step(0, 10, None), (), blocks_from(0, 30))
    name = write(tmp_path, "changed.json", changed(record, path, value))
    done = tidegate("judge", "replay", name)
    assert done.code == 1
    assert "30 blocks: DIFFERS" in done.out
    assert said in done.out


def test_a_step_that_begins_from_another_state_than_the_verdict_before_differs(
    tidegate: Told, tmp_path: Path, stored: list[str]
) -> None:
    better = AFTER_FIRST.model_copy(update={"rollout_blocks": 300})
    forged, _ = observed(step(30, 25, better), (), blocks_from(30, 30))
    done = tidegate("judge", "replay", *stored[1:], write(tmp_path, "forged.json", forged))
    assert done.code == 1
    assert "begins from another state: rollout_blocks: stored 300, recomputed 30" in done.out
    assert tidegate("judge", "replay", str(tmp_path / "forged.json")).code == 0


def test_a_record_of_before_there_were_intervals_is_recomputed_as_it_was(
    tidegate: Told, tmp_path: Path
) -> None:
    record, state = observed(step(0, 10, None), (), blocks_from(0, 30))
    assert record.judgement.ratios
    metrics = {
        name: metric.model_copy(update={"ratio": None}) for name, metric in state.metrics.items()
    }
    plain = judge(state.model_copy(update={"metrics": metrics}), RULES, record.judgement.elapsed)
    content = json.loads(canonical_json(record.with_(judgement=plain)))
    del content["judgement"]["ratios"], content["left_out"], content["step"]["baseline"]
    done = tidegate("judge", "replay", write(tmp_path, "old.json", content))
    assert done.code == 0, done.out
    assert "interval" not in done.out


def test_a_hold_without_data_tells_what_could_not_be_used(tidegate: Told, tmp_path: Path) -> None:
    record, _ = observed(step(0, 10, None), (), (), ("Prometheus did not answer",))
    done = tidegate("judge", "replay", write(tmp_path, "silent.json", record))
    assert done.code == 0
    assert "(no_data): Holding: no data on errors" in done.out
    assert "could not be used: Prometheus did not answer" in done.out


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is neither a verdict record nor a block record"),
        (b"{", "is neither a verdict record nor a block record"),
        (b"[]", "is neither a verdict record nor a block record"),
        (b'{"step": 1}', "is neither a verdict record nor a block record"),
        (b"\xff\xfe", "is neither a verdict record nor a block record"),
        (canonical_json(CHUNK), "there is no verdict in"),
        (canonical_json(FIRST), "is missing, which holds blocks of"),
        (
            canonical_json(changed(SECOND, "blocks.0.end", "2020-01-01T00:00:00Z")),
            "block ends at",
        ),
        (
            canonical_json(changed(SECOND, "blocks.1.start", SECOND.blocks[0].start.isoformat())),
            "cannot be recomputed",
        ),
    ],
)
def test_bad_input_is_one_clear_error(
    tidegate: Told, tmp_path: Path, content: bytes, said: str
) -> None:
    done = tidegate("judge", "replay", write(tmp_path, "bad.json", content))
    assert done.code in (2, 4)
    assert done.out == ""
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_a_file_that_is_not_there_or_far_too_large_is_one_clear_error(
    tidegate: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tidegate("judge", "replay", str(tmp_path / "none.json"))
    assert (missing.code, missing.out) == (4, "")
    assert "none.json cannot be read: No such file" in missing.err
    monkeypatch.setattr(shelf, "FILE_LIMIT_BYTES", 10)
    large = tidegate("judge", "replay", write(tmp_path, "large.json", SECOND))
    assert large.code == 2
    assert "it is larger than" in large.err


def test_a_reference_that_is_none_is_one_clear_error(tidegate: Told) -> None:
    done = tidegate("judge", "replay", "isa/album@sha256:abc")
    assert done.code == 2
    assert "is no bundle: write REPOSITORY@sha256:..." in done.err


# --- from the registry -------------------------------------------------------------------------


def planned(release: PastRelease, **canary: object) -> Bundle:
    """The bundle whose verdicts they are; `canary` changes what its plan says."""
    said = release.plan.with_(canary=release.plan.canary.with_(**canary))
    return Bundle(
        service="album",
        commit=COMMIT,
        committed_at=SINCE,
        image=f"registry.example/album@sha256:{'1' * 64}",
        plan=said,
        plan_hash=said.digest,
        config_hash=digest_of("nothing"),
        manifests={},
    )


async def judged_by(bundle: Bundle, release: PastRelease, cli: Cli, directory: Path) -> Done:
    """What the auditor is told of a bundle's verdicts, all of them in a registry."""
    async with running_registry(directory / "registry") as server:
        cli.connect(registry={"default": server.address, "plain_http": [server.address]})
        async with Registry([server.address]) as registry:
            archive = Archive(registry)
            reference = await archive.store_bundle(f"{server.address}/isa/album", bundle, {})
            for one in reversed(release.stored):
                here = one.record.step.target.with_(bundle=reference)
                step = one.record.step.with_(target=here)
                chunk = BlockChunk(blocks=one.blocks[:20])
                earlier = await archive.store_record(reference, "blocks-10", chunk, "20 blocks")
                record = one.record.with_(step=step, earlier=(earlier,), blocks=one.blocks[20:])
                await archive.store_record(reference, f"verdict-{step.weight}", record, "")
        return await cli.run("judge", "replay", str(reference))


async def test_every_verdict_of_a_bundle_is_read_from_the_registry(
    cli: Cli, tmp_path: Path
) -> None:
    release = PastRelease()
    release.take(10)
    release.take(50)
    done = await judged_by(planned(release), release, cli, tmp_path)
    assert (done.code, done.err) == (0, "")
    assert 0 < done.out.index("at 10 %, ") < done.out.index("at 50 %, ")
    assert done.out.count("as stored") == 2


async def test_a_verdict_by_other_rules_than_the_bundles_plan_differs_and_says_which(
    cli: Cli, tmp_path: Path
) -> None:
    """Recomputed by the rules that are stored with it, it is word for word what was stored."""
    forged = PastRelease(canary={"alpha": "0.0001%", "min_requests": 99}, limits={"errors": "90%"})
    forged.take(10, canary_bad=(20,))
    honest = planned(PastRelease())
    done = await judged_by(honest, forged, cli, tmp_path)
    assert (done.code, done.err) == (1, "")
    assert "DIFFERS" in done.out
    for line in (
        "alpha: given 1e-06, the plan says 0.01",
        "limits: given {'errors': 0.9, 'slow': 0.05}, the plan says {'errors': 0.01, 'slow': 0.05}",
        "min_requests: given 99, the plan says 20",
    ):
        assert f"  not judged by its plan: {line}\n" in done.out


def test_the_bundle_may_be_given_as_a_file_beside_the_verdict(
    tidegate: Told, tmp_path: Path
) -> None:
    release = PastRelease()
    verdict = write(tmp_path, "10.json", release.take(10).record)
    same = write(tmp_path, "bundle.json", planned(release))
    assert tidegate("judge", "replay", verdict, same).code == 0
    other = write(tmp_path, "other.json", planned(release, beta=0.01))
    done = tidegate("judge", "replay", verdict, other)
    assert done.code == 1
    assert "not judged by its plan: beta: given 0.05, the plan says 0.01" in done.out


async def test_a_registry_that_is_away_is_one_clear_error(cli: Cli) -> None:
    done = await cli.run("judge", "replay", f"127.0.0.1:1/isa/album@sha256:{'0' * 64}")
    assert done.code == 3
    assert len(done.err.splitlines()) == 1
