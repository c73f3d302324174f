"""The rates that products refer to, dated: the loan prime rate (LPR) and what follows it.

What was published when this version was made comes with it (data/lpr.csv, National Interbank Funding
Center); the store holds what came later, and corrections.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from tael.servicing.v1 import product_pb2, rate_pb2
from tael_client.values import from_date, from_decimal, to_decimal
from tael_servicing.tables import lpr as lprs
from tael_servicing.terms import UNITS

BASIS_POINT = Decimal("0.0001")
LONG_MONTHS = 60
"""A loan of more months takes the rate of five years."""


class NoRateKnown(Exception):
    """The loan prime rate of a day before the first one."""


@dataclass(frozen=True)
class Lpr:
    """What was published on a day: it holds from that day on."""

    published: date
    one_year: Decimal
    five_years: Decimal

    def message(self) -> rate_pb2.Lpr:
        """In the contract's words."""
        return rate_pb2.Lpr(
            published=from_date(self.published),
            one_year=from_decimal(self.one_year),
            five_years=from_decimal(self.five_years),
        )


@lru_cache(maxsize=1)
def shipped() -> tuple[Lpr, ...]:
    """What came with this version, oldest first."""
    return tuple(
        Lpr(
            date.fromisoformat(row["published"]),
            Decimal(row["one_year"]),
            Decimal(row["five_years"]),
        )
        for row in read_data("lpr.csv")
    )


def read_data(name: str) -> list[dict[str, str]]:
    """The rows of a table that came with this version."""
    text = files("tael_servicing").joinpath("data", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def known(transaction: Connection) -> list[Lpr]:
    """Every loan prime rate, oldest first."""
    by_day = {each.published: each for each in shipped()}
    for row in transaction.execute(select(lprs)):
        by_day[row.published] = Lpr(row.published, row.one_year, row.five_years)
    return sorted(by_day.values(), key=lambda each: each.published)


def keep(transaction: Connection, rate: Lpr) -> None:
    """Adds a rate, or corrects the one of its day."""
    values = {"one_year": rate.one_year, "five_years": rate.five_years}
    transaction.execute(
        insert(lprs)
        .values(published=rate.published, **values)
        .on_conflict_do_update(index_elements=["published"], set_=values)
    )


def on(rates: Sequence[Lpr], day: date) -> Lpr:
    """The one that holds on a day. Raises NoRateKnown."""
    index = bisect_right(rates, day, key=lambda each: each.published)
    if not index:
        raise NoRateKnown(f"no loan prime rate is known of {day}")
    return rates[index - 1]


def changes(rates: Sequence[Lpr], day: date) -> list[Lpr]:
    """Those published up to a day that are not what was published before them."""
    made: list[Lpr] = []
    for each in rates[: bisect_right(rates, day, key=lambda each: each.published)]:
        if not made or replace(made[-1], published=each.published) != each:
            made.append(each)
    return made


def digest(rates: Iterable[Lpr]) -> str:
    """The same of the same rates, and of no others."""
    told = (
        f"{each.published}:{each.one_year.normalize()}:{each.five_years.normalize()}"
        for each in rates
    )
    return sha256(" ".join(told).encode()).hexdigest()


def prime(
    rates: Sequence[Lpr], terms: product_pb2.ProductTerms, day: date, periods: int
) -> Decimal:
    """The loan prime rate of a day for a floating loan of so many periods. Raises NoRateKnown."""
    found = on(rates, day)
    term = terms.floating_rate.term
    if term == product_pb2.LPR_TERM_UNSPECIFIED:
        long = months_of(terms, periods) > LONG_MONTHS
        term = product_pb2.LPR_TERM_FIVE_YEARS if long else product_pb2.LPR_TERM_ONE_YEAR
    return found.five_years if term == product_pb2.LPR_TERM_FIVE_YEARS else found.one_year


def spread_of(
    transaction: Connection, terms: product_pb2.ProductTerms, annual_rate: Decimal, day: date
) -> Decimal | None:
    """What an annual rate of a day is over the prime rate of the product's longest loans; None where
    the product's rate does not float. Raises NoRateKnown.
    """
    if not terms.HasField("floating_rate"):
        return None
    return annual_rate - prime(known(transaction), terms, day, terms.max_periods)


def floating(
    rates: Sequence[Lpr],
    terms: product_pb2.ProductTerms,
    spread: Decimal,
    day: date,
    periods: int,
) -> Decimal:
    """The annual rate of a day of a loan of so many periods with a spread. Raises NoRateKnown."""
    return max(prime(rates, terms, day, periods) + spread, Decimal(0))


def annual_rate(
    transaction: Connection, terms: product_pb2.ProductTerms, day: date, periods: int
) -> Decimal:
    """A product's rate of a day, fixed or floating. Raises NoRateKnown."""
    if not terms.HasField("floating_rate"):
        return to_decimal(terms.annual_rate)
    spread = terms.floating_rate.spread_bp * BASIS_POINT
    return floating(known(transaction), terms, spread, day, periods)


def months_of(terms: product_pb2.ProductTerms, periods: int) -> int:
    """How long a loan of so many periods runs, in months, rounded up."""
    frequency = terms.schedule.frequency
    count = periods * (frequency.every or 1)
    return -(-count * UNITS[frequency.unit].days // 30)
