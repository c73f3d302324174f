"""python -m tael_<service>: one service as a process, or several workers on its port."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from tael_runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tael_runtime.server import Service

WORKER = "TAEL_WORKER_PROCESS"
SUPERVISOR = "TAEL_SUPERVISOR"
"""Process id of what started this process and cares for it: without it, it stops too."""


def run(load: Callable[[], Service]) -> None:
    """Runs the service that `load` gives until SIGTERM or SIGINT, then drains.

    Workers are spawned before grpc is imported, which does not survive a fork.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, help="processes on the port (TAEL_WORKERS)")
    if workers := parser.parse_args().workers:
        os.environ["TAEL_WORKERS"] = str(workers)
    settings = Settings()
    if settings.workers > 1 and WORKER not in os.environ:
        _supervise(settings.workers)
    else:
        _serve(load(), settings)


def stop_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def await_stop(stopping: threading.Event) -> None:
    """Blocks until one of them came, or the supervisor is gone.

    Python runs handlers in the main thread, which sleeps on where the signal went to another one:
    so it wakes now and then.
    """
    while not stopping.wait(0.2) and not orphaned():
        pass


def orphaned() -> bool:
    """Whether the supervisor that started this process died without stopping it."""
    supervisor = os.environ.get(SUPERVISOR)
    return supervisor is not None and os.getppid() != int(supervisor)


def _serve(service: Service, settings: Settings) -> None:
    from tael_runtime.server import RunningService  # noqa: PLC0415  after the workers are spawned
    from tael_runtime.telemetry import configure_logging  # noqa: PLC0415

    configure_logging(service.name, settings.log_level)
    stopping = stop_signals()
    running = RunningService(service, settings, reuse_port=settings.workers > 1)
    if service.asynchronous:
        sys.setswitchinterval(0.001)  # the loop does not stand behind a thread that computes
    gc.collect()
    gc.freeze()  # what was loaded stays: later collections need not walk it, calls need not wait
    gc.set_threshold(50_000)  # a chunk of loans is many objects, and none of them is garbage yet
    print(f"{service.name} listens on {running.address}", flush=True)
    await_stop(stopping)
    running.stop()


def _supervise(count: int) -> None:
    """Keeps `count` workers alive until told to stop."""
    stopping = stop_signals()
    module = sys.modules["__main__"].__spec__
    assert module is not None, "run a service as python -m tael_<service>"
    command = [sys.executable, "-m", module.name.removesuffix(".__main__")]
    environment = {**os.environ, WORKER: "1", SUPERVISOR: str(os.getpid())}
    workers = [subprocess.Popen(command, env=environment) for _ in range(count)]
    while not stopping.wait(0.5) and not orphaned():
        workers = [
            worker if worker.poll() is None else subprocess.Popen(command, env=environment)
            for worker in workers
        ]
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait()
