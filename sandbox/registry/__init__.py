"""An OCI registry (distribution spec v1.1) over HTTP, its content on disk."""

from __future__ import annotations

from sandbox.registry.server import Registry

__all__ = ["Registry"]
