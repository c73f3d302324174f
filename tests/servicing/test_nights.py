"""The nights of a loan are read off its lines, in Python and in the store, as they are worked."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date

from hypothesis import HealthCheck, given, settings
from servicing.bank import Bank
from servicing.lives import Life, lives
from sqlalchemy import Connection, insert, select

from tael.ledger.v1 import ledger_pb2 as ledger
from tael_client.values import to_date
from tael_servicing.arithmetic import day, fold
from tael_servicing.arithmetic.loan import DAY, Loan
from tael_servicing.arithmetic.postings import Journal, Posting
from tael_servicing.arithmetic.terms import Terms
from tael_servicing.bookings import Batch
from tael_servicing.desk import Desk, open_desk
from tael_servicing.end_of_day.accrue import Accrue
from tael_servicing.end_of_day.step import Closing, payload_of
from tael_servicing.positions import Position, night_of, positions
from tael_servicing.tables import accrual_position, outgoing_posting

NIGHTS = 40


def stretch(terms: Terms, loan: Loan) -> list[Posting]:
    """What the arithmetic posts night by night until something else happens to the loan."""
    loan, journal = loan.copy(), Journal()
    for _ in range(NIGHTS):
        day.accrue(terms, loan, journal)
        closing = loan.copy()
        day.transfer_overdue(terms, closing, Journal())
        if closing != loan or day.stirs(terms, loan):
            break
    return journal.postings


def after_each_event(life: Life) -> list[Loan]:
    """The loan as it stood when each of its events had happened."""
    days = sorted({event.value_date for event in life.events})
    return [fold.replay(life.terms, life.events, each).loan for each in days]


@settings(max_examples=60, deadline=None)
@given(life=lives())
def test_lines_post_each_night_what_the_arithmetic_does(life: Life) -> None:
    for loan in after_each_event(life):
        expected = stretch(life.terms, loan)
        lines = list(positions(life.terms, loan))
        nights = [loan.business_date + place * DAY for place in range(NIGHTS)] if lines else []
        told = [posting for night in nights if (posting := night_of(lines, night))]
        last = expected[-1].value_date if expected else loan.business_date - DAY
        assert [each for each in told if each.value_date <= last] == expected


@settings(max_examples=60, deadline=None)
@given(life=lives())
def test_no_opening_changes_a_loan_before_the_date_it_says(life: Life) -> None:
    for written in after_each_event(life):
        says = fold.opens_on(life.terms, written) or date.max
        loan = written
        for _ in range(NIGHTS):
            closed = fold.apart(day.transfer_overdue, life.terms, loan).loan
            if closed != loan:
                break  # It is written anew, and says anew.
            night = fold.apart(day.accrue, life.terms, loan).loan
            loan = fold.apart(fold.open_day, life.terms, night).loan
            if loan != night or loan.status is not written.status:
                assert says <= loan.business_date
                break


def test_the_store_posts_each_night_what_the_lines_do(bank: Bank) -> None:
    desk = open_desk(bank.house.running["servicing"].runtime)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(life=lives())
    def hold(life: Life) -> None:
        with desk.database.begin() as transaction:
            for number, loan in enumerate(after_each_event(life)):
                lines = list(positions(life.terms, loan))
                if lines:
                    hold_lines(transaction, desk, f"{bank.product} {number}", lines)
            transaction.rollback()

    hold()


def hold_lines(transaction: Connection, desk: Desk, name: str, lines: list[Position]) -> None:
    """`name`: of the loan, its book and its product."""
    owner = dict.fromkeys(("loan_id", "book_id", "product_code"), name)
    transaction.execute(insert(accrual_position), [{**owner, **asdict(line)} for line in lines])
    for place in (0, 1, 2, 9, 30):
        night = lines[0].since + place * DAY
        expected = night_of(lines, night)
        request = f"{name} {place}"
        batch, payload = Batch(request, name, request, night), payload_of([name])
        Accrue().work(transaction, Closing(desk, name, night), payload, batch)
        assert sent(transaction, request) == ([expected] if expected else []), lines


def sent(transaction: Connection, request_id: str) -> list[Posting]:
    """What goes to the ledger of one loan's night."""
    outgoing = outgoing_posting.c
    query = select(outgoing.messages).where(outgoing.request_id == f"{request_id}:c1")
    found = []
    for messages in transaction.execute(query).scalars():
        header, chunk = map(ledger.RecordEventColumnsRequest.FromString, map(bytes, messages))
        columns = zip(header.header.amount_types, chunk.chunk.columns, strict=True)
        amounts = {name: column.minor_units[0] for name, column in columns}
        accruing = header.header.accrual_status == ledger.ACCRUAL_STATUS_ACCRUAL
        night = to_date(header.header.value_date)
        found.append(Posting(header.header.event, night, accruing, amounts))
    return found
