"""Who may release in a cluster: the Role of `deployment/`, bound to users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_ROLE = Path(__file__).parents[2] / "deployment" / "kubernetes" / "role.yaml"
_GROUP = "rbac.authorization.k8s.io"


def role_and_binding(namespace: str, *users: str) -> list[tuple[str, dict[str, Any]]]:
    """Each with its collection's path."""
    role = yaml.safe_load(_ROLE.read_text())
    binding = {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role["metadata"]["name"]},
        "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": role["metadata"]["name"]},
        "subjects": [{"apiGroup": _GROUP, "kind": "User", "name": user} for user in users],
    }
    place = f"/apis/{_GROUP}/v1/namespaces/{namespace}"
    return [(f"{place}/roles", role), (f"{place}/rolebindings", binding)]
