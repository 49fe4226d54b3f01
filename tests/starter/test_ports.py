from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from domain.errors import PermanentFailure
from starter.ports import HOST, UNASSIGNED, choose


def test_ports_are_free_distinct_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    first = choose(file, ("a", "b", "c"), {})
    assert len(set(first.values())) == 3
    assert choose(file, ("a", "b", "c"), {}) == first


def test_a_chosen_port_is_none_that_a_server_started_meanwhile_is_given(tmp_path: Path) -> None:
    chosen = choose(tmp_path / "ports.json", map(str, range(50)), {})
    assert set(chosen.values()) <= set(UNASSIGNED)
    with socket.create_server((HOST, 0)) as other:
        assert other.getsockname()[1] not in UNASSIGNED


def test_a_kept_port_that_is_taken_now_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    with socket.create_server((HOST, 0)) as busy:
        file.write_text(json.dumps({"a": busy.getsockname()[1]}))
        assert choose(file, ("a",), {})["a"] != busy.getsockname()[1]


def test_a_wished_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(PermanentFailure, match=f"port {port} for ui is taken"):
            choose(tmp_path / "ports.json", ("ui",), {"ui": port})


def test_a_damaged_file_is_as_none(tmp_path: Path) -> None:
    file = tmp_path / "ports.json"
    file.write_text("{")
    assert choose(file, ("a",), {})["a"] > 0
