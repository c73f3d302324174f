"""The CLI's connections: every stub it needs, by service, as one caller."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import grpc

from tael_client import Connection, Credentials
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
            settings = self.settings
            credentials = Credentials(
                caller=caller,
                token=settings.service_token,
                root_certificates=settings.tls_certificate and settings.tls_client_authority,
                certificate=settings.tls_certificate,
                private_key=settings.tls_key,
            )
            self._connections[key] = Connection(
                settings.target(service), credentials, self._timeout
            )
        return self._connections[key].stub(make)

    @staticmethod
    def environment_with(workers: int) -> dict[str, str]:
        """This process's environment, with a number of workers for the service started."""
        return {**os.environ, "TAEL_WORKERS": str(workers)} if workers > 1 else dict(os.environ)

    def close(self) -> None:
        """Closes every channel."""
        for connection in self._connections.values():
            connection.close()
