"""pgbench's TPC-B on the same server: what its store does with small transactions."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import psycopg2

from bench.house import Store
from tael_runtime.embedded_postgres import find_binaries

DATABASE = "bench_tpc_b"


class TpcB:
    """A pgbench database of its own beside the ledger's."""

    def __init__(self, store: Store, scale: int, clients: int) -> None:
        self._program = find_binaries() / "pgbench"
        if not self._program.exists():
            raise RuntimeError(f"no pgbench beside the server's programs: {self._program}")
        self._clients = clients
        self._address = store.address(DATABASE)
        connection = psycopg2.connect(**store.address("postgres"))
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {DATABASE}")
        connection.close()
        _run(self._program, self._address, "--initialize", f"--scale={scale}", "--quiet")

    def transactions_a_second(self, seconds: int, protocol: str) -> float:
        """One run with "simple" statements, pgbench's default, or "prepared" ones."""
        said = _run(
            self._program,
            self._address,
            "--no-vacuum",
            f"--protocol={protocol}",
            f"--client={self._clients}",
            "--jobs=1",
            f"--time={seconds}",
        )
        found = re.search(r"^tps = ([0-9.]+)", said, re.MULTILINE)
        assert found, said
        return float(found[1])


def _run(program: Path, address: dict[str, Any], *options: str) -> str:
    where = [f"--host={address['host']}", f"--port={address['port']}"]
    command = [program, *where, f"--username={address['user']}", *options, address["dbname"]]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
