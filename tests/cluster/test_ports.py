from __future__ import annotations

import socket

import pytest

from domain.errors import PermanentFailure
from tests.cluster import ports


def test_free_ports_are_free_and_different() -> None:
    found = ports.free(20)
    assert len(set(found)) == 20
    assert all(map(ports.is_free, found))


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with socket.create_server((ports.HOST, 0)) as listening:
        port = listening.getsockname()[1]
        assert not ports.is_free(port)
        with pytest.raises(PermanentFailure, match=rf"port {port} .*for etcd, is taken; .*`ss "):
            ports.refuse_taken(port, "etcd")
