"""An applicant whom the shipped policy approves, for the tests to change one fact at a time."""

from datetime import date
from decimal import Decimal

from tael_risk.compiled_policies import CompiledPolicy, compile_policy
from tael_risk.features import Value, shipped_registry
from tael_risk.policies import shipped_policy
from tael_risk.policy_documents import read_policy

BUSINESS_DATE = date(2026, 3, 15)

GOOD: dict[str, Value | None] = {
    **{name: definition.default for name, definition in shipped_registry().items()},
    "consent.now.live": True,
    "request.now.amount": 1_000_000,
    "request.now.periods": 12,
    "request.now.purpose": "CONSUMPTION",
    "product.now.min_amount": 100_000,
    "product.now.max_amount": 20_000_000,
    "product.now.cost_cap": Decimal("0.24"),
    "applicant.now.age": 36,
    "applicant.maturity.age": 37,
    "applicant.now.monthly_income": 1_200_000,
    "identity.now.real_name": "MATCH",
    "identity.now.face_score": 95,
    "identity.now.face_live": True,
    "identity.now.four_elements": "MATCH",
    "device.30d.identities": 1,
    "line.now.state": "ACTIVE",
    "line.now.available": 3_000_000,
    "multi_lender.7d.queries": 0,
    "multi_lender.30d.queries": 2,
    "multi_lender.90d.queries": 4,
    "multi_lender.now.lenders": 2,
    "court.now.listed": False,
    "bureau.now.accounts": 4,
    "bureau.now.monthly_due": 300_000,
    "bureau.now.overdue": 0,
    "bureau.24m.worst_status": 0,
    "bureau.3m.queries": 2,
    "bureau.now.card_utilisation": 40,
    "bureau.now.oldest_account": 36,
}
"""Grade C, the limit vector of an income of 12,000.00 with 3,000.00 due elsewhere."""


def shipped() -> CompiledPolicy:
    """The shipped policy, as if published first."""
    registry = shipped_registry()
    return compile_policy(read_policy(shipped_policy(), registry), 1, registry)
