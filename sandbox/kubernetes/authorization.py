"""Who asks, and what they may do: the owner everything, others what Kubernetes lets all do.

Kubernetes' own default roles (RBAC): `system:public-info-viewer` for everybody,
`system:discovery` and `system:basic-user` for whoever has credentials.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from sandbox.kubernetes.request_info import Address, address_of
from sandbox.kubernetes.status import Manifest, StatusError, qualified

OWNER, STRANGER, ANONYMOUS = "owner", "stranger", "system:anonymous"
_PUBLIC = ("healthz", "livez", "readyz", "version")
_DISCOVERY = ("api", "apis", "openapi")
_ASKING = "selfsubjectaccessreviews"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Identities:
    """The users of one cluster, each with a bearer token of its own."""

    def __init__(self) -> None:
        self.tokens = {user: secrets.token_urlsafe(24) for user in (OWNER, STRANGER)}

    def user_of(self, authorization: str) -> str | None:
        """Whose an `Authorization` header is: of the anonymous when empty, None when wrong."""
        if not authorization:
            return ANONYMOUS
        shown = {f"Bearer {token}": user for user, token in self.tokens.items()}
        return shown.get(authorization)


def may_do_everything(user: str) -> bool:
    """Whether every permission that is reviewed is the user's."""
    return user == OWNER


def refusal(user: str, method: str, path: str, query: Mapping[str, str]) -> StatusError | None:
    """403 with user, verb and object when the user may not do this, else None."""
    address = address_of(path)
    if may_do_everything(user) or _is_everybodys(user, method, path, address):
        return None
    if address is None:
        reason = f'User "{user}" cannot {method.lower()} path "{path}"'
        return StatusError(403, "Forbidden", f"forbidden: {reason}", {})
    name = address.name or _selected_name(query)
    resource = "/".join(filter(None, (address.plural, address.subresource)))
    reason = (
        f'User "{user}" cannot {_verb(method, name, query)} resource "{resource}" in API group '
        f'"{address.group}" {_where(address)}'
    )
    subject = " ".join(filter(None, (qualified(address.plural, address.group), _quoted(name))))
    details = {"name": name, "group": address.group, "kind": address.plural}
    shown: Manifest = {field: text for field, text in details.items() if text}
    return StatusError(403, "Forbidden", f"{subject} is forbidden: {reason}", shown)


def _is_everybodys(user: str, method: str, path: str, address: Address | None) -> bool:
    known = user != ANONYMOUS
    if address is not None:
        return known and (address.plural, method) == (_ASKING, "POST")
    first = path.strip("/").partition("/")[0]
    return method == "GET" and (first in _PUBLIC or (known and first in _DISCOVERY))


def _verb(method: str, name: str, query: Mapping[str, str]) -> str:
    if method not in ("GET", "HEAD"):
        return _VERBS.get(method, method.lower())
    if query.get("watch", "").lower() in ("1", "true"):
        return "watch"
    return "get" if name and "fieldSelector" not in query else "list"


def _selected_name(query: Mapping[str, str]) -> str:
    """The server takes the name of a list or watch from its field selector."""
    field, _, name = query.get("fieldSelector", "").partition("=")
    return name.lstrip("=") if field == "metadata.name" else ""


def _where(address: Address) -> str:
    namespace = address.namespace or (address.name if address.plural == "namespaces" else "")
    return f'in the namespace "{namespace}"' if namespace else "at the cluster scope"


def _quoted(name: str) -> str:
    return f'"{name}"' if name else ""
