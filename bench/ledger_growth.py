"""Days of posting, one after another: whether a day costs more when the book is old.

A day is the night's interest in columns, entries in thousands, and the close. The last fifty days
are held against days 50–100 of the same run; sizes of tables and indexes are printed along the way.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median
from typing import Annotated

import typer
from rich.table import Table

from bench.house import FIRST_DAY, Ledger, Store
from bench.postings import COLUMN_LIMIT, entries_request, event_columns, request_id
from bench.report import Figure, console, say, show

TARGET_RATIO = 1.25
SPAN = 50
ENTRIES = 1000
"""Of two lines a day; the day's other lines come in columns."""

SIZES = """
SELECT coalesce(parent.relname, child.relname) AS name,
       sum(pg_table_size(child.oid))::bigint, sum(pg_indexes_size(child.oid))::bigint
FROM pg_class AS child
LEFT JOIN pg_inherits ON inhrelid = child.oid
LEFT JOIN pg_class AS parent ON parent.oid = inhparent
WHERE child.relnamespace = 'ledger'::regnamespace AND child.relkind = 'r'
GROUP BY name HAVING sum(pg_total_relation_size(child.oid)) > 1024 * 1024
ORDER BY 2 DESC
"""


@dataclass(frozen=True)
class Day:
    """What one day took, in seconds."""

    posting: float
    closing: float
    cpu: float
    """Of the ledger and PostgreSQL: what a busy machine does not stretch."""

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.posting + self.closing


def live(ledger: Ledger, number: int, lines: int) -> Day:
    """Posts and closes a day."""
    day = FIRST_DAY + timedelta(days=number)
    owners = lines - 2 * ENTRIES - 1
    night = event_columns(range(owners), day)
    # Customers come from all over the book, others every day.
    some = [(number * 7919 + place * 104_729) % owners for place in range(ENTRIES)]
    request = entries_request(some, day, request_id())
    cpu = _cpu(ledger)
    begun = time.perf_counter()
    answer = ledger.journal.RecordEventColumns(iter(night))
    posted = ledger.journal.PostEntries(request)
    posting = time.perf_counter() - begun
    assert answer.lines + 2 * len(posted.sequences) == lines
    assert not posted.refusals
    begun = time.perf_counter()
    ledger.close_day(day)
    closing = time.perf_counter() - begun
    return Day(posting, closing, _cpu(ledger) - cpu)


def _cpu(ledger: Ledger) -> float:
    return ledger.process.cpu_seconds() + ledger.postgres.cpu_seconds()


def compared(name: str, days: Sequence[Day], value: Callable[[Day], float]) -> Figure:
    """The last days against the early ones."""
    last, early = (median(map(value, some)) for some in (days[-SPAN:], days[SPAN : 2 * SPAN]))
    return Figure(
        name,
        f"{last * 1000:,.0f} ms",
        f"{early * 1000:,.0f} ms in days {SPAN}–{2 * SPAN}",
        last / early,
    )


def chart(spans: Sequence[Sequence[Day]]) -> Table:
    """A row a span of days: medians, and a bar to see the trend by."""
    table = Table(title=f"A day's cost by {SPAN} days", title_justify="left", title_style="bold")
    for name in ("days", "posting", "closing", "CPU", "a day"):
        table.add_column(name, justify="right")
    table.add_column("")
    medians = [median(day.seconds for day in span) for span in spans]
    for number, (span, seconds) in enumerate(zip(spans, medians, strict=True)):
        table.add_row(
            f"{number * SPAN}–{number * SPAN + len(span)}",
            f"{median(day.posting for day in span) * 1000:,.0f} ms",
            f"{median(day.closing for day in span) * 1000:,.0f} ms",
            f"{median(day.cpu for day in span) * 1000:,.0f} ms",
            f"{seconds * 1000:,.0f} ms",
            "█" * round(40 * seconds / max(medians)),
        )
    return table


def sizes(ledger: Ledger) -> list[tuple[str, int, int]]:
    """(table, bytes of rows, bytes of indexes), partitions added up, largest first."""
    return [(name, int(rows), int(indexes)) for name, rows, indexes in ledger.rows(SIZES)]


def size_table(found: Sequence[tuple[str, int, int]], lines: int) -> Table:
    """What the store holds at the end."""
    table = Table(title="The store at the end", title_justify="left", title_style="bold")
    table.add_column("table")
    for name in ("rows", "indexes", "bytes a line"):
        table.add_column(name, justify="right")
    for name, rows, indexes in found:
        table.add_row(
            name,
            f"{rows / 2**20:,.0f} MiB",
            f"{indexes / 2**20:,.0f} MiB",
            f"{(rows + indexes) / lines:,.1f}",
        )
    return table


def main(
    days: Annotated[int, typer.Option(min=3 * SPAN)] = 700,
    lines: Annotated[int, typer.Option(min=3 * ENTRIES, max=COLUMN_LIMIT, help="A day.")] = 20_000,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see it run.")] = False,
) -> None:
    """Days of posting, one after another."""
    days, lines = (3 * SPAN, 4000) if quick else (days, lines)
    lived: list[Day] = []
    with Store() as store:
        ledger = store.ledger("growth")
        for number in range(days):
            lived.append(live(ledger, number, lines))
            if number % SPAN == SPAN - 1:
                seconds = median(day.seconds for day in lived[-SPAN:])
                total = sum(rows + indexes for _, rows, indexes in sizes(ledger))
                say(f"day {number + 1}: {seconds * 1000:,.0f} ms a day, {total / 2**20:,.0f} MiB")
        found = sizes(ledger)
    spans = [lived[start : start + SPAN] for start in range(0, days, SPAN)]
    title = f"a day of {lines:,} lines, the last {SPAN} of {days}"
    whole = compared(title, lived, lambda day: day.seconds)
    assert whole.ratio is not None
    figures = [
        replace(whole, target=f"≤ {TARGET_RATIO} ×", met=whole.ratio <= TARGET_RATIO),
        compared("  CPU of the ledger and PostgreSQL", lived, lambda day: day.cpu),
    ]
    console.print(chart(spans))
    console.print(size_table(found, days * lines))
    sys.exit(show("Growth with age", figures, quick=quick))


if __name__ == "__main__":
    typer.run(main)
