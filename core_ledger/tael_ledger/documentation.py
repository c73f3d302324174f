"""docs/posting-rules.md, written from the data."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from itertools import groupby

from tael_ledger.chart import Chart, default_chart
from tael_ledger.posting_rules import PostingRule, RuleAccount, RuleKey, default_rules

HEAD = """# Posting rules of a new book

Version 1 of every book's rules, from `core_ledger/tael_ledger/data/posting_rules.csv`; later
versions are published and approved over `AccountingService`, for a product, a lender or a whole
policy. `tests/ledger/worked_entries/` has a worked entry for each rule.

## How to read them

- An event carries amounts by type, in minor units; each amount posts the pairs below, so every
  entry balances. A negative amount posts in red ink: same sides, negative.
- `[LOAN]`, `[CUSTOMER]`, … is that owner's own account; the event must name the owner, one a type:
  a LOAN, its CUSTOMER and LINE (额度), the CONTRACT, the COLLATERAL, an ASSET taken for debt, the
  MERCHANT, a RECEIPT not yet allocated, a PARTNER (joint lender, collection agency), the SUBSIDISER
  of interest, the ENTRUSTER (委托人) of an entrusted loan. Without one, it is the book's own.
- Steps are entries of their own, in order. Within a step, lines on one account net and empty lines
  vanish: an account that two amounts pass through does not show.
- 7xxx accounts are off balance (表外): Dr is 收, Cr is 付, against 7999, balanced apart.
- **When**: an accrual status, a lender type or a VAT mode that the rule is for. Of two rules the
  one that names more wins.
- **Lender type.** A bank's customers keep deposits with it (2011) and it settles over 1003. A
  consumer-finance company or a micro-lender has neither: it settles over 1002, and a customer's
  money stands in 2241.04 while it is being allocated. Where the two differ, the bank's account
  comes second.
- **VAT mode.** Prices include VAT. Amounts with `vat` in their name say how much of the gross
  amount beside them is VAT, and post in books of mode SPLIT only. Books of mode NONE and EXEMPT
  refuse them (`NO_POSTING_RULE`) rather than lose a tax: there, gross is income. In a SPLIT book a
  loan that is exempt simply comes without them.

## Where they come from

- Codes and their use: 企业会计准则——应用指南, appendix (财会〔2006〕18号); 6702 and the three
  stages: CAS 22 (2017). Interest accrued and interest due are apart (1132.01, 1132.02) because the
  balance sheet shows them apart (财会〔2018〕36号).
- VAT accounts: 财会〔2016〕22号. Interest accrued later than 90 days after it fell due is taxed when
  it is received: 财税〔2016〕36号 annex 3 §4, 财税〔2016〕140号 §3. VAT declared earlier is not taken
  back when interest leaves the balance sheet. Exempt interest: 财税〔2018〕91号, extended to the end
  of 2027 by 财政部 税务总局公告2023年第16号.
- Interest off balance from day 91 on, and principal first after that: 金融企业会计制度 (2001). The
  alternative, interest on amortised cost: CAS 22 §39.
- Write-off by allowance, with the claim kept: 财金〔2017〕90号.
"""

STAGES: Mapping[str, str] = {
    "lines": "Credit lines, contracts, collateral",
    "disbursement": "Disbursement",
    "accrual": "Interest, fees and their VAT",
    "repayment": "Repayment",
    "arrears": "Overdue and non-accrual",
    "allowance": "Loss allowance",
    "concession": "Waivers and collection costs",
    "leaving": "Write-off, recovery, transfer",
    "partners": "Joint lending and entrusted loans",
    "taxes": "Taxes and the year's end",
}

WITHOUT_RULES = """
## What needs no rule

| what | how |
|---|---|
| 红字冲销, 抹账: a posting was wrong | `ReverseEntry`: the same accounts and sides, negative |
| a bank's payout fails on its day | `ReverseEntry` of LOAN_DISBURSED, which restores the line too |
| a lender books a loan only once it is paid | LOAN_DISBURSED and DISBURSEMENT_PAID in one request |
| 提前结清: a loan is settled early | INTEREST_TRUED_UP, REPAYMENT_RECEIVED, VAT_DUE |
| 年终结转: profit of a period or year | `ClosePeriod`, for it takes the balances of every code |
| 核销 of a loan that still accrues | NON_ACCRUAL_ENTERED, then LOAN_WRITTEN_OFF |
"""

NOT_POSTED: Mapping[str, str] = {
    "1001": "no counter takes cash; a lender that does publishes rules with it",
    "1011": "for a bank that settles through another bank: it publishes rules with it for 1003",
    "2011.03": "for products paid to Type-II accounts: rules of those products have it for 2011.01",
    "3001": "between this ledger and a general ledger elsewhere, which books the day's summary",
    "4103": "`ClosePeriod` carries income and expense into it",
    "6601": "overheads do not come of a loan's life; `PostEntries` books them",
}
"""Codes of the default chart that no default rule moves, and why."""


@dataclass(frozen=True)
class EventMeaning:
    """A row of data/business_events.csv."""

    stage: str
    """A key of STAGES."""
    event: str
    meaning: str


def event_meanings() -> list[EventMeaning]:
    """The events of the default rules, in the order of a loan's life."""
    file = resources.files("tael_ledger") / "data" / "business_events.csv"
    with file.open(encoding="utf-8") as rows:
        return [EventMeaning(**row) for row in csv.DictReader(rows)]


def posting_rules_page() -> str:
    """The page as Markdown."""
    chart = default_chart()
    rules = default_rules()
    parts = [HEAD]
    for stage, meanings in groupby(event_meanings(), lambda row: row.stage):
        parts.append(f"\n## {STAGES[stage]}\n")
        parts += [_event(row, rules, chart) for row in meanings]
    return "".join([*parts, WITHOUT_RULES, _not_posted(chart)])


def _event(row: EventMeaning, rules: Iterable[PostingRule], chart: Chart) -> str:
    own = {rule.key: rule for rule in rules if rule.key.event == row.event}
    rows = [
        _rows(rule, _at_a_bank(own, key), chart)
        for key, rule in own.items()
        if key.lender_type == "" or _anywhere(key) not in own
    ]
    head = "| amount type | when | step | Dr | Cr |\n|---|---|---|---|---|\n"
    return f"\n### {row.event}\n\n{row.meaning}\n\n{head}{''.join(rows)}"


def _anywhere(key: RuleKey) -> RuleKey:
    return replace(key, lender_type="")


def _at_a_bank(own: Mapping[RuleKey, PostingRule], key: RuleKey) -> PostingRule:
    return own.get(replace(key, lender_type="BANK"), own[key])


def _rows(rule: PostingRule, at_a_bank: PostingRule, chart: Chart) -> str:
    key = rule.key
    when = (key.product, key.accrual_status, key.lender_type, key.vat_mode)
    named = ", ".join(one for one in when if one)
    return "".join(
        f"| {key.amount_type} | {named} | {posting.step} "
        f"| {_either(posting.debit, bank.debit, chart)} "
        f"| {_either(posting.credit, bank.credit, chart)} |\n"
        for posting, bank in zip(rule.postings, at_a_bank.postings, strict=True)
    )


def _either(account: RuleAccount, at_a_bank: RuleAccount, chart: Chart) -> str:
    accounts = dict.fromkeys((account, at_a_bank))
    return "<br>BANK: ".join(f"{each} {chart[each.gl_code].name}" for each in accounts)


def _not_posted(chart: Chart) -> str:
    rows = [f"| {code} {chart[code].name} | {why} |\n" for code, why in NOT_POSTED.items()]
    head = "\n## Accounts that no rule of a new book moves\n\n| account | why |\n|---|---|\n"
    return head + "".join(rows)
