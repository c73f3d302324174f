"""Servicing's store: the only description of it. Keys start with the loan or the line.

Amounts are minor units. Dates are business dates; instants are the store's clock.
"""

from __future__ import annotations

from tael_runtime.tables import with_floor
from tael_servicing.tables.approvals import proposal
from tael_servicing.tables.columns import SORTED, own
from tael_servicing.tables.day_ends import day_report, loan_set_aside
from tael_servicing.tables.lines import credit_line, line_movement
from tael_servicing.tables.loans import (
    BALANCES,
    LOAN_STATES,
    RUNNING,
    accrual_history,
    accrual_position,
    instalment,
    loan,
    loan_balance,
    loan_event,
    loan_state,
    payout,
    repayment,
)
from tael_servicing.tables.money import (
    bank_line,
    channel_settlement,
    debit_batch,
    difference,
    direct_debit,
)
from tael_servicing.tables.partners import (
    entrusted_loan,
    partner,
    party_balance,
    party_movement,
    receipt,
)
from tael_servicing.tables.portfolio import class_judgement, impairment_policy, loan_class, loan_day
from tael_servicing.tables.postings import (
    MOVES_ALLOWANCE,
    loan_posting,
    night_posting,
    outgoing_posting,
)
from tael_servicing.tables.products import book_day, cost_cap, lpr, product, product_retirement
from tael_servicing.tables.taxes import tax_entry

metadata = with_floor(own)

__all__ = [
    "BALANCES",
    "LOAN_STATES",
    "MOVES_ALLOWANCE",
    "RUNNING",
    "SORTED",
    "accrual_history",
    "accrual_position",
    "bank_line",
    "book_day",
    "channel_settlement",
    "class_judgement",
    "cost_cap",
    "credit_line",
    "day_report",
    "debit_batch",
    "difference",
    "direct_debit",
    "entrusted_loan",
    "impairment_policy",
    "instalment",
    "line_movement",
    "loan",
    "loan_balance",
    "loan_class",
    "loan_day",
    "loan_event",
    "loan_posting",
    "loan_set_aside",
    "loan_state",
    "lpr",
    "metadata",
    "night_posting",
    "outgoing_posting",
    "partner",
    "party_balance",
    "party_movement",
    "payout",
    "product",
    "product_retirement",
    "proposal",
    "receipt",
    "repayment",
    "tax_entry",
]
