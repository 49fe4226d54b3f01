import json
from pathlib import Path
from typing import Any

import pytest

from clients.kustomize import kubectl_program, render
from clients.manifests import read_manifests
from domain.errors import NotFound, PermanentFailure

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n"


def config_map(name: str, **data: str) -> str:
    return CONFIG_MAP.format(name=name) + (f"data: {json.dumps(data)}\n" if data else "")


def names(manifests: list[dict[str, Any]]) -> list[str]:
    return [manifest["metadata"]["name"] for manifest in manifests]


def value_of(text: str) -> Any:
    (manifest,) = read_manifests(f"{CONFIG_MAP.format(name='x')}value: {text}\n".encode(), "x.yaml")
    return manifest["value"]


async def test_an_overlay_is_built_by_kustomize(tmp_path: Path) -> None:
    base, overlay = tmp_path / "base", tmp_path / "overlays/staging"
    base.mkdir()
    overlay.mkdir(parents=True)
    (base / "album.yaml").write_text(config_map("album", MODE="base"))
    (base / "kustomization.yaml").write_text("resources: [album.yaml]\n")
    (overlay / "kustomization.yaml").write_text(
        "resources: [../../base]\nnamespace: staging\n"
        "patches:\n- patch: |-\n    apiVersion: v1\n    kind: ConfigMap\n"
        "    metadata: {name: album}\n    data: {MODE: staging}\n"
    )
    (manifest,) = await render(overlay)
    assert manifest["metadata"] == {"name": "album", "namespace": "staging"}
    assert manifest["data"] == {"MODE": "staging"}


async def test_a_kustomization_that_cannot_be_built_says_which_and_why(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(PermanentFailure, match=r"cannot build .*absent\.yaml"):
        await render(tmp_path)


async def test_kustomize_is_not_shown_a_cluster(tmp_path: Path) -> None:
    environment = {"KUBECONFIG": str(tmp_path / "not-a-kubeconfig")}
    (tmp_path / "not-a-kubeconfig").write_text("}{")
    (tmp_path / "album.yaml").write_text(config_map("album"))
    (tmp_path / "kustomization.yaml").write_text("resources: [album.yaml]\n")
    assert names(await render(tmp_path, environment)) == ["album"]


async def test_plain_yaml_files_are_read_in_name_order(tmp_path: Path) -> None:
    (tmp_path / "20.yml").write_text(config_map("second"))
    (tmp_path / "10.yaml").write_text(f"---\n{config_map('first')}---\n---\n{config_map('next')}")
    (tmp_path / "README.md").write_text("not a manifest")
    assert names(await render(tmp_path)) == ["first", "next", "second"]


async def test_a_single_file_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(config_map("one"))
    (tmp_path / "two.yaml").write_text(config_map("two"))
    assert names(await render(tmp_path / "one.yaml")) == ["one"]


async def test_lists_are_flattened_in_their_place(tmp_path: Path) -> None:
    items = [config_map(name) for name in ("a", "b")]
    nested = "".join("  - " + item.replace("\n", "\n    ").rstrip() + "\n" for item in items)
    (tmp_path / "x.yaml").write_text(f"apiVersion: v1\nkind: List\nitems:\n{nested}")
    assert names(await render(tmp_path)) == ["a", "b"]


async def test_a_helm_chart_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "Chart.yaml").write_text("name: album\n")
    (tmp_path / "values.yaml").write_text("{}")
    with pytest.raises(PermanentFailure, match=r"is a Helm chart.*helm template"):
        await render(tmp_path)


async def test_no_manifests_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="check the plan's path"):
        await render(tmp_path / "absent")
    with pytest.raises(PermanentFailure, match="no Kubernetes object"):
        await render(tmp_path)


async def test_the_same_object_twice_is_refused_with_both_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(config_map("album"))
    (tmp_path / "b.yaml").write_text(config_map("album", MODE="other"))
    with pytest.raises(PermanentFailure, match=r"ConfigMap album .*a\.yaml and .*b\.yaml"):
        await render(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [1\n", r"x\.yaml, line 2"),
        ("a: 1\nb: 2\na: 3\n", r"x\.yaml, line 3: key 'a' is there twice"),
        ("- 1\n", "document 1: a Kubernetes object is a mapping, this is a list"),
        ("text\n", "this is a str"),
        ("kind: ConfigMap\n", r"\(ConfigMap\): apiVersion is missing"),
        ("apiVersion: v1\n", "kind is missing"),
        ("apiVersion: v1\nkind: ConfigMap\n", r"\(ConfigMap\): metadata\.name is missing"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {generateName: x-}\n", "name is missing"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: 1}\n", "name is missing or not a text"),
        ("a: !!python/object:os.system x\n", r"x\.yaml, line 1: could not determine"),
        ("a: .inf\n", "cannot be written as JSON"),
        ("true: 1\n", "key True is not a text"),
        ("a: \x00\n", r"x\.yaml: not readable"),
        ("a: *b\n", "undefined alias"),
        ("apiVersion: v1\nkind: List\nitems: [1]\n", "document 1, item 1: a Kubernetes object"),
    ],
)
async def test_what_is_wrong_with_a_file_is_said_with_its_place(
    tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(PermanentFailure, match=reason):
        await render(tmp_path)


async def test_aliases_that_unfold_without_end_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (tmp_path / "x.yaml").write_text("\n".join(lines))
    with pytest.raises(PermanentFailure, match="more than 1000000 values"):
        await render(tmp_path)


def test_an_alias_is_a_copy_not_the_same_object() -> None:
    text = CONFIG_MAP.format(name="x") + "a: &a {k: v}\nb: *a\nc: {<<: *a}\n"
    (manifest,) = read_manifests(text.encode(), "x.yaml")
    manifest["a"]["k"] = "changed"
    assert manifest["b"] == manifest["c"] == {"k": "v"}


# What `kubectl kustomize` (5.8) made of the same scalars, except where it keeps YAML 1.2's texts.
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("8080:80", "8080:80"),
        ("1:30", "1:30"),
        ("1e3", 1000),
        ("1e-3", 0.001),
        ("0o17", 15),
        ("017", 15),
        ("09", 9),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b11", 3),
        ("1.", 1),
        ("+1", 1),
        (".5", 0.5),
        ("0.10", 0.1),
        ("2024-01-01", "2024-01-01"),
        ("y", "y"),
        ("'0640'", "0640"),
        ("1.2.3", "1.2.3"),
        ("-", [None]),
        ("10Gi", "10Gi"),
        ("100m", "100m"),
        ("~", None),
        ("true", True),
    ],
)
def test_scalars_are_read_as_kubernetes_reads_them(written: str, read: object) -> None:
    value = value_of(written if written != "-" else "\n- ")
    assert value == read
    assert type(value) is type(read)


def test_kubectl_is_the_one_beside_this_python() -> None:
    assert Path(kubectl_program()).name == "kubectl"
