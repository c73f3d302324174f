"""What a process used, from /proc: its CPU time and its memory, those of its children included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
RESET_PEAK = "5"
"""Written to clear_refs: the peak of the resident set becomes what it is now."""


@dataclass(frozen=True)
class Process:
    """A process and what it started."""

    pid: int

    def cpu_seconds(self) -> float:
        """User and system time so far, of children that ended too."""
        return sum(_cpu_seconds(pid) for pid in self._family())

    def peak_mib(self) -> float:
        """The most memory held resident since `reset_peak`, but for what processes share."""
        return sum(_peak_kib(pid) for pid in self._family()) / 1024

    def largest_mib(self) -> float:
        """As `peak_mib`, of the one that held most."""
        return max(_peak_kib(pid) for pid in self._family()) / 1024

    def reset_peak(self) -> None:
        """Begins a new peak."""
        for pid in self._family():
            with suppress(FileNotFoundError, ProcessLookupError):
                Path(f"/proc/{pid}/clear_refs").write_text(RESET_PEAK)

    def _family(self) -> Iterator[int]:
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            yield pid
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                with suppress(FileNotFoundError, ProcessLookupError):
                    waiting += map(int, children.read_text().split())


def parent_of(pid: int) -> Process:
    """Who started a process."""
    return Process(int(_stat(pid)[1]))


def _cpu_seconds(pid: int) -> float:
    try:
        fields = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, fields[11:15])) / TICKS


def _stat(pid: int) -> list[str]:
    """Fields after the name, which may hold anything: 0 state, 1 parent, 11–14 CPU times."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _peak_kib(pid: int) -> int:
    """The peak of what is resident, less what is shared: of PostgreSQL's buffers each process that
    reads much has all, and they are there once.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    rows = dict(row.split(":", 1) for row in status.splitlines())
    peak, shared = (int(rows.get(name, "0").split()[0]) for name in ("VmHWM", "RssShmem"))
    return peak - shared
