"""The loan engine, in process: a quote, its schedule alone, a life folded; each of 360 instalments.

The quote is whole: product terms in, the answer's bytes with its disclosure out.

Held against numpy-financial's ppmt and ipmt over 360 rows, and against a bare Python loop that does
no more than the additions, in rounds that alternate.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from statistics import median
from typing import Annotated

import numpy_financial
import typer

from bench.report import Figure, milliseconds, show
from bench.rounds import alternate, ratio
from tael.servicing.v1 import product_pb2
from tael_client.values import from_decimal
from tael_servicing import quotes
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Repaid
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.schedules import build_schedule
from tael_servicing.arithmetic.terms import NEVER, Method, Terms
from tael_servicing.terms import loan_terms

PRINCIPAL = 100_000_000
ROWS = 360
START = date(2026, 1, 15)
END = date(2056, 2, 1)
TERMS = Terms(Method.EQUAL_INSTALMENT, ROWS, Decimal("0.045"), nonaccrual_dpd=NEVER)
PRODUCT = product_pb2.ProductTerms(
    method=product_pb2.REPAYMENT_METHOD_EQUAL_INSTALMENT,
    min_periods=ROWS,
    max_periods=ROWS,
    min_principal=PRINCIPAL,
    max_principal=PRINCIPAL,
    annual_rate=from_decimal(TERMS.annual_rate),
    penalty_multiplier=from_decimal(TERMS.penalty_multiplier),
)
TARGET_QUOTE = 0.005
TARGET_REPLAY = 0.020


def life() -> list[LoanEvent]:
    """A disbursement and 400 repayments: every ninth instalment in two parts, the second late."""
    events: list[LoanEvent] = [Disbursed(START, "000", PRINCIPAL)]
    for row in build_schedule(TERMS, PRINCIPAL, START).instalments:
        parts = [(row.due_date, row.amount)]
        if row.number % 9 == 0:
            half = row.amount // 2
            late = row.due_date + timedelta(days=9)
            parts = [(row.due_date, half), (late, row.amount - half + 10_000)]
        for day, amount in parts:
            events.append(Repaid(day, f"{len(events):03}", amount))
    return events


def quoted() -> bytes:
    """A quote as it is answered."""
    terms = loan_terms(PRODUCT, ROWS, TERMS.annual_rate)
    return quotes.quote(terms, PRODUCT, PRINCIPAL, START, []).SerializeToString()


def library() -> None:
    """The library's principal and interest of every row."""
    periods = range(1, ROWS + 1)
    numpy_financial.ppmt(0.045 / 12, list(periods), ROWS, -PRINCIPAL)
    numpy_financial.ipmt(0.045 / 12, list(periods), ROWS, -PRINCIPAL)


def bare() -> None:
    """A balance that grows and is paid, 400 times, in integers: additions and one product a row."""
    balance = PRINCIPAL
    for _ in range(400):
        interest = (balance * 45 + 6000) // 12000
        balance -= 506_685 - interest


def timed(work: Callable[[], object], times: int) -> Callable[[], float]:
    """CPU seconds of one run, the mean of several: other load on the machine does not count."""

    def run() -> float:
        begun = time.process_time()
        for _ in range(times):
            work()
        return (time.process_time() - begun) / times

    return run


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 15,
    quick: Annotated[bool, typer.Option("--quick", help="Few rounds, to see it run.")] = False,
) -> None:
    """A quote, its schedule alone, and a whole life's replay."""
    events = life()
    sides = (
        timed(quoted, 3),
        timed(lambda: build_schedule(TERMS, PRINCIPAL, START), 3),
        timed(lambda: replay(TERMS, events, END), 1),
        timed(library, 3),
        timed(bare, 20),
    )
    for side in sides:
        side()
    quote, rows, fold, ppmt, loop = alternate(2 if quick else rounds, *sides)
    figures = [
        Figure(
            f"quote of {ROWS} rows, answered",
            milliseconds(median(quote)),
            f"{milliseconds(median(ppmt))} numpy-financial",
            ratio(quote, ppmt),
            f"≤ {milliseconds(TARGET_QUOTE)}",
            median(quote) <= TARGET_QUOTE,
        ),
        Figure(
            f"schedule of {ROWS} rows",
            milliseconds(median(rows)),
            f"{milliseconds(median(ppmt))} numpy-financial",
            ratio(rows, ppmt),
            f"≤ {milliseconds(TARGET_QUOTE)}",
            median(rows) <= TARGET_QUOTE,
        ),
        Figure(
            f"replay of {ROWS} instalments, {len(events)} events",
            milliseconds(median(fold)),
            f"{milliseconds(median(loop))} bare loop",
            ratio(fold, loop),
            f"≤ {milliseconds(TARGET_REPLAY)}",
            median(fold) <= TARGET_REPLAY,
        ),
    ]
    best = (
        f"best of {len(fold)}: quote {milliseconds(min(quote))},"
        f" schedule {milliseconds(min(rows))}, replay {milliseconds(min(fold))}"
    )
    sys.exit(show("The loan engine, in process", figures, [best], quick=quick))


if __name__ == "__main__":
    typer.run(main)
