"""What the store of ledger_002 believes of books.

A store is analysed now and then, and a new book can take a million rows before. By the statistics it
has none, so any index that begins with the book seems to find one row of it as fast as the key does,
and reading the book whole is as likely to be chosen as reading one row. Told nothing of books, the
planner takes each for a part of the table as large as it stands.
"""

PLANNED = tuple(
    f"ALTER TABLE {name} ALTER COLUMN book_id SET STATISTICS 0"
    for name in ("account", "entry", "posting_request", "record", "reservation", "reservation_line")
)
