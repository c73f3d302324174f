"""Quotes: the contract's, and those of the command line."""

from __future__ import annotations

import csv
import importlib.util
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from google.type import decimal_pb2
from typer.testing import CliRunner

from tael.servicing.v1 import loan_pb2
from tael.servicing.v1 import product_pb2 as pb
from tael_cli.main import app
from tael_client.values import from_date, to_decimal
from tael_runtime.errors import FailedPrecondition, InvalidArgument
from tael_servicing import caps, quotes
from tael_servicing.caps import Limit
from tael_servicing.reasons import Reason
from tael_servicing.terms import loan_terms

START = date(2026, 8, 3)
CAP = Limit(Decimal("0.24"), "APR", "a rule")
DOCS = Path(__file__).resolve().parents[2] / "docs"

IN_TURN = "instalments paid early in their turn are free"


def decimal(text: str) -> decimal_pb2.Decimal:
    return decimal_pb2.Decimal(value=text)


def product(**choices: Any) -> pb.ProductTerms:
    return pb.ProductTerms(
        **{
            "method": pb.REPAYMENT_METHOD_EQUAL_INSTALMENT,
            "min_periods": 1,
            "max_periods": 360,
            "min_principal": 1_000,
            "max_principal": 200_000_000,
            "annual_rate": decimal("0.12"),
            "penalty_multiplier": decimal("1.5"),
            **choices,
        }
    )


def quoted(
    principal: int = 2_000_000, periods: int = 6, limit: Limit = CAP, **choices: Any
) -> loan_pb2.QuoteScheduleResponse:
    terms = product(**choices)
    made = loan_terms(terms, periods, to_decimal(terms.annual_rate))
    return quotes.quote(made, terms, principal, START, [limit])


def fee(name: str, at: int, **given: Any) -> pb.FeeTerms:
    return pb.FeeTerms(name=name, at=at, disclosed=True, **given)


def test_a_quote_discloses_every_item_who_charges_it_and_what_only_a_breach_brings() -> None:
    cost = quoted(
        fees=[
            fee("Arrangement fee", pb.FEE_AT_DISBURSEMENT, amount=2_000, rate=decimal("0.005")),
            fee("Guarantee", pb.FEE_AT_INSTALMENT, amount=1_500, charged_by="a guarantor"),
            fee("Late fee", pb.FEE_AT_LATE, rate=decimal("0.02"), on=pb.FEE_ON_INSTALMENT),
            fee("Prepayment fee", pb.FEE_AT_PREPAYMENT, rate=decimal("0.01"), until_month=3),
        ],
        compound_enabled=True,
        overdue=pb.OverdueTerms(misuse_multiplier=decimal("2")),
    ).disclosure
    said = [(item.name, item.basis, item.charged_by, item.contingent) for item in cost.items]
    lender = "the lender"
    assert said == [
        ("Interest", "12 % a year", lender, False),
        (
            "Arrangement fee",
            "20.00 and 0.5 % of the principal, when the loan is paid out",
            lender,
            False,
        ),
        ("Guarantee", "15.00, with each instalment", "a guarantor", False),
        ("Penalty interest", "18 % a year on overdue principal", lender, True),
        ("Compound interest", "18 % a year on unpaid due interest", lender, True),
        (
            "Penalty interest for misuse of funds",
            "24 % a year on principal used for another purpose than agreed",
            lender,
            True,
        ),
        (
            "Late fee",
            "2 % of the unpaid part of its principal and interest, once an instalment not paid in time",
            lender,
            True,
        ),
        (
            "Prepayment fee",
            f"1 % of prepaid principal, in the first 3 months; {IN_TURN}",
            lender,
            True,
        ),
    ]
    assert [item.amount for item in cost.items if not item.contingent] == [
        cost.total_interest,
        12_000,
        9_000,
    ]
    assert cost.total_fees == 21_000
    assert cost.received == 1_988_000
    assert cost.total_payments == 2_000_000 + cost.total_interest + 21_000
    assert cost.method == pb.COST_METHOD_MONTHLY_IRR
    assert to_decimal(cost.apr) > Decimal("0.15")
    assert (to_decimal(cost.cost_cap), cost.cost_cap_source) == (CAP.rate, "a rule")


def test_overdue_principal_that_goes_on_at_the_contract_rate_is_disclosed_as_that() -> None:
    cost = quoted(
        penalty_multiplier=None, overdue=pb.OverdueTerms(mode=pb.OVERDUE_MODE_CONTRACT)
    ).disclosure
    assert [(item.name, item.basis) for item in cost.items if item.contingent] == [
        ("Interest on overdue principal", "12 % a year as before, to maturity")
    ]


def test_a_penalty_rate_of_its_own_is_disclosed_as_it_is() -> None:
    """Beside it, funds misused bear the heavier one: 2 x 12 %."""
    own = pb.OverdueTerms(penalty_rate=decimal("0.1825"), misuse_multiplier=decimal("2"))
    cost = quoted(penalty_multiplier=None, overdue=own).disclosure
    assert [item.basis for item in cost.items if item.contingent] == [
        "18.25 % a year on overdue principal",
        "24 % a year on principal used for another purpose than agreed",
    ]


def test_rows_carry_their_days_and_fees() -> None:
    response = quoted(fees=[fee("Service fee", pb.FEE_AT_INSTALMENT, amount=700)])
    first = response.instalments[0]
    assert (first.start_date, first.due_date) == (from_date(START), from_date(date(2026, 9, 3)))
    assert (first.days, first.fee) == (31, 700)
    assert response.level == first.principal + first.interest


def test_a_quote_over_the_cap_is_refused_with_both_figures() -> None:
    with pytest.raises(FailedPrecondition) as refused:
        quoted(fees=[fee("Service fee", pb.FEE_AT_DISBURSEMENT, rate=decimal("0.06"))])
    assert refused.value.reason is Reason.COST_OVER_CAP
    assert "the cap is 24 % (a rule)" in refused.value.message


def test_an_instalment_that_never_repays_is_refused() -> None:
    with pytest.raises(InvalidArgument) as refused:
        quoted(schedule=pb.ScheduleTerms(instalment=20_000))
    assert "never repays" in refused.value.message


@pytest.mark.parametrize(
    "method", [pb.REPAYMENT_METHOD_EQUAL_INSTALMENT, pb.REPAYMENT_METHOD_EQUAL_PRINCIPAL]
)
def test_parts_that_round_to_nothing_are_refused_as_that(
    method: pb.RepaymentMethod.ValueType,
) -> None:
    with pytest.raises(
        InvalidArgument, match=r"round to nothing in units of 10,000\.00: lend more"
    ):
        quoted(40_000, 360, method=method, schedule=pb.ScheduleTerms(multiple=1_000_000))


def test_a_long_first_period_may_take_a_whole_instalment_for_its_interest() -> None:
    terms = product(annual_rate=decimal("0.06"))
    choices = pb.LoanChoices(first_due_date=from_date(date(2026, 9, 15)))
    made = loan_terms(terms, 360, Decimal("0.06"), choices=choices)
    shown = quotes.quote(made, terms, 100_000_000, START, [CAP])
    assert shown.instalments[0].days == 43
    real = product(interest=pb.InterestTerms(basis=pb.INTEREST_BASIS_REAL_DAYS))
    made = loan_terms(real, 360, Decimal("0.06"), choices=choices)
    assert quotes.quote(made, real, 100_000_000, START, [CAP]).instalments[0].principal == 0


def test_the_method_a_product_names_is_used() -> None:
    cost = quoted(cost_method=pb.COST_METHOD_XIRR).disclosure
    assert cost.method == pb.COST_METHOD_XIRR
    assert cost.ear == cost.xirr


def test_a_loan_that_ends_after_the_calendar_is_refused() -> None:
    made = product()
    with pytest.raises(InvalidArgument, match="start_date"):
        quotes.quote(loan_terms(made, 12, Decimal("0.06")), made, 100_000, date.max, [CAP])


def tael(*words: str) -> str:
    result = CliRunner().invoke(app, ["quote", "--start", "2026-08-03", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_page_shows_what_its_commands_print() -> None:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = (DOCS / "loan-arithmetic.md").read_text()
    assert module.loan_arithmetic() == page
    for figure in (
        "10,661.86   10,000.00     661.86",
        "10,650.00   10,000.00     650.00",
        "603.33",
        "595.07",
        "15,120.00",
        "15,160.00",
        "3,016.68",
        "3,016.67",
        "10,631.86",
        "630.17",
        "897.37",
        "10.46",
        "2,225.05    2,149.20      75.85",
        "2,187.58    2,149.20      38.38",
        "5,229.87",
        "APR 17.83 %   EAR 19.36 %",
        "APR 22.53 %   EAR 25.01 %",
        "APR 17.27 %   EAR 18.71 %",
        "3,036.08",
        "356.22",
    ):
        assert figure in page


def test_rows_are_written_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    tael("--principal", "6000", "--rate", "9", "--periods", "3", "--csv", str(path))
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [row["due_date"] for row in rows] == ["2026-09-03", "2026-10-03", "2026-11-03"]
    assert sum(Decimal(row["principal"]) for row in rows) == 6000
    assert rows[0]["interest"] == "45.00"
    assert rows[-1]["balance"] == "0.00"


@pytest.mark.parametrize(("name", "begins"), [("c.png", b"\x89PNG"), ("c.svg", b"<?xml")])
def test_principal_and_interest_are_drawn(tmp_path: Path, name: str, begins: bytes) -> None:
    path = tmp_path / name
    tael("--principal", "6000", "--rate", "9", "--chart", str(path))
    assert path.read_bytes().startswith(begins)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rate", "x"), "no number"),
        (("--principal", "10.001"), "no amount"),
        (("--method", "balloon"), "is none of equal-instalment"),
        (("--fee", "Fee:someday:50"), "is none of disbursement"),
        (("--repay", "2026-09-03"), "DATE:AMOUNT"),
        (("--repay", "2026-01-01:5"), "lies before the loan"),
        (("--grace-principal", "12"), "leaves at least one period"),
        (("--chart", "c.bmp"), "a chart is .png or .svg"),
        (("--csv", "no-folder/rows.csv"), "no-folder/rows.csv: No such file"),
        (("--principal", "0"), "0.01 or more is right"),
        (("--rate", "1e400"), "more than 1000 %"),
    ],
)
def test_a_word_that_means_nothing_is_told_with_what_would(
    words: tuple[str, ...], said: str
) -> None:
    given = ["quote", "--start", "2026-08-03", "--principal", "6000", "--rate", "9", *words]
    result = CliRunner().invoke(app, given, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_what_happens_to_a_loan_is_shown_with_what_was_paid_and_what_settles_it() -> None:
    shown = tael(
        *("--principal", "6000", "--rate", "12", "--periods", "6", "--paid-until", "2026-09-03"),
        *("--pause", "2026-09-10:1", "--extend", "2026-09-10:1", "--reprice", "2026-09-10:9"),
        *("--draw", "2026-09-12:600", "--as-of", "2026-09-20"),
    )
    assert "2026-09-03   repay   1,035.29" in shown
    assert "2027-04-03" in shown
    assert "On 2026-09-20: normal" in shown
    current = tael(
        "--principal", "6000", "--rate", "12", "--periods", "6", "--pay-current", "2026-08-20"
    )
    assert "2026-08-20   pay-current" in current
    due = tael("--principal", "6000", "--rate", "12", "--accelerate", "2026-08-20")
    assert "due and unpaid 6,034.00" in due


def test_no_amount_is_cut_and_nothing_is_below_zero() -> None:
    shown = tael("--principal", "1000000000000", "--rate", "24", "--periods", "2", "--costs")
    assert "1,030,099,009,900.99" in shown
    assert "…" not in shown
    assert "-0.00" not in tael("--principal", "0.01", "--rate", "12")


def test_a_cost_over_two_limits_is_told_by_the_tighter_one() -> None:
    looser = Limit(Decimal("0.36"))
    assert caps.tightest([looser, CAP]) is CAP
    assert caps.tightest([Limit(Decimal("0.24")), CAP]) is CAP
