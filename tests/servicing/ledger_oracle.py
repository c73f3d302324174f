"""The ledger's posting rules, folded over one loan's postings: an oracle for its balances."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from importlib.resources import files

from tael_servicing.arithmetic.balances import balances
from tael_servicing.arithmetic.events import Disbursed, Purchased
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.arithmetic.purchased import bought
from tael_servicing.arithmetic.terms import Terms

ACCOUNTS = {
    "1303.01": ("principal_normal", 1),
    "1303.02": ("principal_overdue", 1),
    "1303.03": ("principal_impaired", 1),
    "1132.01": ("interest_accrued", 1),
    "1132.02": ("interest_due", 1),
    "1132.03": ("penalty", 1),
    "1132.04": ("compound", 1),
    "1132.05": ("fee", 1),
    "7001": ("offbalance_interest", 1),
    "7002": ("offbalance_penalty", 1),
    "7003": ("offbalance_compound", 1),
    "7103": ("claimed_principal", 1),
    "7101": ("written_off_principal", 1),
    "7102": ("written_off_interest", 1),
    "1304.01": ("allowance", -1),
    "1304.02": ("allowance", -1),
    "1304.03": ("allowance", -1),
    "2241.03": ("overpayment", -1),
    "1221.04": ("legal_costs", 1),
}
"""Accounts of a loan, the balance each is, and the sign of a debit."""
LOSSES = ("1231.01", "1231.02")
"""Accounts that a write-off only passes through."""

Rules = dict[tuple[str, str, str], list[tuple[str, str]]]


def _rules() -> Rules:
    text = files("tael_ledger").joinpath("data/posting_rules.csv").read_text("utf-8")
    rules: Rules = {}
    for row in csv.DictReader(text.splitlines()):
        if row["lender_type"] or row["product"]:
            continue
        for status in (row["accrual_status"],) if row["accrual_status"] else ACCRUAL:
            lines = rules.setdefault((row["event"], row["amount_type"], status), [])
            lines.append((row["debit"].partition("[")[0], row["credit"].partition("[")[0]))
    return rules


ACCRUAL = ("ACCRUAL", "NON_ACCRUAL")
RULES = _rules()


def received(posting: Posting) -> int:
    """The money a posting distributes: all that its loan parts add up to, wherever it came from."""
    parts = posting.amounts.items()
    return sum(amount for name, amount in parts if not (name.startswith("funds_") or on_vat(name)))


def account_turnover(posting: Posting) -> Counter[str]:
    """What a posting adds to each account, debits positive; refuses an amount without a rule."""
    change: Counter[str] = Counter()
    status = ACCRUAL[0] if posting.accruing else ACCRUAL[1]
    for name, amount in posting.amounts.items():
        for debit, credit in RULES[posting.event, name, status]:
            change[debit] += amount
            change[credit] -= amount
    return change


def on_vat(name: str) -> bool:
    """Whether an amount is VAT split off another."""
    return "vat" in name


INCOME = ("6011.01", "6011.02", "6011.03", "6021.01", "6021.02")
NOT_DUE, OUTPUT, ADVANCED = "2221.06", "2221.01.07", "1221.03"
"""VAT split off and not yet due; due; paid in advance on interest that is off balance."""


class Books:
    """The accounts of one loan."""

    def __init__(self) -> None:
        self.accounts: Counter[str] = Counter()
        self.split: Counter[str] = Counter()
        """Of it, what amounts of VAT moved."""

    def begin(self, event: Disbursed | Purchased) -> None:
        """A payout or a purchase, which the loan's fold leaves to others."""
        if isinstance(event, Disbursed):
            self.accounts["1303.01"] += event.principal
        else:
            self.post([bought(event)])

    def post(self, postings: Iterable[Posting]) -> None:
        """Books postings by the rules."""
        for posting in postings:
            self.accounts.update(account_turnover(posting))
            vat = {name: amount for name, amount in posting.amounts.items() if on_vat(name)}
            self.split.update(account_turnover(posting._replace(amounts=vat)))

    def income(self) -> tuple[int, int]:
        """Income so far, gross, and the VAT taken out of it."""
        vat = sum(self.split[code] for code in INCOME)
        return vat - sum(self.accounts[code] for code in INCOME), vat

    def balances(self) -> dict[str, int]:
        """The balances that are not zero, by the loan's names for them."""
        held: Counter[str] = Counter()
        for code, (name, sign) in ACCOUNTS.items():
            held[name] += sign * self.accounts[code]
        return {name: value for name, value in held.items() if value}


def loan_balances(terms: Terms, loan: Loan) -> dict[str, int]:
    """What the loan itself says, zeros left out."""
    return {name: value for name, value in asdict(balances(terms, loan)).items() if value}
