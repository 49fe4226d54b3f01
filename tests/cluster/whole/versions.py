"""Versions of the example's services whose fault shows in production alone, where users are."""

from __future__ import annotations

from collections.abc import Callable

from tests.cluster.whole.dependency import URL
from tests.cluster.whole.repository import SIZE, Repository

BILLING = "microservices/billing/app.py"
USER = "microservices/user/app.py"
_INVOICE = '        invoice_id = request.path_params["invoice_id"]\n'
_ACCOUNT = '        user_id = request.path_params["user_id"]\n'
_IMPORTS = "from collections.abc import Mapping\n"

# Of its answers, 40 % take longer than the plan's 500 ms; none fails.
_SLOW = '''

async def _reconciled() -> None:
    """Invoices that were changed meanwhile are priced again: it takes a while."""
    if os.environ.get("ENVIRONMENT") == "production" and random.random() < 0.4:
        await asyncio.sleep(0.8)
'''
# The kernel kills the container again and again; in between it is ready and answers well: what
# is kept is rendered beside the requests, which wait for nothing.
_LEAKING = """

_rendered: list[bytes] = []
_shown: queue.SimpleQueue[int] = queue.SimpleQueue()


def _render() -> None:
    while True:
        _shown.get()
        for _ in range(12):
            _rendered.append(bytes([1]) * 2**20)
            time.sleep(0.005)


if os.environ.get("ENVIRONMENT") == "production":
    threading.Thread(target=_render, daemon=True).start()
"""
_ASKING = f'''

def _avatar() -> str:
    """The avatar's file, of which another service knows."""
    if os.environ.get("ENVIRONMENT") != "production":
        return "none"
    with urllib.request.urlopen("{URL}", timeout=2) as found:
        return str(json.load(found)["avatar"])
'''


def slow(repository: Repository) -> None:
    """Commit a billing that answers many requests too late."""
    _insert(repository, BILLING, "asyncio, os, random", _INVOICE, "await _reconciled()", _SLOW)
    repository.commit("invoices are priced again")


def leaking(repository: Repository) -> None:
    """Commit a billing that grows until its container is killed."""
    modules = "os, queue, threading, time"
    _insert(repository, BILLING, modules, _INVOICE, "_shown.put(1)", _LEAKING)
    # Six crashes must fit into a step and its extensions.
    repository.edit("tidegate.yaml", _replacing("canary: 1m = 0.5s", "canary: 1m = 4s"))
    repository.commit("shown invoices are kept")


def small(repository: Repository) -> None:
    """Commit less memory for production's pods: what leaks is killed within seconds."""
    repository.edit(SIZE, _replacing("memory: 1Gi", "memory: 256Mi"))
    repository.commit("256 MiB are enough")


def asking(repository: Repository) -> None:
    """Commit a user that asks the dependency for each account."""
    modules = "asyncio, json, os, urllib.request"
    _insert(repository, USER, modules, _ACCOUNT, "await asyncio.to_thread(_avatar)", _ASKING)
    repository.commit("accounts have avatars")


def understanding(repository: Repository) -> None:
    """Commit a user that reads the dependency's new form as well."""
    both = "found = json.load(found)\n        return str(found.get('picture') or found['avatar'])"
    repository.edit(USER, _replacing('return str(json.load(found)["avatar"])', both))
    repository.commit("avatars are called pictures")


def harmless(repository: Repository, name: str) -> None:
    """Commit a new variable of the configuration, which changes nothing for users."""
    file = f"deployment/k8s/base/configmaps/{repository.service}.yaml"
    repository.edit(file, lambda text: f'{text}  {name}: "1"\n')
    repository.commit(f"{name} is set")


def _insert(
    repository: Repository, file: str, modules: str, before: str, call: str, definition: str
) -> None:
    """Call something of its own in a handler: `call` before the line, imports and definition."""

    def change(text: str) -> str:
        assert text.count(before) == text.count(_IMPORTS) == 1
        imports = "".join(f"import {module}\n" for module in modules.split(", "))
        called = text.replace(before, f"        {call}\n{before}")
        return called.replace(_IMPORTS, f"{imports}{_IMPORTS}") + definition

    repository.edit(file, change)


def _replacing(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)
