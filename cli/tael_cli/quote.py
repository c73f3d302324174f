"""`tael quote`: a loan's schedule and cost from its terms alone, and what becomes of it; no service."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tael_cli import quote_show
from tael_cli.quote_words import (
    amount,
    amounts,
    choice,
    day,
    fee,
    frequency,
    happening,
    number,
    option,
    parts,
    percent,
    some,
)
from tael_servicing import quoting
from tael_servicing.quoting import (
    Annuity,
    Basis,
    CostMethod,
    DayCount,
    EarlyInterest,
    Excess,
    Fee,
    FirstPeriod,
    Frequency,
    Grace,
    InterestOn,
    Keep,
    Kind,
    Maturity,
    Method,
    MonthEnd,
    Overdue,
    Partial,
    Residue,
    Rounding,
    Shift,
    Sweep,
    Terms,
    Until,
    Wish,
)

LOAN, SCHEDULE, INTEREST = "The loan", "Its schedule", "Its interest"
LATE, EARLY, SHOWN = "Paid late", "Paid early, and how money is put to it", "What is shown"
ONE_MORE_YEAR = 366
"""Holidays are looked up a year past the last period."""


def quote(
    *,
    principal: Annotated[int, option(some, "AMOUNT", "How much, in yuan.", LOAN)],
    rate: Annotated[Decimal, option(percent, "PERCENT", "Annual rate: 12 is 12 %.", LOAN)],
    start: Annotated[date, option(day, "DATE", "Day of disbursement.", LOAN)],
    periods: Annotated[int, typer.Option(min=1, max=1200, rich_help_panel=LOAN)] = 12,
    method: Annotated[Method, choice(Method, "How it is repaid.", LOAN, "equal-instalment")] = (
        Method.EQUAL_INSTALMENT
    ),
    every: Annotated[
        Frequency,
        option(
            frequency, "FREQUENCY", "month, half-month, quarter, week, 15-days ….", LOAN, "month"
        ),
    ] = Frequency(),  # noqa: B008  frozen
    fees: Annotated[
        list[Fee] | None,
        option(
            fee,
            "NAME:AT:WHAT",
            "A fee, e.g. 'Service fee:instalment:50'; AT is disbursement, instalment, late or"
            " prepayment; WHAT 50, 3% or 50+3%; then :of=balance, :until=12, :by=WHOM, :penalty.",
            LOAN,
            False,
            "--fee",
        ),
    ] = None,
    repay_day: Annotated[int, typer.Option(min=0, max=31, rich_help_panel=SCHEDULE)] = 0,
    first_due: Annotated[date | None, option(day, "DATE", "The first due date.", SCHEDULE)] = None,
    min_first_days: Annotated[int, typer.Option(min=0, rich_help_panel=SCHEDULE)] = 15,
    first_period: Annotated[
        FirstPeriod, choice(FirstPeriod, "Interest of an odd first period.", SCHEDULE, "odd-days")
    ] = FirstPeriod.ODD_DAYS,
    maturity: Annotated[
        Maturity, choice(Maturity, "Where the last period ends.", SCHEDULE, "align")
    ] = Maturity.ALIGN,
    month_end: Annotated[
        MonthEnd, choice(MonthEnd, "A due day that a month does not have.", SCHEDULE, "clamp")
    ] = MonthEnd.CLAMP,
    shift: Annotated[
        Shift, choice(Shift, "A due date on a holiday.", SCHEDULE, "none")
    ] = Shift.NONE,
    instalment: Annotated[
        int, option(amount, "AMOUNT", "The level instalment, as agreed.", SCHEDULE)
    ] = 0,
    unlike: Annotated[
        str,
        typer.Option(
            "--parts",
            metavar="AMOUNT,…",
            help="The equal part of each row but the last, where they are unlike.",
            rich_help_panel=SCHEDULE,
        ),
    ] = "",
    balloon: Annotated[
        Decimal, option(percent, "PERCENT", "Repaid with the last row on top.", SCHEDULE)
    ] = Decimal(0),
    annuity: Annotated[
        Annuity | None, choice(Annuity, "The rate by which the instalment is found.", SCHEDULE)
    ] = None,
    multiple: Annotated[
        int, option(amount, "AMOUNT", "Of what the equal part is a multiple.", SCHEDULE, "0.01")
    ] = 1,
    rounding: Annotated[
        Rounding, choice(Rounding, "Of amounts.", SCHEDULE, "half-up")
    ] = Rounding.HALF_UP,
    principal_rounding: Annotated[
        Rounding, choice(Rounding, "Of equal principal parts.", SCHEDULE, "down")
    ] = Rounding.DOWN,
    instalment_rounding: Annotated[
        Rounding | None,
        choice(Rounding, "Of the level instalment; else as amounts.", SCHEDULE),
    ] = None,
    residue: Annotated[
        Residue, choice(Residue, "Where what rounding leaves goes.", SCHEDULE, "last-principal")
    ] = Residue.LAST_PRINCIPAL,
    even_out: Annotated[bool, typer.Option("--even-out", rich_help_panel=SCHEDULE)] = False,
    grace_principal: Annotated[int, typer.Option(min=0, rich_help_panel=SCHEDULE)] = 0,
    grace_interest: Annotated[int, typer.Option(min=0, rich_help_panel=SCHEDULE)] = 0,
    down_payment: Annotated[
        Decimal, option(percent, "PERCENT", "Due at once.", SCHEDULE)
    ] = Decimal(0),
    day_count: Annotated[
        DayCount, choice(DayCount, "Of days.", INTEREST, "act-360")
    ] = DayCount.ACT_360,
    basis: Annotated[
        Basis, choice(Basis, "What a whole period bears.", INTEREST, "nominal")
    ] = Basis.NOMINAL,
    partial: Annotated[
        Partial, choice(Partial, "What a part of one bears.", INTEREST, "by-days")
    ] = Partial.BY_DAYS,
    interest_on: Annotated[
        InterestOn, choice(InterestOn, "Which balance bears it.", INTEREST, "scheduled")
    ] = InterestOn.SCHEDULED,
    rate_places: Annotated[int, typer.Option(min=0, max=12, rich_help_panel=INTEREST)] = 0,
    cumulative: Annotated[
        bool,
        typer.Option("--cumulative", help="Differences of rounded sums.", rich_help_panel=INTEREST),
    ] = False,
    interest_free_periods: Annotated[int, typer.Option(min=0, rich_help_panel=INTEREST)] = 0,
    interest_free_days: Annotated[int, typer.Option(min=0, rich_help_panel=INTEREST)] = 0,
    overdue: Annotated[
        Overdue, choice(Overdue, "What overdue principal bears.", LATE, "penalty")
    ] = Overdue.PENALTY,
    after_maturity: Annotated[
        bool,
        typer.Option(
            "--after-maturity",
            help="Contract interest on it goes on once all is due.",
            rich_help_panel=LATE,
        ),
    ] = False,
    penalty_multiplier: Annotated[
        Decimal, option(number, "NUMBER", "Penalty rate over the rate.", LATE, "1.5")
    ] = Decimal("1.5"),
    penalty_rate: Annotated[
        Decimal, option(percent, "PERCENT", "A year's, in place of the multiplier.", LATE)
    ] = Decimal(0),
    compound: Annotated[
        bool,
        typer.Option("--compound", help="On unpaid due interest (复利).", rich_help_panel=LATE),
    ] = False,
    grace_days: Annotated[int, typer.Option(min=0, rich_help_panel=LATE)] = 0,
    grace: Annotated[
        Grace, choice(Grace, "Penalty of days of grace not kept.", LATE, "retroactive")
    ] = Grace.RETROACTIVE,
    non_accrual_dpd: Annotated[
        int, typer.Option(min=0, help="Days past due.", rich_help_panel=LATE)
    ] = 90,
    cure_periods: Annotated[int, typer.Option(min=0, rich_help_panel=LATE)] = 2,
    prepayment_fee: Annotated[
        Decimal, option(percent, "PERCENT", "Of prepaid principal.", EARLY)
    ] = Decimal(0),
    keep: Annotated[
        Keep, choice(Keep, "What a prepayment leaves as it is.", EARLY, "term")
    ] = Keep.TERM,
    early_interest: Annotated[
        EarlyInterest, choice(EarlyInterest, "What it pays.", EARLY, "on-repaid")
    ] = EarlyInterest.ON_REPAID,
    interest_until: Annotated[
        Until, choice(Until, "To when interest is paid.", EARLY, "payment")
    ] = Until.PAYMENT,
    excess: Annotated[
        Excess, choice(Excess, "Money beyond what is due.", EARLY, "park")
    ] = Excess.PARK,
    order: Annotated[
        str, typer.Option(metavar="PART,…", help="Of a payment.", rich_help_panel=EARLY)
    ] = "fee,compound,penalty,interest,principal",
    order_non_accrual: Annotated[
        str,
        typer.Option(metavar="PART,…", help="Off balance, and of a claim.", rich_help_panel=EARLY),
    ] = "principal,interest,fee,penalty,compound",
    sweep: Annotated[
        Sweep, choice(Sweep, "Which way it walks.", EARLY, "horizontal")
    ] = Sweep.HORIZONTAL,
    paid_until: Annotated[
        date | None,
        option(
            day,
            "DATE",
            "Every instalment due by then is paid on its due date.",
            "What happens to it",
        ),
    ] = None,
    repay: Annotated[
        list[Wish] | None, happening(Kind.REPAY, "Money for what is due; oldest first.")
    ] = None,
    prepay: Annotated[
        list[Wish] | None,
        happening(Kind.PREPAY, "Principal paid early, with its interest and fee."),
    ] = None,
    pay_current: Annotated[
        list[Wish] | None, happening(Kind.PAY_CURRENT, "The running instalment, early.")
    ] = None,
    payoff: Annotated[list[Wish] | None, happening(Kind.PAYOFF, "All of it.")] = None,
    draw: Annotated[list[Wish] | None, happening(Kind.DRAW, "Another tranche.")] = None,
    reprice: Annotated[list[Wish] | None, happening(Kind.REPRICE, "Another rate.")] = None,
    extend: Annotated[list[Wish] | None, happening(Kind.EXTEND, "More instalments.")] = None,
    pause: Annotated[list[Wish] | None, happening(Kind.PAUSE, "Due dates left out.")] = None,
    redate: Annotated[
        list[Wish] | None, happening(Kind.REDATE, "Other due dates, from the running one on.")
    ] = None,
    accelerate: Annotated[
        list[Wish] | None, happening(Kind.ACCELERATE, "All that is left falls due.")
    ] = None,
    as_of: Annotated[
        date | None,
        option(day, "DATE", "What is owed on a day, and settles it.", SHOWN),
    ] = None,
    unpaid: Annotated[
        bool, typer.Option("--open", help="Only rows still to pay.", rich_help_panel=SHOWN)
    ] = False,
    costs: Annotated[
        bool, typer.Option("--costs", help="The table of costs.", rich_help_panel=SHOWN)
    ] = False,
    cost_method: Annotated[
        CostMethod | None, choice(CostMethod, "How the annual cost is found.", SHOWN)
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="Write the rows here.", rich_help_panel=SHOWN)
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option(
            help="Draw principal and interest by period here: .png or .svg.", rich_help_panel=SHOWN
        ),
    ] = None,
) -> None:
    """Prints a loan's schedule and annual cost, and what becomes of it; needs no service."""
    console = Console(width=110, highlight=False)
    charged = tuple(fees or ())
    if prepayment_fee:
        charged += (Fee("Prepayment fee", quoting.FeeAt.PREPAYMENT, rate=prepayment_fee),)
    try:
        terms = Terms(
            method=method,
            periods=periods,
            annual_rate=rate,
            frequency=every,
            day_count=day_count,
            basis=basis,
            partial=partial,
            rate_places=rate_places,
            interest_on=interest_on,
            cumulative_interest=cumulative,
            annuity=annuity,
            instalment=instalment,
            parts=amounts(unlike) if unlike else (),
            balloon=balloon,
            multiple=max(multiple, 1),
            principal_rounding=principal_rounding,
            instalment_rounding=instalment_rounding,
            even_out=even_out,
            residue=residue,
            rounding=rounding,
            grace_principal=grace_principal,
            grace_interest=grace_interest,
            interest_free_periods=interest_free_periods,
            interest_free_days=interest_free_days,
            down_payment=down_payment,
            repay_day=repay_day,
            first_due=first_due,
            min_first_days=min_first_days,
            first_period=first_period,
            maturity=maturity,
            month_end=month_end,
            shift=shift,
            overdue=overdue,
            after_maturity=after_maturity,
            penalty_multiplier=penalty_multiplier,
            penalty_rate=penalty_rate,
            compound_enabled=compound,
            grace_days=grace_days,
            grace=grace,
            fees=charged,
            repay_order=parts(order),
            repay_sweep=sweep,
            repay_order_nonaccrual=parts(order_non_accrual),
            excess=excess,
            prepayment=keep,
            early_interest=early_interest,
            interest_until=interest_until,
            nonaccrual_dpd=non_accrual_dpd,
            cure_periods=cure_periods,
        )
        if shift is not Shift.NONE:
            terms = replace(terms, holidays=_holidays(terms, start))
        made = quoting.quote(
            terms,
            principal,
            start,
            [
                wish
                for wishes in (
                    repay,
                    prepay,
                    pay_current,
                    payoff,
                    draw,
                    reprice,
                    extend,
                    pause,
                    redate,
                    accelerate,
                )
                for wish in wishes or ()
            ],
            paid_until=paid_until,
            as_of=as_of,
            method=cost_method,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    quote_show.show(console, terms, principal, start, made, unpaid=unpaid, costs=costs)
    try:
        if csv is not None:
            quote_show.write_csv(csv, made, unpaid=unpaid)
            console.print(f"wrote {csv}")
        if chart is not None:
            quote_show.draw(chart, made, unpaid=unpaid)
            console.print(f"drew {chart}")
    except OSError as error:
        raise typer.BadParameter(f"{error.filename}: {error.strerror}") from error


def _holidays(terms: Terms, start: date) -> frozenset[date]:
    last = quoting.last_day(terms, start) + timedelta(days=ONE_MORE_YEAR)
    return quoting.holidays(start, (last - start).days)
