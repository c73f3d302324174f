"""What is written after the options of `tael quote`: amounts, rates, periods, fees, happenings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

import typer

from tael_servicing import quoting
from tael_servicing.quoting import Fee, FeeAt, FeeOn, Frequency, Kind, Part, Unit, Wish

ParsedT = TypeVar("ParsedT")
MOST = 10
"""A rate or share: 1000 %."""
NAMED_FREQUENCIES = {
    "day": Frequency(Unit.DAY, 1),
    "week": Frequency(Unit.WEEK, 1),
    "half-month": Frequency(Unit.HALF_MONTH, 1),
    "month": Frequency(Unit.MONTH, 1),
    "quarter": Frequency(Unit.MONTH, 3),
    "year": Frequency(Unit.MONTH, 12),
}


def option(
    parse: Callable[[str], Any],
    metavar: str,
    text: str,
    panel: str,
    shown: str | bool = False,
    *names: str,
) -> Any:
    """An option whose word `parse` reads; a word it does not know is told with what would be right."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return parse(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return typer.Option(
        *names,
        parser=read,
        metavar=metavar,
        help=text,
        rich_help_panel=panel,
        show_default=shown,
    )


def choice(kind: type[Enum], text: str, panel: str, default: str = "") -> Any:
    """An option that is one word of an enum."""
    names = "|".join(quoting.words(kind))
    return option(lambda value: quoting.word(kind, value), names, text, panel, default or False)


def day(text: str) -> date:
    """2026-01-15."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date; write 2026-01-15") from None


def number(text: str) -> Decimal:
    """An exact decimal."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        raise ValueError(f"{text!r} is no number") from None
    if not value.is_finite():
        raise ValueError(f"{text!r} is no number")
    return value


def amount(text: str) -> int:
    """10000 or 10000.50, in minor units."""
    minor = number(text) * 100
    if minor != int(minor) or minor < 0:
        raise ValueError(f"{text!r} is no amount; write 10000 or 10000.50")
    return int(minor)


def some(text: str) -> int:
    """As `amount`, and not nothing."""
    if not (minor := amount(text)):
        raise ValueError(f"{text!r} is nothing; 0.01 or more is right")
    return minor


def percent(text: str) -> Decimal:
    """12 is 0.12."""
    rate = number(text.removesuffix("%")) / 100
    if rate > MOST:
        raise ValueError(f"{text!r} is more than {MOST * 100} %")
    return rate


def frequency(text: str) -> Frequency:
    """month, half-month, quarter, week, or 15-days, 2-weeks, 6-months."""
    if text in NAMED_FREQUENCIES:
        return NAMED_FREQUENCIES[text]
    count, _, unit = text.partition("-")
    units = {"days": Unit.DAY, "weeks": Unit.WEEK, "months": Unit.MONTH}
    if not count.isdigit() or unit not in units:
        raise ValueError(f"{text!r} is no frequency; write month, quarter, week or 15-days")
    return Frequency(units[unit], int(count))


def parts(text: str) -> tuple[Part, ...]:
    """principal,interest,penalty,compound,fee."""
    return tuple(quoting.word(Part, each) for each in text.split(","))


def amounts(text: str) -> tuple[int, ...]:
    """1000,1200.50,…."""
    return tuple(amount(each) for each in text.split(","))


def fee(text: str) -> Fee:
    """NAME:AT:WHAT[:of=WHAT][:until=MONTHS][:by=WHOM][:penalty]; WHAT is 50, 3% or 50+3%."""
    name, *rest = text.split(":")
    if len(rest) < 2:
        raise ValueError(f"{text!r} is no fee; write 'Service fee:instalment:50'")
    at, what, *more = rest
    given = dict(each.partition("=")[::2] for each in more)
    unknown = set(given) - {"of", "until", "by", "penalty"}
    if unknown:
        raise ValueError(f"{text!r}: a fee has no {', '.join(sorted(unknown))}")
    terms = what.split("+")
    return Fee(
        name=name,
        at=quoting.word(FeeAt, at),
        amount=sum(amount(each) for each in terms if not each.endswith("%")),
        rate=sum((percent(each) for each in terms if each.endswith("%")), Decimal(0)),
        on=quoting.word(FeeOn, given.get("of", "principal")),
        until_month=int(given.get("until", "0")),
        charged_by=given.get("by", ""),
        penalty="penalty" in given,
    )


def wish(kind: Kind) -> Callable[[str], Wish]:
    """DATE, DATE:AMOUNT, DATE:RATE or DATE:COUNT, and a rule after it where one can be given."""

    def read(text: str) -> Wish:
        on, *rest = text.split(":")
        bare = kind in (Kind.PAY_CURRENT, Kind.PAYOFF, Kind.ACCELERATE)
        most = 0 if bare else 2 if kind in RULES else 1
        if len(rest) > most or (not bare and not rest):
            raise ValueError(f"{text!r} is not written {FORMS[kind]}")
        made = Wish(kind, day(on), **_value(kind, rest[0])) if rest else Wish(kind, day(on))
        if len(rest) < 2:
            return made
        field, rule = RULES[kind]
        return Wish(**{**vars(made), field: quoting.word(rule, rest[1])})

    return read


def _value(kind: Kind, text: str) -> dict[str, Any]:
    if kind is Kind.REPRICE:
        return {"rate": percent(text)}
    if kind in (Kind.EXTEND, Kind.PAUSE):
        return {"amount": int(text)}
    if kind is Kind.REDATE:
        return {"dates": tuple(day(each) for each in text.split(","))}
    return {"amount": amount(text)}


RULES: dict[Kind, tuple[str, type[Enum]]] = {
    Kind.REPAY: ("excess", quoting.Excess),
    Kind.PREPAY: ("keep", quoting.Keep),
    Kind.REPRICE: ("keep", quoting.Keep),
}
FORMS = {
    Kind.DRAW: "DATE:AMOUNT",
    Kind.REPRICE: "DATE:RATE[:KEEP]",
    Kind.EXTEND: "DATE:PERIODS",
    Kind.PAUSE: "DATE:PERIODS",
    Kind.REDATE: "DATE:DUE,…",
    Kind.REPAY: "DATE:AMOUNT[:EXCESS]",
    Kind.PAY_CURRENT: "DATE",
    Kind.PREPAY: "DATE:PRINCIPAL[:KEEP]",
    Kind.PAYOFF: "DATE",
    Kind.ACCELERATE: "DATE",
}


def happening(kind: Kind, text: str) -> Any:
    """An option that makes something happen."""
    return option(wish(kind), FORMS[kind], text, "What happens to it")
