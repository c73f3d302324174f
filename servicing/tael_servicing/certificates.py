"""Settlement certificates (结清证明): that nothing is owed of a loan any more, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, select

from tael.servicing.v1 import loan_pb2 as pb
from tael_client.values import from_date, money
from tael_runtime.errors import FailedPrecondition
from tael_servicing.loans import CLOSURES, Held
from tael_servicing.movements import FORGIVES, LENT, PAYS, totals
from tael_servicing.reasons import Reason
from tael_servicing.tables import loan_posting

SETTLED = frozenset(CLOSURES.values()) - {"CLOSED_TRANSFERRED"}
"""A loan that was sold is owed to the buyer."""
TELLING = PAYS | FORGIVES | LENT.keys() | {"RECOVERY_RECEIVED"}


def of(connection: Connection, held: Held) -> pb.SettlementCertificate:
    """The certificate of a closed loan. Raises FailedPrecondition LOAN_NOT_SETTLED."""
    contract = held.contract
    if held.state not in SETTLED:
        raise FailedPrecondition(
            Reason.LOAN_NOT_SETTLED, f"the loan is {held.state}", contract.loan_id
        )
    rows = connection.execute(
        select(loan_posting).where(
            loan_posting.c.loan_id == contract.loan_id, loan_posting.c.event.in_(TELLING)
        )
    ).all()
    paid, ended_on = totals((row.event, row.amounts) for row in rows), _ended_on(rows)
    return pb.SettlementCertificate(
        certificate_number=_number(held, ended_on),
        loan_id=contract.loan_id,
        customer_id=contract.customer_id,
        disbursed=money(paid.disbursed, contract.currency_code),
        start_date=from_date(contract.start_date),
        state=pb.LoanState.Value(f"LOAN_STATE_{held.state}"),
        ended_on=from_date(ended_on),
        principal_paid=paid.principal_paid,
        interest_paid=paid.interest_paid,
        charges_paid=paid.charges_paid,
        fees_paid=paid.fees_paid,
        waived=paid.waived,
        date=from_date(held.loan.business_date),
    )


def _ended_on(rows: Sequence[Row[Any]]) -> date:
    """The last value date on which something of the debt was paid or given up, and stayed so."""
    moved: Counter[date] = Counter()
    for row in rows:
        told = totals([(row.event, row.amounts)])
        parts = (told.principal_paid, told.interest_paid, told.charges_paid, told.fees_paid)
        moved[row.value_date] += sum(parts) + told.waived + told.disbursed
    return max(day for day, amount in moved.items() if amount)


def _number(held: Held, ended_on: date) -> str:
    told = f"{held.contract.loan_id}/{held.state}/{ended_on}"
    return f"JQ{ended_on:%Y%m%d}-{sha256(told.encode()).hexdigest()[:12].upper()}"
