"""Settings of a service, from TAEL_* environment variables; every one has a working default."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PORTS = {
    "ledger": 7101,
    "servicing": 7102,
    "risk": 7103,
    "origination": 7104,
    "collections": 7105,
    "simulators": 7106,
    "gateway": 7180,
}
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class ServiceSettings(BaseModel):
    """Where one service listens, is reached and keeps its data: TAEL_LEDGER__LISTEN, …."""

    listen: str = ""
    """host:port to bind; port 0 = any free one. Default 127.0.0.1 and the service's port."""
    target: str = ""
    """host:port where the others reach it; default: where it listens."""
    database_url: str = ""
    """postgresql+psycopg2://…; default: TAEL_DATABASE_URL, else the data folder's own cluster."""
    migration_url: str = ""
    """A more privileged URL for migrations; default: database_url."""
    metrics_listen: str = ""
    """host:port for Prometheus; empty = none. For one process: not with several workers."""


class Settings(BaseSettings):
    """All settings. Built once, handed down; nothing reads the environment elsewhere."""

    model_config = SettingsConfigDict(
        env_prefix="TAEL_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    data_dir: Path = Path(".tael")
    """The embedded cluster, keys and logs."""
    reports_dir: Path | None = None
    """What days leave as files, one folder for all processes; default: reports in data_dir."""
    pg_bindir: str | None = None
    """Folder of PostgreSQL's programs, where the search order should not decide."""
    database_url: str = ""
    """One PostgreSQL for all services; empty = embedded."""
    database_name: str = "tael"
    """Database in the embedded cluster."""

    ledger: ServiceSettings = ServiceSettings()
    servicing: ServiceSettings = ServiceSettings()
    risk: ServiceSettings = ServiceSettings()
    origination: ServiceSettings = ServiceSettings()
    collections: ServiceSettings = ServiceSettings()
    simulators: ServiceSettings = ServiceSettings()
    gateway: ServiceSettings = ServiceSettings()
    providers: str = ""
    """host:port of the outside world's ports; empty = the simulators."""

    threads: int = Field(default=24, ge=1)
    """Handlers at work at once; also the size of the store's pool."""
    ledger_group_size: int = Field(default=512, ge=1)
    """Requests that share one transaction of the ledger, at most; 1 = each its own."""
    max_streams: int = Field(default=16, ge=1)
    """Answers streamed at once (Watch, exports); further ones are refused with TOO_MANY_STREAMS."""
    max_uploads: int = Field(default=64, ge=1)
    """Requests streamed at once (columns, imports, files); further ones likewise."""
    max_concurrent_rpcs: int = Field(default=512, ge=1)
    """Calls accepted at once; further ones are shed with RESOURCE_EXHAUSTED."""
    workers: int = Field(default=1, ge=1)
    """Processes on one port (SO_REUSEPORT)."""
    drain_seconds: float = Field(default=15.0, ge=0)
    """Time for calls under way to end after SIGTERM."""

    tls_certificate: Path | None = None
    """PEM; with tls_key turns TLS on."""
    tls_key: Path | None = None
    tls_authority: Path | None = None
    """PEM of the authority of the services' certificates; default: tls_certificate signs itself."""
    tls_client_authority: Path | None = None
    """PEM of the authority of client certificates: mutual TLS."""
    jwt_key: str = ""
    """Key that proves bearer tokens: a shared secret or a PEM public key; empty = loopback trust."""
    jwt_algorithms: list[str] = ["HS256"]
    service_token: str = ""
    """Bearer token this service shows to the others."""
    policy_file: Path | None = None
    """Casbin policy: which role may call which rpc; reloaded when it changes."""

    field_key: str = ""
    """64 hex digits: the key of encrypted fields and blind indexes; empty = made in data_dir."""
    clock: Path | None = None
    """File holding an ISO instant that stands for now; None = the machine's clock."""
    log_level: str = "INFO"

    def service(self, name: str) -> ServiceSettings:
        """The settings of one service with defaults filled in."""
        own: ServiceSettings = getattr(self, name)
        listen = own.listen or f"127.0.0.1:{PORTS[name]}"
        return ServiceSettings(
            listen=listen,
            target=own.target or listen.replace("0.0.0.0:", "127.0.0.1:"),
            database_url=own.database_url or self.database_url,
            migration_url=own.migration_url or own.database_url or self.database_url,
            metrics_listen=own.metrics_listen,
        )

    def target(self, name: str) -> str:
        """Where a service is reached; `providers` for the outside world."""
        if name == "providers":
            return self.providers or self.service("simulators").target
        return self.service(name).target

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self

    @model_validator(mode="after")
    def _one_process_has_one_metrics_port(self) -> Self:
        if self.workers > 1 and any(getattr(self, name).metrics_listen for name in PORTS):
            raise ValueError("metrics_listen is for one process; with workers, use none")
        return self

    @property
    def reports(self) -> Path:
        """Where days leave their files."""
        return self.reports_dir or self.data_dir / "reports"

    @property
    def server_roots(self) -> Path | None:
        """By what the other services' certificates are proven; None = they speak without TLS."""
        return self.tls_certificate and (self.tls_authority or self.tls_certificate)

    def check_exposure(self, listen: str) -> None:
        """Refuses to listen beyond loopback without TLS and authentication (DESIGN.md §6)."""
        local = listen.rpartition(":")[0] in LOOPBACK or listen.startswith("unix:")
        if local or (self.tls_certificate and self.jwt_key):
            return
        raise SystemExit(
            f"{listen} is reachable from beyond this machine: set TAEL_TLS_CERTIFICATE, "
            "TAEL_TLS_KEY and TAEL_JWT_KEY, or listen on 127.0.0.1"
        )
