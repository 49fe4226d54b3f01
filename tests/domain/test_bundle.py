from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.bundle import Bundle, BundleReference, config_hash
from domain.environments import Environment
from domain.plan import ServicePlan
from domain.records import canonical_json

STAGING, PRODUCTION = Environment.STAGING, Environment.PRODUCTION
DIGEST = "sha256:" + "0123456789abcdef" * 4


def config(name: str = "album-config", **data: str) -> dict[str, Any]:
    return {"kind": "ConfigMap", "metadata": {"name": name}, "data": data}


@given(st.from_regex(r"[a-z]{1,9}(:[0-9]{4})?/[a-z]{1,9}(/[a-z]{1,9})?", fullmatch=True))
def test_a_reference_is_read_back_as_it_was_written(repository: str) -> None:
    reference = BundleReference(repository=repository, digest=DIGEST)
    assert BundleReference.parse(str(reference)) == reference


def test_a_reference_without_a_digest_is_refused() -> None:
    for text in ("isa/album", "isa/album:v1", "isa/album@sha256:0", ""):
        with pytest.raises(ValueError, match="digest"):
            BundleReference.parse(text)


def test_the_suffix_of_a_revision_is_ten_digits_of_the_digest() -> None:
    assert BundleReference(repository="isa/album", digest=DIGEST).short == "0123456789"


def bundle(**changes: Any) -> Bundle:
    plan = ServicePlan(path=".", port=80, image="isa/album", manifests=".")
    fields = {
        "service": "album",
        "commit": "a" * 40,
        "committed_at": datetime(2026, 1, 1, tzinfo=UTC),
        "image": f"isa/album@{DIGEST}",
        "plan": plan,
        "plan_hash": plan.digest,
        "config_hash": DIGEST,
        "manifests": {STAGING: DIGEST, PRODUCTION: DIGEST},
    }
    return Bundle.model_validate({**fields, **changes})


def test_a_bundle_is_the_same_bytes_after_json() -> None:
    once = canonical_json(bundle())
    assert canonical_json(Bundle.model_validate_json(once)) == once


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "isa/album:latest"},
        {"commit": "HEAD"},
        {"commit": "A" * 40},
        {"plan_hash": "0123"},
        {"tag": "v1"},
    ],
)
def test_what_is_released_is_never_a_mutable_name(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        bundle(**changes)


def test_the_configuration_hash_sees_every_environments_data() -> None:
    base = {STAGING: [config(A="1")], PRODUCTION: [config(A="1")]}
    same = {PRODUCTION: [{"kind": "Deployment"}, config(A="1")], STAGING: [config(A="1")]}
    assert config_hash(base) == config_hash(same)
    others = (
        {**base, PRODUCTION: [config(A="2")]},
        {**base, PRODUCTION: [config("other", A="1")]},
        {**base, PRODUCTION: [config(A="1"), config("more", B="1")]},
        {**base, PRODUCTION: [{**config(A="1"), "binaryData": {"B": "eA=="}}]},
        {STAGING: base[STAGING]},
    )
    hashes = {config_hash(one) for one in others}
    assert len(hashes) == len(others)
    assert config_hash(base) not in hashes
