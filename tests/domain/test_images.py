from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import PermanentFailure
from domain.images import InvalidReference, Reference, image_labels, is_digest

DIGEST = "sha256:" + "0a" * 32

component = st.from_regex(r"[a-z0-9]{1,6}([._-][a-z0-9]{1,6}){0,2}", fullmatch=True)
hosts = st.one_of(
    st.just("localhost"),
    st.from_regex(r"[a-z][a-z0-9]{0,5}(\.[a-z]{2,4}){1,2}(:[1-9][0-9]{0,4})?", fullmatch=True),
    st.from_regex(r"127\.0\.0\.1:[1-9][0-9]{3}", fullmatch=True),
    st.just("[::1]:5000"),
)
references = st.builds(
    Reference,
    host=hosts,
    path=st.lists(component, min_size=1, max_size=4).map("/".join),
    tag=st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True),
    digest=st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
)


@given(references)
def test_a_reference_is_read_back_as_it_was_written(reference: Reference) -> None:
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=60))
def test_any_text_is_either_a_reference_that_prints_itself_or_refused(text: str) -> None:
    try:
        printed = str(Reference.parse(text))
    except InvalidReference as refusal:
        printed = text if repr(text) in str(refusal) else "a refusal that names another text"
    assert printed == text


@pytest.mark.parametrize("name", ["album", "album:v1", "library/album", "isa/album:v1", ""])
def test_a_name_without_a_registry_is_refused_and_the_message_shows_the_form(name: str) -> None:
    with pytest.raises(InvalidReference, match=r"which registry holds it.*host.*/repository"):
        Reference.parse(name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("localhost/album@sha256:123", "not a digest"),
        ("localhost/album@md5:" + "0" * 32, "not a digest"),
        ("localhost/Album", "lower-case"),
        ("localhost/album:", "not of that form"),
        ("localhost/album:-x", "not of that form"),
        ("localhost//album", "not of that form"),
        ("localhost/../album", "not of that form"),
        ("https://localhost/album", "not of that form"),
        ("localhost/album:v1\n", "not of that form"),
        ("localhost/" + "a" * 250, "longer than 255"),
    ],
)
def test_what_is_wrong_with_a_reference_is_said(text: str, reason: str) -> None:
    with pytest.raises(InvalidReference, match=reason):
        Reference.parse(text)


def test_an_invalid_reference_is_permanent_and_a_value_error_for_validators() -> None:
    assert issubclass(InvalidReference, PermanentFailure)
    assert issubclass(InvalidReference, ValueError)


def test_a_digest_selects_the_image_before_the_tag_does() -> None:
    assert Reference.parse(f"localhost/album:v1@{DIGEST}").version == DIGEST
    assert Reference.parse("localhost/album:v1").version == "v1"
    assert Reference.parse("localhost/album").version == "latest"


def test_naming_by_digest_drops_the_mutable_tag() -> None:
    reference = Reference.parse("localhost:5000/isa/album:v1")
    assert str(reference.at(DIGEST)) == f"localhost:5000/isa/album@{DIGEST}"
    with pytest.raises(InvalidReference):
        reference.at("v1")


def test_naming_by_tag_drops_the_digest_and_refuses_impossible_tags() -> None:
    reference = Reference.parse(f"localhost:5000/isa/album@{DIGEST}")
    assert str(reference.tagged("v2")) == "localhost:5000/isa/album:v2"
    with pytest.raises(InvalidReference):
        reference.tagged("feature/login")


def test_only_lower_case_sha256_is_a_digest() -> None:
    assert is_digest(DIGEST)
    assert not is_digest(DIGEST.upper())
    assert not is_digest(DIGEST[:-1])


def test_the_creation_label_is_the_commit_time_in_utc_whatever_its_zone() -> None:
    utc = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    east = utc.astimezone(timezone(timedelta(hours=2)))
    assert image_labels("c0ffee", "repo", utc) == image_labels("c0ffee", "repo", east)
    assert image_labels("c0ffee", "repo", utc)["org.opencontainers.image.created"] == (
        "2026-01-02T03:04:05Z"
    )
