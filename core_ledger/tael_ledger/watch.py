"""The journal as it grows: every entry once, in order, and then whatever is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tael_ledger import journal
from tael_ledger.commits import Commits
from tael_ledger.journal import Entry
from tael_ledger.tables import entry
from tael_runtime.database import Database

PAGE = 500
"""Entries read at a time."""
TOLD_LINES = 1_000
"""Lines of an entry that the contract lets a watcher have; larger ones come without."""
POLL_SECONDS = 0.2
"""What another process commits is seen after this at the latest."""
GATHER_SECONDS = 0.01
"""What follows this closely is read together."""


def watch(
    database: Database,
    commits: Commits,
    book_id: str,
    after: int,
    event: str,
    going: Callable[[], bool],
) -> Iterator[Entry]:
    """Entries after a sequence, of one event where it is given, then new ones while `going()`.

    Sequences are committed in order, so no later read can find an earlier one. Ends without an
    error when the service stops; the watcher comes back with its last sequence.
    """
    only = (entry.c.event == event,) if event else ()
    while going() and not database.closing.is_set():
        seen = commits.count(book_id)
        with database.read() as connection:
            heads = journal.heads(connection, book_id, entry.c.sequence > after, *only, size=PAGE)
            found = journal.complete(connection, book_id, heads, TOLD_LINES)
        for one in found:
            after = one.sequence
            yield one
        if len(found) < PAGE and commits.wait(book_id, seen, POLL_SECONDS):
            database.closing.wait(GATHER_SECONDS)
