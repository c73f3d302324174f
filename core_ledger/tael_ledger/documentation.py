"""docs/posting-rules.md, written from the data."""

from __future__ import annotations

from tael_ledger.chart import Chart, default_chart
from tael_ledger.posting_rules import PostingRule, RuleAccount, default_rules

HEAD = """# Posting rules of a new book

Version 1 of every book's rules, from `core_ledger/tael_ledger/data/posting_rules.csv`; later
versions are published and approved over `AccountingService`. An event carries amounts by type;
each amount posts the pairs below. An account with `[LOAN]`, `[CUSTOMER]`, … is that owner's
own; the event must name the owner. Steps are entries of their own, in order; within a step,
lines on one account net and empty lines vanish. A negative amount posts in red ink: same sides,
negative. A key left empty in "when" matches anything, and the rule that names the most keys
wins. 7xxx accounts are off balance (表外): Dr is 收, Cr is 付, against 7999.
"""

COLUMNS = "| amount type | when | step | Dr | Cr |\n|---|---|---|---|---|\n"


def posting_rules_page() -> str:
    """The page as Markdown."""
    chart = default_chart()
    rules = sorted(default_rules(), key=lambda rule: rule.key.event)
    parts = [HEAD]
    for event in dict.fromkeys(rule.key.event for rule in rules):
        parts.append(
            f"\n## {event}\n\n| amount type | when | step | Dr | Cr |\n|---|---|---|---|---|\n"
        )
        parts += [_rows(rule, chart) for rule in rules if rule.key.event == event]
    return "".join(parts)


def _rows(rule: PostingRule, chart: Chart) -> str:
    key = rule.key
    when = (key.product, key.accrual_status, key.lender_type, key.vat_mode)
    named = ", ".join(one for one in when if one)
    return "".join(
        f"| {key.amount_type} | {named} | {posting.step} "
        f"| {_account(posting.debit, chart)} | {_account(posting.credit, chart)} |\n"
        for posting in rule.postings
    )


def _account(account: RuleAccount, chart: Chart) -> str:
    return f"{account} {chart[account.gl_code].name}"
