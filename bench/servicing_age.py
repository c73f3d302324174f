"""Reading a loan costs at 24 months what it costs at one.

Loans of one product, alike but for their age, in a book whose every day really ended; read in rounds
that alternate between the old and the young. What a reading costs is the CPU of servicing and of
PostgreSQL, which whatever else runs on the machine does not change.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Annotated

import typer

from bench.bank import Bank
from bench.house import Store
from bench.report import Figure, milliseconds, say, show
from bench.rounds import alternate, ratio
from tael.servicing.v1.loan_pb2 import GetLoanRequest, GetScheduleRequest, GetStatementRequest
from tael_client.values import from_date

PERIODS = 36
STATEMENT = timedelta(days=25)
"""Long, and later than the first day of the young."""
PASSES = 10
"""Over all loans of an age in a round: /proc counts CPU in hundredths of a second."""
MOST = 1.2
"""So much more the old may cost: what is beyond it is no noise."""


def main(
    months: Annotated[
        int, typer.Option(min=2, help="The age of the old; the young have one.")
    ] = 24,
    loans: Annotated[int, typer.Option(min=1, help="Of each age.")] = 20,
    rounds: Annotated[int, typer.Option(min=1)] = 9,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes, to see it run.")] = False,
) -> None:
    """GetLoan, GetSchedule and a GetStatement page over gRPC, by the loan's age."""
    months, loans, rounds = (2, 4, 3) if quick else (months, loans, rounds)
    with Store() as store:
        bank = Bank(store, store.ledger("age"))
        old = bank.lend(loans, PERIODS)
        _live(bank, months - 1)
        young = bank.lend(loans, PERIODS)
        _live(bank, 1)
        figures = []
        for name, read in _reads(bank).items():
            sides = (partial(_cost, bank, read, some) for some in (old, young))
            figures.append(_figure(name, months, *alternate(rounds, *sides)))
    sys.exit(show("Loans by age", figures, quick=quick))


def _live(bank: Bank, months: int) -> None:
    """Ends the days of so many months; what falls due is debited."""
    days = round(months * 30.4375)
    for number in range(1, days + 1):
        bank.end_day()
        if not number % 100:
            say(f"{number} of {days} days ended")


def _reads(bank: Bank) -> dict[str, Callable[[str], object]]:
    """By name, what is read of a loan."""
    period = {"from_date": from_date(bank.day - STATEMENT), "to_date": from_date(bank.day)}
    return {
        "GetLoan": lambda loan: bank.loans.GetLoan(GetLoanRequest(loan_id=loan)),
        "GetSchedule": lambda loan: bank.loans.GetSchedule(GetScheduleRequest(loan_id=loan)),
        "GetStatement": lambda loan: bank.loans.GetStatement(
            GetStatementRequest(loan_id=loan, **period)
        ),
    }


def _cost(bank: Bank, read: Callable[[str], object], loans: Sequence[str]) -> float:
    """Seconds of CPU a reading."""
    used = (bank.server.process, bank.server.postgres)
    before = sum(process.cpu_seconds() for process in used)
    for loan in list(loans) * PASSES:
        read(loan)
    return (sum(process.cpu_seconds() for process in used) - before) / (len(loans) * PASSES)


def _figure(name: str, months: int, old: Sequence[float], young: Sequence[float]) -> Figure:
    found = ratio(old, young)
    return Figure(
        f"{name}, {months} months old",
        f"{milliseconds(median(old))} of CPU",
        f"{milliseconds(median(young))} at one month",
        found,
        f"≤ {MOST} ×",
        found <= MOST,
    )


if __name__ == "__main__":
    typer.run(main)
