"""10. The report of the day that was ended; business goes on meanwhile."""

from __future__ import annotations

from sqlalchemy import Connection

from tael_servicing import day_reports, loan_ledger_file, snapshots
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.checks import CODES, CONTROLLED, ledger_totals
from tael_servicing.end_of_day.step import Closing, Step, Summary


class Report(Step):
    """What the run does not say of itself: the ledger's totals, and the loan ledger as a file."""

    name = "report"
    needs_books = False
    rehearsed = False

    @property
    def asks_others(self) -> bool:
        """The ledger, and the disk: the day must be open before."""
        return True

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Writes the file, whole or not at all, and keeps the report once."""
        del payload, batch
        ledger = snapshots.ledger_of(transaction, closing.book_id, closing.day)
        path = loan_ledger_file.path_of(closing.desk.reports, closing.book_id, closing.day)
        written = loan_ledger_file.write(closing.desk.database, ledger, path)
        in_ledger = ledger_totals(closing, CONTROLLED)
        of_loans = {code: written.totals[name] for name, code in CODES.items()}
        day_reports.keep(transaction, closing.book_id, closing.day, written, in_ledger, of_loans)
        return Summary(loans=written.loans)
