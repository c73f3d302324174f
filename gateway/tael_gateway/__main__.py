"""python -m tael_gateway: the REST bridge alone; needs no store."""

from __future__ import annotations

import math
import os
import signal
import ssl
import threading
import time
from typing import Any

import uvicorn

from tael_runtime.main import orphaned
from tael_runtime.settings import Settings


def options(settings: Settings) -> dict[str, Any]:
    """uvicorn's options. Exits where the bridge would be reachable without TLS and authentication."""
    listen = settings.service("gateway").listen
    settings.check_exposure(listen)
    host, _, port = listen.rpartition(":")
    chosen: dict[str, Any] = {
        "host": host.strip("[]"),
        "port": int(port),
        "workers": settings.workers,
        "log_level": settings.log_level.lower(),
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": math.ceil(settings.drain_seconds),
    }
    if settings.tls_certificate:
        chosen |= {"ssl_certfile": settings.tls_certificate, "ssl_keyfile": settings.tls_key}
    if settings.tls_client_authority:
        chosen |= {
            "ssl_ca_certs": str(settings.tls_client_authority),
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }
    return chosen


def main() -> None:
    """Serves until SIGTERM or SIGINT, then lets the requests under way end."""
    settings = Settings()
    chosen = options(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn drains, then raises the signal again for whoever ran it: here nobody
        signal.signal(number, lambda *_: None)
    threading.Thread(target=_stop_when_orphaned, name="supervised", daemon=True).start()
    print(f"gateway listens on {settings.service('gateway').listen}", flush=True)
    uvicorn.run("tael_gateway.app:from_environment", factory=True, **chosen)


def _stop_when_orphaned() -> None:
    while not orphaned():
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
