"""How `tael quote` shows a loan: tables, CSV, a chart."""

from __future__ import annotations

import csv
import decimal
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from tael_client.values import yuan
from tael_servicing.quoting import CostMethod, Line, Quote, Terms

METHODS = {
    CostMethod.MONTHLY_IRR: "monthly IRR × 12",
    CostMethod.UNIT_PERIOD: "unit-period IRR × periods a year, odd first days at their part",
    CostMethod.XIRR: "XIRR by actual days/365, its monthly rate × 12",
}
CHARTS = (".png", ".svg")
PRINCIPAL, INTEREST, FEES = "#2f6f9f", "#e0893b", "#8a8a8a"
WIDEST = 1_000
CSV_COLUMNS = (
    "number",
    "start_date",
    "due_date",
    "days",
    "instalment",
    "principal",
    "interest",
    "fee",
    "penalty",
    "compound",
    "paid",
    "balance",
)


def show(
    console: Console,
    terms: Terms,
    principal: int,
    start: date,
    quote: Quote,
    *,
    unpaid: bool,
    costs: bool,
) -> None:
    """The schedule with its sums, the annual cost, and what became of the loan."""
    method = terms.method.name.lower().replace("_", "-")
    rate = percent(terms.annual_rate)
    console.print(f"{method}, {yuan(principal)} at {rate} from {start}")
    _print(console, _rows(lines_of(quote, unpaid=unpaid), lived=quote.as_of is not None))
    cost = quote.cost
    console.print(
        f"APR {percent(cost.annual.apr)}   EAR {percent(cost.annual.ear)}"
        f"   XIRR {percent(cost.xirr)}   ({METHODS[cost.method]})"
    )
    if costs:
        _print(console, _costs(quote))
    if quote.paid:
        _print(console, _paid(quote))
    if quote.loan is not None and quote.as_of is not None:
        _standing(console, quote)


def _print(console: Console, table: Table) -> None:
    """As wide as its amounts are: none is cut."""
    widest = console.options.update(width=WIDEST)
    console.width = max(console.width, console.measure(table, options=widest).minimum)
    console.print(table)


def lines_of(quote: Quote, *, unpaid: bool) -> list[Line]:
    """All rows, or those still to pay."""
    return [line for line in quote.lines if not (unpaid and line.settled)]


def percent(rate: Decimal) -> str:
    """0.12 is "12.00 %"; more places where the rate has them."""
    shown = (rate * 100).quantize(Decimal("0.01"), rounding=decimal.ROUND_HALF_UP)
    return f"{shown:f} %"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in columns:
        left = name in ("due date", "day", "what", "how it is charged", "by")
        table.add_column(name, justify="left" if left else "right", no_wrap=not left)
    return table


def _rows(lines: Sequence[Line], *, lived: bool) -> Table:
    fees = any(line.fee for line in lines)
    charges = any(line.penalty or line.compound for line in lines)
    columns = ["#", "due date", "days", "instalment", "principal", "interest"]
    columns += ["fee"] * fees + ["penalty", "compound"] * charges + ["paid"] * lived + ["balance"]
    table = _table(*columns)

    def money(line: Line) -> list[int]:
        cells = [line.amount, line.principal, line.interest]
        cells += [line.fee] * fees
        cells += [line.penalty, line.compound] if charges else []
        return cells + [line.paid] * lived

    for line in lines:
        head = [str(line.number), str(line.due), str(line.days)]
        table.add_row(*head, *(yuan(each) for each in money(line)), yuan(line.balance))
    table.add_section()
    sums = [sum(column) for column in zip(*(money(line) for line in lines), strict=True)]
    days = str(sum(line.days for line in lines))
    table.add_row("Σ", "", days, *(yuan(each) for each in sums), "")
    return table


def _costs(quote: Quote) -> Table:
    """综合融资成本明示表."""
    table = _table("what", "how it is charged", "by", "amount")
    for item in quote.table.items:
        amount = "if it happens" if item.contingent else yuan(item.amount)
        table.add_row(item.name, item.basis, item.charged_by, amount)
    table.add_section()
    total = quote.table.total_interest + quote.table.total_fees
    table.add_row("all that it costs", "", "", yuan(total))
    table.add_row("received on the first day", "", "", yuan(quote.table.received))
    return table


def _paid(quote: Quote) -> Table:
    names = ("principal", "interest", "penalty", "compound", "fee", "held")
    used = [name for name in names if any(getattr(each, name) for each in quote.paid)]
    table = _table("day", "what", "paid", *used)
    for each in quote.paid:
        cells = [yuan(getattr(each, name)) for name in used]
        table.add_row(str(each.day), each.kind, yuan(each.total), *cells)
    table.add_section()
    sums = [yuan(sum(getattr(each, name) for each in quote.paid)) for name in used]
    table.add_row("Σ", "", yuan(sum(each.total for each in quote.paid)), *sums)
    return table


def _standing(console: Console, quote: Quote) -> None:
    loan = quote.loan
    assert loan is not None
    past = f", {loan.days_past_due} days past due" if loan.days_past_due else ""
    console.print(f"On {quote.as_of}: {loan.status.name.lower().replace('_', '-')}{past}")
    if quote.payoff is None:
        return
    payoff = quote.payoff
    if loan.amount_due:
        console.print(f"  due and unpaid {yuan(loan.amount_due)}")
    parts = {
        "principal due": payoff.principal_due,
        "interest due": payoff.interest_due,
        "penalty": payoff.penalty,
        "compound": payoff.compound,
        "fees": payoff.fees,
        "principal not yet due": payoff.principal_undue,
        "interest to date": payoff.interest_to_date,
        "prepayment fee": payoff.prepayment_fee,
        "held for the customer": -payoff.overpayment,
    }
    told = " + ".join(f"{name} {yuan(value)}" for name, value in parts.items() if value)
    console.print(f"  settled by {yuan(payoff.total)} = {told.replace('+ held', '− held')}")


def write_csv(path: Path, quote: Quote, *, unpaid: bool) -> None:
    """One row an instalment; amounts with two decimals, no separators."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(CSV_COLUMNS)
        for line in lines_of(quote, unpaid=unpaid):
            amounts = (
                line.amount,
                line.principal,
                line.interest,
                line.fee,
                line.penalty,
                line.compound,
                line.paid,
                line.balance,
            )
            writer.writerow(
                [line.number, line.start, line.due, line.days, *(plain(each) for each in amounts)]
            )


def plain(minor_units: int) -> str:
    """78849 is "788.49"."""
    return yuan(minor_units).replace(",", "")


def draw(path: Path, quote: Quote, *, unpaid: bool) -> None:
    """Principal, interest and charges by period, one bar upon the other."""
    if path.suffix.lower() not in CHARTS:
        raise typer.BadParameter(
            f"a chart is {' or '.join(CHARTS)}, not {path.suffix or path.name}"
        )
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  a second to load, and seldom wanted
    except ImportError as missing:
        raise typer.BadParameter("charts need matplotlib: pip install tael[charts]") from missing
    lines = lines_of(quote, unpaid=unpaid)
    numbers = [line.number for line in lines]
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    floor = [Decimal(0)] * len(lines)
    bars = (
        ("principal", PRINCIPAL, [line.principal for line in lines]),
        ("interest", INTEREST, [line.interest for line in lines]),
        ("charges", FEES, [line.fee + line.penalty + line.compound for line in lines]),
    )
    for name, colour, amounts in bars:
        if not any(amounts):
            continue
        heights = [Decimal(each) / 100 for each in amounts]
        axes.bar(numbers, heights, bottom=floor, color=colour, label=name, width=0.8)  # type: ignore[arg-type]
        floor = [below + height for below, height in zip(floor, heights, strict=True)]
    axes.set_xlabel("period")
    axes.set_ylabel("yuan")
    axes.margins(x=0.01)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(bars), loc="upper right", bbox_to_anchor=(1, 1.1))
    figure.savefig(path, dpi=150)
