"""The gateway's controller: tells routes and Gateways that their configuration is in force."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.kubernetes.controllers.conditions import condition, set_condition
from sandbox.kubernetes.controllers.loop import Controller, Key, key_of
from sandbox.kubernetes.routing import backends_of
from sandbox.kubernetes.status import Manifest
from sandbox.kubernetes.store import Event

CONTROLLER_NAME = "sandbox.tidegate.dev/gateway"
DELAY_SECONDS = 0.02


class RouteController(Controller):
    """Writes HTTPRoute.status.parents a short while after each change, as a real gateway does."""

    delay_seconds = DELAY_SECONDS

    def keys(self, event: Event) -> Iterable[Key]:
        """The route itself; all routes when a Service or Gateway comes or goes."""
        if event.resource == "httproutes":
            return [key_of(event)]
        if event.resource in ("services", "gateways") and event.type != "MODIFIED":
            routes = self.store.list("httproutes")
            return [(r["metadata"]["namespace"], r["metadata"]["name"]) for r in routes]
        return []

    def reconcile(self, namespace: str, name: str) -> None:
        """Report on each parent that exists."""
        route = self.store.get("httproutes", namespace, name)
        if route is None:
            return
        parents = [
            parent
            for parent in route["spec"].get("parentRefs") or ()
            if parent["kind"] == "Gateway" and self._gateway(parent, namespace) is not None
        ]
        missing = self._missing_backend(route)

        def edit(changed: Manifest) -> None:
            status = changed.setdefault("status", {})
            before = status.get("parents") or []
            status["parents"] = [_reported(route, parent, before, missing) for parent in parents]

        self.store.change("httproutes", namespace, name, edit)

    def _gateway(self, parent: Manifest, namespace: str) -> Manifest | None:
        return self.store.get("gateways", parent.get("namespace") or namespace, parent["name"])

    def _missing_backend(self, route: Manifest) -> str | None:
        namespace = route["metadata"]["namespace"]
        for rule in route["spec"].get("rules") or ():
            for backend in backends_of(rule, namespace):
                if self.store.get("services", backend.namespace, backend.service) is None:
                    return backend.service
        return None


class GatewayController(Controller):
    """Accepts and programs every Gateway at once."""

    def keys(self, event: Event) -> Iterable[Key]:
        """The Gateway itself."""
        return [key_of(event)] if event.resource == "gateways" else []

    def reconcile(self, namespace: str, name: str) -> None:
        """Write the Gateway's status."""

        def edit(changed: Manifest) -> None:
            status = changed.setdefault("status", {})
            status["addresses"] = [{"type": "IPAddress", "value": "127.0.0.1"}]
            generation = changed["metadata"]["generation"]
            for type_ in ("Accepted", "Programmed"):
                new = condition(type_, True, type_, "") | {"observedGeneration": generation}
                set_condition(status.setdefault("conditions", []), new)

        self.store.change("gateways", namespace, name, edit)


def _reported(
    route: Manifest, parent: Manifest, before: list[Manifest], missing: str | None
) -> Manifest:
    known = next((entry for entry in before if entry["parentRef"] == parent), None)
    conditions: list[Manifest] = known["conditions"] if known else []
    accepted = condition("Accepted", True, "Accepted", "Route is accepted")
    resolved = condition("ResolvedRefs", True, "ResolvedRefs", "All references are resolved")
    if missing is not None:
        why = f'backend Service "{missing}" does not exist'
        resolved = condition("ResolvedRefs", False, "BackendNotFound", why)
    for reported in (accepted, resolved):
        generation = {"observedGeneration": route["metadata"]["generation"]}
        set_condition(conditions, reported | generation)
    return {"parentRef": parent, "controllerName": CONTROLLER_NAME, "conditions": conditions}
