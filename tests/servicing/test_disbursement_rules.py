"""A loan that is taken back leaves nothing behind, and any order of arrival gives the same loan."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tael_servicing.arithmetic.balances import Balances, balances
from tael_servicing.arithmetic.difference import refolded
from tael_servicing.arithmetic.events import Disbursed, LoanEvent, Repaid, Returned
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.loan import Closure
from tael_servicing.arithmetic.terms import Method, Terms

START = date(2026, 1, 15)
LENT = 1_000_000
MOVES = {
    "INTEREST_ACCRUED": {"interest": 1, "penalty": 1, "compound": 1},
    "INTEREST_TRUED_UP": {"interest": 1},
    "PRINCIPAL_OVERDUE": {"principal": 1},
    "INTEREST_DUE": {"interest": 1},
    "FEE_DUE": {"fee": 1},
}
"""What days bring, that a return takes back."""

loan_terms = st.builds(
    Terms,
    method=st.sampled_from([Method.EQUAL_INSTALMENT, Method.EQUAL_PRINCIPAL, Method.INTEREST_ONLY]),
    periods=st.integers(1, 12),
    annual_rate=st.decimals("0.03", "0.24", places=4),
    vat_rate=st.sampled_from([Decimal(0), Decimal("0.06")]),
)
tranches = st.lists(st.tuples(st.integers(1, 25), st.integers(1_000, 500_000)), max_size=2)


def lent(more: list[tuple[int, int]]) -> list[LoanEvent]:
    """The disbursement and its tranches."""
    paid = [(0, LENT), *more]
    return [
        Disbursed(START + timedelta(days=days), f"{number:08}", amount)
        for number, (days, amount) in enumerate(paid, 1)
    ]


@given(loan_terms, tranches, st.integers(25, 80))
def test_a_return_takes_back_all_that_was_earned(
    terms: Terms, more: list[tuple[int, int]], days: int
) -> None:
    events = lent(more)
    whole = LENT + sum(amount for _, amount in more)
    back = START + timedelta(days=days)
    step = replay(terms, [*events, Returned(back, "00000009", whole)], back)
    left: Counter[str] = Counter()
    vat = 0
    for posting in step.postings:
        for name, amount in posting.amounts.items():
            if name in MOVES.get(posting.event, ()):
                left[f"{posting.event}.{name}"] += amount
            vat += amount if name.endswith("_vat") and posting.event != "INTEREST_DUE" else 0
    true_up = left.pop("INTEREST_TRUED_UP.interest", 0)
    left["INTEREST_ACCRUED.interest"] += true_up
    assert not +left, left
    assert not -left, left
    assert vat == 0
    assert step.loan.closure is Closure.RETURNED
    assert balances(terms, step.loan) == Balances()
    returned = [each for each in step.postings if each.event == "DISBURSEMENT_RETURNED"]
    assert [each.amounts["principal"] for each in returned] == [whole]


@given(loan_terms, st.integers(1, 40), st.integers(1, 40), st.integers(1, 2_000_000))
def test_money_and_a_return_give_the_same_loan_in_any_order(
    terms: Terms, paid_after: int, back_after: int, amount: int
) -> None:
    opened = lent([])
    repaid = Repaid(START + timedelta(days=paid_after), "00000002", amount)
    back = Returned(START + timedelta(days=back_after), "00000003", LENT)
    today = START + timedelta(days=45)
    whole = replay(terms, [*opened, repaid, back], today).loan
    for first, late in ((repaid, back), (back, repaid)):
        assert refolded(terms, [*opened, first], late, today).loan == whole
    assert balances(terms, whole).principal == 0 or whole.closure is None
