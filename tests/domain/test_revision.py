from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import labels
from domain.errors import PermanentFailure
from domain.revision import (
    OWN_KINDS,
    REFUSED_KINDS,
    Manifest,
    RevisionObjects,
    config_diff,
    make_revision,
    select,
)
from tests.support.manifests import CONFIGS, IMAGE, deployment, manifests, named, revision, thing


def own(made: RevisionObjects, kind: str, name: str) -> Manifest:
    (found,) = (m for m in made.own if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return found


def names(made: RevisionObjects) -> set[tuple[str, str]]:
    return {(m["kind"], m["metadata"]["name"]) for m in made.own}


def test_what_carries_the_version_gets_the_bundles_hash_as_suffix() -> None:
    made = revision()
    assert made.name == "album-0123456789"
    assert names(made) == {
        ("Deployment", "album-0123456789"),
        ("Service", "album-0123456789"),
        ("HorizontalPodAutoscaler", "album-0123456789"),
        ("PodDisruptionBudget", "album-pdb-0123456789"),
        *(("ConfigMap", f"{name}-0123456789") for name in CONFIGS),
    }
    assert {(m["kind"], m["metadata"]["name"]) for m in made.shared} == {
        ("Service", "album"),
        ("HTTPRoute", "album"),
        ("NetworkPolicy", "album"),
        ("ServiceAccount", "album"),
    }


def test_everything_lies_in_the_environments_namespace_and_says_whose_it_is() -> None:
    made = revision()
    for manifest in (*made.own, *made.shared):
        metadata = manifest["metadata"]
        assert metadata["namespace"] == "production"
        assert metadata["labels"][labels.MANAGED_BY] == labels.TIDEGATE
        assert metadata["labels"][labels.SERVICE] == "album"
        assert metadata["labels"]["app"] == "album"
    for manifest in made.own:
        metadata = manifest["metadata"]
        assert metadata["labels"][labels.REVISION] == "0123456789"
        assert metadata["annotations"] == {
            labels.BUNDLE: named().bundle,
            labels.COMMIT: named().commit,
            labels.SPEC_HASH: made.spec_hash,
        }
    for manifest in made.shared:
        assert labels.REVISION not in manifest["metadata"]["labels"]


def test_every_reference_to_a_config_map_follows_it() -> None:
    pod = own(revision(), "Deployment", "album-0123456789")["spec"]["template"]["spec"]
    for one in (*pod["containers"], *pod["initContainers"]):
        assert one["envFrom"][0]["configMapRef"]["name"] == "album-config-0123456789"
        key = one["env"][1]["valueFrom"]["configMapKeyRef"]
        assert key == {"name": "album-env-0123456789", "key": "b"}
    files, mixed, _ = pod["volumes"]
    assert files["configMap"]["name"] == "album-files-0123456789"
    assert mixed["projected"]["sources"][0]["configMap"]["name"] == "album-extra-0123456789"


def test_secrets_and_foreign_names_are_left_alone() -> None:
    pod = own(revision(), "Deployment", "album-0123456789")["spec"]["template"]["spec"]
    for one in pod["containers"]:
        assert one["envFrom"][1]["secretRef"]["name"] == "album"
        assert one["env"][0]["value"] == "album-config"
        assert one["env"][2]["valueFrom"]["secretKeyRef"]["name"] == "album-config"
    sources = pod["volumes"][1]["projected"]["sources"]
    assert sources[1]["secret"]["name"] == "album-config"
    assert sources[2]["configMap"]["name"] == "cluster-wide"
    assert pod["serviceAccountName"] == "album"


def test_autoscaler_budget_and_pods_belong_to_the_revision_alone() -> None:
    made = revision()
    scaler = own(made, "HorizontalPodAutoscaler", "album-0123456789")
    assert scaler["spec"]["scaleTargetRef"]["name"] == "album-0123456789"
    wanted = {"app": "album", labels.REVISION: "0123456789"}
    deployed = own(made, "Deployment", "album-0123456789")["spec"]
    assert deployed["selector"]["matchLabels"] == wanted
    budget = own(made, "PodDisruptionBudget", "album-pdb-0123456789")["spec"]
    assert budget["selector"]["matchLabels"] == wanted
    assert wanted.items() <= deployed["template"]["metadata"]["labels"].items()


def test_the_revisions_own_service_reaches_its_pods_by_the_entry_services_ports() -> None:
    made = revision()
    service = own(made, "Service", "album-0123456789")
    assert service["spec"] == {
        "selector": {"app": "album", labels.REVISION: "0123456789"},
        "ports": [{"name": "http", "port": 8219, "targetPort": "http"}],
    }
    assert made.port == 8219
    (entry,) = (m for m in made.shared if m["kind"] == "Service")
    assert entry["spec"]["ports"][0]["nodePort"] == 30000


def test_only_the_services_container_gets_the_bundles_image() -> None:
    pod = own(revision(), "Deployment", "album-0123456789")["spec"]["template"]["spec"]
    assert [one["image"] for one in pod["containers"]] == [IMAGE, "isa/album"]
    with pytest.raises(PermanentFailure, match=r"has no container 'photo' .*album, sidecar"):
        make_revision(manifests(), named(), image=IMAGE, container="photo")


@pytest.mark.parametrize(
    ("replicas", "minimum", "declared"), [(2, 3, 3), (5, None, 5), (None, None, 1), (None, 4, 4)]
)
def test_the_declared_size_is_the_autoscalers_minimum_else_the_deployments(
    replicas: int | None, minimum: int | None, declared: int
) -> None:
    objects = manifests(**({} if replicas is None else {"replicas": replicas}))
    if replicas is None:
        del objects[0]["spec"]["replicas"]
    if minimum is None:
        objects = [m for m in objects if m["kind"] != "HorizontalPodAutoscaler"]
    else:
        objects[6]["spec"]["minReplicas"] = minimum
    assert revision(objects).replicas == declared


def test_a_declared_size_of_zero_stays_zero_only_when_it_says_so() -> None:
    objects = [m for m in manifests(replicas=0) if m["kind"] != "HorizontalPodAutoscaler"]
    assert revision(objects).replicas == 0


def test_objects_are_created_before_what_refers_to_them() -> None:
    kinds = [m["kind"] for m in revision().own]
    assert kinds.index("ConfigMap") < kinds.index("Service") < kinds.index("Deployment")
    assert kinds.index("Deployment") < kinds.index("HorizontalPodAutoscaler")


@pytest.mark.parametrize("kind", [*REFUSED_KINDS, "Gadget"])
def test_what_cannot_follow_a_version_is_refused_by_name(kind: str) -> None:
    why = REFUSED_KINDS.get(kind, "does not know how this kind follows a version")
    with pytest.raises(PermanentFailure) as refused:
        revision([*manifests(), thing(kind, "album-thing")])
    assert f"{kind} album-thing: " in str(refused.value)
    assert why in str(refused.value)


def test_everything_refused_is_told_at_once() -> None:
    with pytest.raises(PermanentFailure, match=r"Secret one: .*; CronJob two: "):
        revision([*manifests(), thing("Secret", "one"), thing("CronJob", "two")])


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("Deployment", "template"),
        ("HTTPRoute", "rules"),
        ("HorizontalPodAutoscaler", "maxReplicas"),
        ("PodDisruptionBudget", "selector"),
        ("Service", "selector"),
        ("Service", "ports"),
    ],
)
def test_an_object_without_what_a_revision_needs_of_it_is_named(kind: str, part: str) -> None:
    objects = manifests()
    (broken,) = (one for one in objects if one["kind"] == kind)
    del broken["spec"][part]
    name = broken["metadata"]["name"]
    with pytest.raises(PermanentFailure, match=f"^{kind} {name}: spec.{part} is missing$"):
        revision(objects)


@pytest.mark.parametrize("kind", ["Deployment", "Service"])
def test_a_service_has_exactly_one_deployment_and_one_entry_service(kind: str) -> None:
    without = [m for m in manifests() if m["kind"] != kind]
    with pytest.raises(PermanentFailure, match=f"needs exactly one {kind} .*, found none"):
        revision(without)
    (first,) = (m for m in manifests() if m["kind"] == kind)
    twice = [*manifests(), thing(kind, "album-2", spec=first["spec"])]
    with pytest.raises(PermanentFailure, match="found album, album-2"):
        revision(twice)


def test_an_autoscaler_of_something_else_is_refused() -> None:
    objects = manifests()
    objects[6]["spec"]["scaleTargetRef"]["name"] = "photo"
    with pytest.raises(PermanentFailure, match="refers to Deployment photo, which the manifests"):
        revision(objects)


def test_only_objects_with_the_services_label_belong_to_it() -> None:
    other = thing("ConfigMap", "billing")
    other["metadata"]["labels"]["app"] = "billing"
    bare: Manifest = {"kind": "Namespace", "metadata": {"name": "isa"}}
    assert select([*manifests(), other, bare], "album") == manifests()
    assert select([*manifests(), other, bare], "billing") == [other]
    with pytest.raises(PermanentFailure, match="has the label app: photo; label"):
        select(manifests(), "photo")


shorts = st.from_regex(r"[0-9a-f]{10}", fullmatch=True)
sizes = st.integers(min_value=1, max_value=50)


@st.composite
def inputs(draw: st.DrawFn) -> list[Manifest]:
    """The service's objects with some of them left out, in any order, with any configuration."""
    kept = [
        one
        for one in manifests(replicas=draw(sizes))
        if one["kind"] in ("Deployment", "Service") or draw(st.booleans())
    ]
    for one in kept:
        if one["kind"] == "ConfigMap":
            one["data"] = draw(st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
        one["metadata"]["labels"] |= draw(
            st.dictionaries(st.from_regex(r"[a-z]{5,9}", fullmatch=True), st.text(), max_size=2)
        )
    return draw(st.permutations(kept))


@given(objects=inputs(), short=shorts)
def test_the_same_input_makes_the_same_revision_and_is_never_changed(
    objects: list[Manifest], short: str
) -> None:
    before = deepcopy(objects)
    first, second = revision(objects, short), revision(objects, short)
    assert first == second
    assert objects == before
    for mine in first.own:
        for theirs in objects:
            assert not set(map(id, _parts(mine))) & set(map(id, _parts(theirs)))


def _parts(value: Any) -> Iterator[Any]:
    """Every mutable part of a manifest."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from _parts(one)
    elif isinstance(value, list):
        yield value
        for one in value:
            yield from _parts(one)


@given(objects=inputs(), shorts=st.lists(shorts, min_size=2, max_size=2, unique=True))
def test_two_revisions_share_no_name_and_never_select_each_others_pods(
    objects: list[Manifest], shorts: list[str]
) -> None:
    one, other = (revision(objects, short) for short in shorts)
    assert not names(one) & names(other)
    for mine, theirs in ((one, other), (other, one)):
        pods = _pod_labels(theirs)
        for manifest in mine.own:
            selector = _selector(manifest)
            assert selector is None or not selector.items() <= pods.items()
            assert selector is None or selector.items() <= _pod_labels(mine).items()


def _pod_labels(made: RevisionObjects) -> dict[str, str]:
    found: dict[str, str] = own(made, "Deployment", made.name)["spec"]["template"]["metadata"][
        "labels"
    ]
    return found


def _selector(manifest: Manifest) -> dict[str, str] | None:
    selector = manifest.get("spec", {}).get("selector")
    if selector is None:
        return None
    found: dict[str, str] = selector.get("matchLabels", selector)
    return found


@given(objects=inputs())
def test_the_spec_hash_does_not_depend_on_the_order_of_the_manifests(
    objects: list[Manifest],
) -> None:
    assert revision(objects).spec_hash == revision(objects[::-1]).spec_hash


def test_the_spec_hash_is_another_for_another_content() -> None:
    hashes = {
        revision().spec_hash,
        revision(image=IMAGE.replace("1" * 64, "3" * 64)).spec_hash,
        revision(short="9876543210").spec_hash,
        revision(_with_data("changed")).spec_hash,
        revision(manifests(minReadySeconds=5)).spec_hash,
    }
    assert len(hashes) == 5


def _with_data(text: str) -> list[Manifest]:
    objects = manifests()
    objects[2]["data"] = {"key": text}
    return objects


def test_a_service_without_optional_parts_is_a_revision_too() -> None:
    bare: list[Manifest] = [
        thing(
            "Deployment",
            "web",
            spec={
                "selector": {"matchLabels": {"app": "album"}},
                "template": {"spec": {"containers": [{"name": "album"}]}},
            },
        ),
        thing("Service", "entry", spec={"selector": {"app": "album"}, "ports": [{"port": 80}]}),
    ]
    made = revision(bare)
    assert {kind for kind, _ in names(made)} == {"Deployment", "Service"}
    assert made.replicas == 1
    assert set(OWN_KINDS) >= {"Deployment", "ConfigMap"}


def config(**data: str) -> Manifest:
    return thing("ConfigMap", "album-config", data=data)


def test_an_approver_sees_every_configuration_key_that_differs() -> None:
    old = [config(SAME="1", CHANGED="20", GONE="x"), thing("ConfigMap", "old", data={"A": "1"})]
    new = [config(SAME="1", CHANGED="50", NEW="y"), deployment()]
    assert config_diff(old, new) == (
        "-album-config/CHANGED: 20",
        "+album-config/CHANGED: 50",
        "-album-config/GONE: x",
        "+album-config/NEW: y",
        "-old/A: 1",
    )
    assert config_diff(new, new) == ()


def test_revisions_are_compared_by_their_plain_names() -> None:
    first, second = revision(), revision(_with_data("changed"), short="9876543210")
    assert config_diff(first.own, second.own) == (
        "-album-config/key: album-config",
        "+album-config/key: changed",
    )
