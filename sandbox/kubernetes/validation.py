"""The checks of the API server that our clients' objects can meet; every failure is a 422."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from sandbox.kubernetes.behaviour import FAULTS, FaultError, parse_faults
from sandbox.kubernetes.resources import Resource
from sandbox.kubernetes.selectors import matches
from sandbox.kubernetes.status import Manifest, invalid

Causes = list[tuple[str, str]]
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
_IMMUTABLE = "field is immutable"
_LABEL_FORM = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_VALUE_FORM = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_ENDS = "and must start and end with an alphanumeric character"
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    f"'.', {_ENDS} (e.g. 'example.com', regex used for validation is "
    rf"'{_LABEL_FORM}(\.{_LABEL_FORM})*')"
)
_LABEL_RULE = (
    f"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', {_ENDS}"
    f" (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL_FORM}')"
)
_VALUE_RULE = (
    f"a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.',"
    f" {_ENDS} (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'({_VALUE_FORM})?')"
)
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',"
    "  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_POLICIES = '"Ingress", "Egress"'
_NOT_CHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing "
    "errors to complete validation"
)
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_LONGEST_KEY = 253
MAX_BACKENDS = 16
MAX_WEIGHT = 1_000_000


def validate(kind: Resource, manifest: Manifest, old: Manifest | None = None) -> None:
    """Raise a 422 StatusError that names every field at fault; `old` is set on updates."""
    causes = _metadata(kind, manifest["metadata"])
    if kind.plural in _CHECKS:
        causes += _CHECKS[kind.plural](manifest, old)
    if causes:
        raise invalid(kind.kind, kind.group, manifest["metadata"].get("name", ""), causes)


def _bad(value: object, why: str) -> str:
    shown = json.dumps(value, separators=(",", ":"), sort_keys=True)
    return f"Invalid value: {shown}: {why}"


def _metadata(kind: Resource, metadata: Manifest) -> Causes:
    causes: Causes = []
    name = metadata.get("name", "")
    if not name:
        causes.append(("metadata.name", "Required value: name or generateName is required"))
    else:
        pattern, longest, what = _name_rule(kind)
        if not isinstance(name, str) or len(name) > longest or not pattern.match(name):
            causes.append(("metadata.name", _bad(name, what)))
    for key, value in (metadata.get("labels") or {}).items():
        causes += _qualified_name("metadata.labels", key)
        if not isinstance(value, str) or len(value) > 63 or (value and not _QUALIFIED.match(value)):
            causes.append(("metadata.labels", _bad(value, _VALUE_RULE)))
    for key, value in (metadata.get("annotations") or {}).items():
        causes += _qualified_name("metadata.annotations", key.lower())
        if not isinstance(value, str):
            causes.append((f"metadata.annotations[{key}]", _bad(value, "must be a string")))
    return causes


def _name_rule(kind: Resource) -> tuple[re.Pattern[str], int, str]:
    if kind.plural in ("namespaces", "services"):
        return _LABEL, 63, _LABEL_RULE
    return _SUBDOMAIN, 253, _SUBDOMAIN_RULE


def _qualified_name(field: str, key: str) -> Causes:
    prefix, slash, name = key.rpartition("/")
    if len(name) > 63 or not _QUALIFIED.match(name) or (slash and not _SUBDOMAIN.match(prefix)):
        return [(field, _bad(key, "name part must consist of alphanumeric characters, -, _ or ."))]
    return []


def _count(field: str, value: object, low: int = 0, high: int | None = None) -> Causes:
    if isinstance(value, bool) or not isinstance(value, int):
        return [(field, _bad(value, "must be an integer"))]
    if value < low:
        return [(field, _bad(value, f"must be greater than or equal to {low}"))]
    if high is not None and value > high:
        return [(field, _bad(value, f"must be less than or equal to {high}"))]
    return []


def _workload(manifest: Manifest, old: Manifest | None) -> Causes:
    spec = manifest["spec"]
    causes = _count("spec.replicas", spec["replicas"])
    selector, template = spec.get("selector") or {}, spec.get("template") or {}
    if not selector:
        causes.append(("spec.selector", "Required value"))
    labels = (template.get("metadata") or {}).get("labels") or {}
    if selector and not matches(labels, selector):
        why = "`selector` does not match template `labels`"
        causes.append(("spec.template.metadata.labels", _bad(labels, why)))
    if old is not None and old["spec"].get("selector") != spec.get("selector"):
        causes.append(("spec.selector", _bad(selector, _IMMUTABLE)))
    causes += _faults("spec.template.metadata.annotations", template.get("metadata") or {})
    return causes + _pod_spec("spec.template.spec", template.get("spec") or {})


def _faults(field: str, metadata: Manifest) -> Causes:
    text = (metadata.get("annotations") or {}).get(FAULTS, "")
    try:
        parse_faults(text, "")
    except FaultError as error:
        return [(f"{field}[{FAULTS}]", _bad(text, str(error)))]
    return []


def _pod(manifest: Manifest, old: Manifest | None) -> Causes:
    causes = _pod_spec("spec", manifest["spec"])
    causes += _faults("metadata.annotations", manifest["metadata"])
    if old is not None and _fixed(manifest) != _fixed(old):
        why = "pod updates may not change fields other than `spec.containers[*].image`"
        causes.append(("spec", f"Forbidden: {why}"))
    return causes


def _fixed(pod: Manifest) -> Any:
    spec = {k: v for k, v in pod["spec"].items() if k not in ("containers", "nodeName")}
    containers = [{**c, "image": ""} for c in pod["spec"].get("containers") or ()]
    return spec, containers


def _pod_spec(field: str, spec: Manifest) -> Causes:
    causes: Causes = []
    containers = spec.get("containers") or []
    if not containers:
        causes.append((f"{field}.containers", "Required value"))
    seen: set[str] = set()
    for index, container in enumerate(containers):
        where = f"{field}.containers[{index}]"
        causes += [
            (f"{where}.{key}", "Required value")
            for key in ("name", "image")
            if not container.get(key)
        ]
        if container.get("name") in seen:
            causes.append((f"{where}.name", f'Duplicate value: "{container["name"]}"'))
        seen.add(container.get("name", ""))
    declared = {volume.get("name") for volume in spec.get("volumes") or ()}
    for index, container in enumerate(containers):
        for mount_index, mount in enumerate(container.get("volumeMounts") or ()):
            if mount.get("name") not in declared:
                where = f"{field}.containers[{index}].volumeMounts[{mount_index}].name"
                causes.append((where, f'Not found: "{mount.get("name")}"'))
    return causes


def _service(manifest: Manifest, old: Manifest | None) -> Causes:
    spec = manifest["spec"]
    causes: Causes = []
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        causes.append(("spec.ports", "Required value"))
    for index, port in enumerate(ports):
        number = port.get("port")
        if not isinstance(number, int) or not 1 <= number <= 65535:
            why = "must be between 1 and 65535, inclusive"
            causes.append((f"spec.ports[{index}].port", _bad(number, why)))
        if len(ports) > 1 and not port.get("name"):
            causes.append((f"spec.ports[{index}].name", "Required value"))
    if old is not None and spec.get("clusterIP") != old["spec"].get("clusterIP"):
        causes.append(("spec.clusterIPs[0]", _bad(spec.get("clusterIP"), _IMMUTABLE)))
    return causes


def _http_route(manifest: Manifest, old: Manifest | None) -> Causes:
    causes: Causes = []
    for index, rule in enumerate(manifest["spec"].get("rules") or ()):
        references = rule.get("backendRefs") or []
        field = f"spec.rules[{index}].backendRefs"
        if len(references) > MAX_BACKENDS:
            causes.append((field, f"Too many: {len(references)}: must have at most 16 items"))
            # The rules in CEL are only looked at where the schema holds.
            causes.append(("<nil>", f"Invalid value: null: {_NOT_CHECKED}"))
            continue
        for at, reference in enumerate(references):
            causes += _weight(f"{field}[{at}].weight", reference["weight"])
            if not reference.get("name"):
                causes.append((f"{field}[{at}].name", "Required value"))
            if reference["kind"] == "Service" and "port" not in reference:
                why = "Must have port for Service reference"
                causes.append((f"{field}[{at}]", f"Invalid value: {why}"))
    return causes


def _weight(field: str, weight: object) -> Causes:
    problems = _count(field, weight, 0, MAX_WEIGHT)
    # An OpenAPI schema says it in its own words.
    return [(at, why.replace("must be", f"{field} in body should be")) for at, why in problems]


def _autoscaler(manifest: Manifest, old: Manifest | None) -> Causes:
    spec = manifest["spec"]
    causes = _count("spec.minReplicas", spec["minReplicas"], 1)
    causes += _count("spec.maxReplicas", spec.get("maxReplicas"), 1)
    if not causes and spec["maxReplicas"] < spec["minReplicas"]:
        why = "must be greater than or equal to `minReplicas`"
        causes.append(("spec.maxReplicas", _bad(spec["maxReplicas"], why)))
    target = spec.get("scaleTargetRef") or {}
    return causes + [
        (f"spec.scaleTargetRef.{key}", "Required value")
        for key in ("kind", "name")
        if not target.get(key)
    ]


def _disruption_budget(manifest: Manifest, old: Manifest | None) -> Causes:
    spec = manifest.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        shown = {
            "MinAvailable": spec["minAvailable"],
            "Selector": spec.get("selector"),
            "MaxUnavailable": spec["maxUnavailable"],
            "UnhealthyPodEvictionPolicy": spec.get("unhealthyPodEvictionPolicy"),
        }
        why = "minAvailable and maxUnavailable cannot be both set"
        text = json.dumps(shown, separators=(",", ":"))
        return [("spec", f"Invalid value: {text}: {why}")]
    return []


def _network_policy(manifest: Manifest, old: Manifest | None) -> Causes:
    return [
        (f"spec.policyTypes[{at}]", f'Unsupported value: "{kind}": supported values: {_POLICIES}')
        for at, kind in enumerate(manifest["spec"].get("policyTypes") or ())
        if kind not in ("Ingress", "Egress")
    ]


def _data(manifest: Manifest, old: Manifest | None) -> Causes:
    causes = [
        (f"{field}[{key}]", _bad(key, _KEY_RULE))
        for field in ("data", "binaryData")
        for key in manifest.get(field) or ()
        if len(key) > _LONGEST_KEY or not _CONFIG_KEY.fullmatch(key)
    ]
    return causes + _immutable_data(manifest, old)


def _immutable_data(manifest: Manifest, old: Manifest | None) -> Causes:
    if old is None or not old.get("immutable"):
        return []
    changed = [k for k in ("data", "binaryData") if manifest.get(k) != old.get(k)]
    why = "Forbidden: field is immutable when `immutable` is set"
    return [(key, why) for key in changed]


_CHECKS: dict[str, Callable[[Manifest, Manifest | None], Causes]] = {
    "deployments": _workload,
    "replicasets": _workload,
    "pods": _pod,
    "services": _service,
    "httproutes": _http_route,
    "horizontalpodautoscalers": _autoscaler,
    "networkpolicies": _network_policy,
    "poddisruptionbudgets": _disruption_budget,
    "configmaps": _data,
    "secrets": _data,
}
