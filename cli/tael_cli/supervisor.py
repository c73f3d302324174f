"""Every service as a process of its own; what dies is started again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tael_client import Connection
from tael_runtime.auth import credentials
from tael_runtime.main import SUPERVISOR
from tael_runtime.settings import Settings

ORDER = ("simulators", "ledger", "servicing", "risk", "origination", "collections", "gateway")
"""Every service is able to start alone; this order only spares the first calls a wait."""


class Supervisor:
    """Starts services, watches them, starts again what dies, stops them all."""

    def __init__(self, environment: dict[str, str], log_dir: Path | None = None) -> None:
        self._environment = {**os.environ, **environment, SUPERVISOR: str(os.getpid())}
        self._log_dir = log_dir
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self, names: tuple[str, ...] = ORDER) -> None:
        """Starts them all and begins to watch."""
        if self._log_dir:
            self._log_dir.mkdir(parents=True, exist_ok=True)
        for name in names:
            self._processes[name] = self._spawn(name)
        self._watcher.start()

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        log = (self._log_dir / f"{name}.log").open("ab") if self._log_dir else None
        try:
            return subprocess.Popen(
                [sys.executable, "-m", f"tael_{name}"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log or subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor, which drains them in order
            )
        finally:
            if log:
                log.close()

    def _watch(self) -> None:
        born = dict.fromkeys(self._processes, time.monotonic())
        while not self._stop.wait(0.3):
            for name, process in list(self._processes.items()):
                if process.poll() is None or self._stop.is_set():
                    continue
                time.sleep(max(0.0, 1.0 - (time.monotonic() - born[name])))
                born[name] = time.monotonic()
                print(f"{name} ended with {process.returncode}; starting it again", file=sys.stderr)
                self._processes[name] = self._spawn(name)

    def stop(self, seconds: float = 20) -> None:
        """SIGTERM to all, callers first; SIGKILL to what does not drain in time."""
        self._stop.set()
        if self._watcher.is_alive():
            self._watcher.join()
        running = list(reversed(self._processes.values()))
        for process in running:
            process.terminate()
        end = time.monotonic() + seconds
        for process in running:
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def await_healthy(settings: Settings, names: tuple[str, ...], seconds: float = 60) -> None:
    """Waits until the gRPC services among `names` answer their health check with SERVING.

    Raises TimeoutError with the one that does not.
    """
    end = time.monotonic() + seconds
    for name in names:
        if name == "gateway":
            continue
        with Connection(settings.target(name), credentials(settings)) as connection:
            stub = connection.stub(health_pb2_grpc.HealthStub)
            while not _serving(stub):
                if time.monotonic() > end:
                    raise TimeoutError(f"{name} does not answer on {settings.target(name)}")
                time.sleep(0.1)


def _serving(stub: health_pb2_grpc.HealthStub) -> bool:
    try:
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=1)
    except grpc.RpcError:
        return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
