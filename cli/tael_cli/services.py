"""The CLI's connections: every stub it needs, by service, as one caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import grpc

from tael_client import Connection
from tael_runtime.auth import credentials
from tael_runtime.settings import Settings

StubT = TypeVar("StubT")


class Services:
    """Typed stubs of running services: `services.stub("ledger", LedgerServiceStub)`."""

    def __init__(self, settings: Settings, timeout: float = 30) -> None:
        self.settings = settings
        self._timeout = timeout
        self._connections: dict[tuple[str, str], Connection] = {}

    def stub(
        self, service: str, make: Callable[[grpc.Channel], StubT], caller: str = "operator"
    ) -> StubT:
        """A stub that calls as `caller` (or with TAEL_SERVICE_TOKEN, where one is set)."""
        key = (service, caller)
        if key not in self._connections:
            self._connections[key] = Connection(
                self.settings.target(service), credentials(self.settings, caller), self._timeout
            )
        return self._connections[key].stub(make)

    def close(self) -> None:
        """Closes every channel."""
        for connection in self._connections.values():
            connection.close()
