"""Who may release or look on in a cluster: the Roles of `deployment/`, bound to users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_ROLES = Path(__file__).parents[2] / "deployment" / "kubernetes"
RELEASE, OBSERVE = _ROLES / "role.yaml", _ROLES / "observe-role.yaml"
_GROUP = "rbac.authorization.k8s.io"


def role_and_binding(
    namespace: str, *users: str, file: Path = RELEASE
) -> list[tuple[str, dict[str, Any]]]:
    """Each with its collection's path."""
    role = yaml.safe_load(file.read_text())
    binding = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role["metadata"]["name"]},
        "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": role["metadata"]["name"]},
        "subjects": [{"apiGroup": _GROUP, "kind": "User", "name": user} for user in users],
    }
    place = f"/apis/{_GROUP}/v1/namespaces/{namespace}"
    return [(f"{place}/roles", role), (f"{place}/rolebindings", binding)]
