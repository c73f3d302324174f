"""Tells those who wait within this process that a book was posted to."""

from __future__ import annotations

import threading
from collections import Counter


class Commits:
    """Commits of this process, by book."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._counts: Counter[str] = Counter()

    def count(self, book_id: str) -> int:
        """How many there were."""
        return self._counts[book_id]

    def committed(self, book_id: str) -> None:
        """Counts one, and wakes whoever waits."""
        with self._changed:
            self._counts[book_id] += 1
            self._changed.notify_all()

    def wait(self, book_id: str, seen: int, seconds: float) -> bool:
        """Waits until there were more than some, at most so long; whether there were."""
        with self._changed:
            return self._changed.wait_for(lambda: self._counts[book_id] > seen, seconds)
