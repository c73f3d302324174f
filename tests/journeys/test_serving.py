"""`tael serve`: one service or all of them, as a person starts and stops them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc

from support import ROOT, House, wait_until
from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael_cli.supervisor import ORDER


def serve(house: House, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tael_cli", "serve", *arguments],
        cwd=ROOT,
        env={**os.environ, **house.environment()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def pids(house: House, name: str) -> list[int]:
    """The processes of one service of this house."""
    listen = f"TAEL_{name.upper()}__LISTEN={house.settings.service(name).listen}".encode()
    return [int(found.name) for found in Path("/proc").glob("[0-9]*") if _is(found, name, listen)]


def _is(process: Path, name: str, listen: bytes) -> bool:
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        return f"tael_{name}".encode() in arguments and listen in (
            process / "environ"
        ).read_bytes().split(b"\0")
    except OSError:  # gone meanwhile, or somebody else's
        return False


def answers(house: House) -> Callable[[], bool]:
    ledger = house.client("ledger", ledger_pb2_grpc.LedgerServiceStub)

    def asked() -> bool:
        try:
            ledger.ListBooks(ledger_pb2.ListBooksRequest(), timeout=2)
        except grpc.RpcError:
            return False
        return True

    return asked


def test_all_services_run_what_dies_is_started_again_and_one_signal_stops_them(
    house: House,
) -> None:
    served = serve(house, "all")
    try:
        for name in ORDER:
            house.await_ready(name, 60)
        wait_until(answers(house), what="the ledger")
        (before,) = pids(house, "ledger")
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: pids(house, "ledger") not in ([], [before]), what="another ledger")
        wait_until(answers(house), what="the ledger")
    finally:
        served.send_signal(signal.SIGINT)
        assert served.wait(30) == 0
    assert [pid for name in ORDER for pid in pids(house, name)] == []


def test_one_service_with_two_workers_ends_with_the_command_that_began_it(house: House) -> None:
    served = serve(house, "ledger", "--workers", "2")
    try:
        wait_until(lambda: len(pids(house, "ledger")) == 3, what="a supervisor and two workers")
        wait_until(answers(house), 30, what="the ledger")
    finally:
        served.send_signal(signal.SIGTERM)
        assert served.wait(30) == 0
    assert pids(house, "ledger") == []


def test_services_whose_supervisor_is_killed_stop_and_leave_no_orphan(house: House) -> None:
    served = serve(house, "all")
    for name in ORDER:
        house.await_ready(name, 60)
    served.kill()
    served.wait()
    wait_until(
        lambda: not [pid for name in ORDER for pid in pids(house, name)], 30, "the orphans to stop"
    )
