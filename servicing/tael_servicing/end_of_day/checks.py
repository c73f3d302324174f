"""7a. Checks: servicing's balances are the ledger's, account by account, to the cent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container

from sqlalchemy import Connection, func, select

from tael.ledger.v1 import accounting_pb2
from tael_client.values import from_date
from tael_runtime.errors import FailedPrecondition
from tael_servicing import growth, parties
from tael_servicing.bookings import Batch
from tael_servicing.end_of_day.step import Closing, Step, Summary
from tael_servicing.reasons import Reason
from tael_servicing.tables import BALANCES, credit_line

CODES = dict(
    zip(
        BALANCES,
        (
            *("1303.01", "1303.02", "1303.03"),
            *("1132.01", "1132.02", "1132.03", "1132.04", "1132.05", "1221.04"),
            *("7001", "7002", "7003", "7103"),
            *("7101", "7102"),
            *("1304.01", "1304.02", "1304.03"),
            "2241.03",
        ),
        strict=True,
    )
)
COMMITMENTS = "7201"
CONTROLLED = frozenset({*CODES.values(), COMMITMENTS, *parties.CODES})
"""The codes of which servicing keeps every account."""


class Checks(Step):
    """Everything is delivered when this step begins, so that the two must agree."""

    name = "checks"
    rehearsed = False

    @property
    def asks_others(self) -> bool:
        """The ledger, which must not be waited for while the cut-off's lock is held."""
        return True

    def work(
        self, transaction: Connection, closing: Closing, payload: bytes, batch: Batch
    ) -> Summary:
        """Keeps the control totals.

        Raises FailedPrecondition BOOKS_DISAGREE with every account that differs.
        """
        del payload, batch
        ours = control_totals(transaction, closing.book_id)
        theirs = ledger_totals(closing, ours)
        differing = [
            f"{code}: {ours[code]} here, {theirs[code]} in the ledger"
            for code in sorted(ours)
            if ours[code] != theirs[code]
        ]
        if differing:
            raise FailedPrecondition(
                Reason.BOOKS_DISAGREE, "; ".join(differing), f"{closing.book_id}/{closing.day}"
            )
        return Summary(amounts=Counter({code: total for code, total in ours.items() if total}))


def control_totals(connection: Connection, book_id: str) -> dict[str, int]:
    """Servicing's balances by GL code, minor units."""
    owed = growth.totals(connection, book_id)
    undrawn = credit_line.c.credit_limit - credit_line.c.used - credit_line.c.reserved
    commitments = connection.execute(
        select(func.coalesce(func.sum(undrawn), 0)).where(
            credit_line.c.book_id == book_id,
            credit_line.c.state.not_in(("PENDING", "CLOSED")),
            credit_line.c.overall.is_(False),
        )
    ).scalar_one()
    totals = {code: owed[name] for name, code in CODES.items()}
    return {**totals, COMMITMENTS: int(commitments), **parties.totals(connection, book_id)}


def ledger_totals(closing: Closing, codes: Container[str]) -> Counter[str]:
    """The ledger's balances of some codes when the day ends."""
    answer = closing.desk.accounting.TrialBalance(
        accounting_pb2.TrialBalanceRequest(
            book_id=closing.book_id, booking_date=from_date(closing.day)
        )
    )
    return Counter(
        {row.account.code: row.balance for row in answer.rows if row.account.code in codes}
    )
