"""No test leaves this machine: looking up a name or connecting beyond loopback fails the test that does it."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import settings


class LeftTheMachine(BaseException):
    """Not an Exception, so that no handler in the code under test can swallow it."""


def _is_here(host: Any) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host if isinstance(host, str) else bytes(host).decode()).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _stay_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def refuse(host: Any) -> None:
        raise LeftTheMachine(f"this test reached for {host!r}; tests stay on this machine")

    def guarded(original: Any) -> Any:
        def inner(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
                refuse(address[0])
            return original(self, address)

        return inner

    def guarded_look_up(host: Any, *rest: Any, **options: Any) -> Any:
        if not _is_here(host):
            refuse(host)
        return look_up(host, *rest, **options)

    def guarded_name(host: Any, *rest: Any) -> Any:
        refuse(host)

    monkeypatch.setattr(socket.socket, "connect", guarded(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    for name in ("gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        monkeypatch.setattr(socket, name, guarded_name)
    return


def pytest_configure() -> None:
    """Judge laws by what they say, not by how long a shared machine takes."""
    settings.register_profile("attribution", deadline=None)
    settings.load_profile("attribution")
