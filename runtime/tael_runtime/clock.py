"""The service's clock. Business dates come from the book; instants (a contact at 21:59) from here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")


class Clock(Protocol):
    """Tells the instant."""

    def now(self) -> datetime:
        """Aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Now."""
        return datetime.now(UTC)


class FileClock:
    """A clock that stands at the ISO instant written in a file: simulated days, several processes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        """What the file says; the machine's clock while there is no file."""
        try:
            text = self._path.read_text().strip()
        except FileNotFoundError:
            return datetime.now(UTC)
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=SHANGHAI)).astimezone(UTC)


def set_clock(path: Path, instant: datetime) -> None:
    """Writes a FileClock's file in one step, so that no reader sees half of it."""
    temporary = path.with_suffix(".next")
    temporary.write_text(instant.isoformat())
    temporary.replace(path)
