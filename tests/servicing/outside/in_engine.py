"""A case's loan in the arithmetic alone: years of it in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import count

from servicing.outside.published import Case

from tael.servicing.v1 import loan_pb2
from tael_servicing import messages
from tael_servicing.arithmetic import events as happened
from tael_servicing.arithmetic.changing import Plan, projected
from tael_servicing.arithmetic.events import LoanEvent
from tael_servicing.arithmetic.fold import replay
from tael_servicing.arithmetic.loan import Loan
from tael_servicing.arithmetic.postings import Posting
from tael_servicing.arithmetic.prepaying import payoff
from tael_servicing.arithmetic.terms import Excess
from tael_servicing.terms import loan_terms

MONEY = (happened.Repaid, happened.Settled, happened.Recovered)


class EngineLoan:
    """The fold of what happened, told in the contract's messages."""

    def __init__(self, case: Case) -> None:
        self.terms = loan_terms(case.terms, case.periods, case.annual_rate, choices=case.choices)
        self.start = self.day = case.start
        self.ids = (f"{number:04}" for number in count())
        self.events: list[LoanEvent] = [
            happened.Disbursed(case.start, next(self.ids), case.principal)
        ]

    @property
    def loan(self) -> Loan:
        return replay(self.terms, self.events, self.day).loan

    def _postings(self, event: str) -> list[Posting]:
        made = replay(self.terms, self.events, self.day, nightly_from=self.start).postings
        return [posting for posting in made if posting.event == event]

    def _happens(self, kind: type[LoanEvent], **given: object) -> None:
        at = {"value_date": self.day, **given}
        self.events.append(kind(event_id=next(self.ids), **at))  # type: ignore[arg-type]

    def move(self, day: date) -> None:
        self.day = day

    def repay(self, amount: int) -> None:
        kind = happened.Repaid if self.loan.claim is None else happened.Recovered
        self._happens(kind, amount=amount)

    def settle(self, amount: int) -> None:
        self._happens(happened.Settled, amount=amount)

    def reverse_repayment(self, number: int) -> None:
        made = [event for event in self.events if isinstance(event, MONEY)]
        self._happens(happened.Reversed, target=made[number - 1].event_id)

    def reverse_change(self, kind: str) -> None:
        made = [event for event in self.events if type(event).__name__ == kind]
        self._happens(happened.Reversed, target=made[-1].event_id)

    def refund_goods(self, amount: int) -> None:
        self._happens(happened.GoodsRefunded, amount=amount, excess=Excess.SPREAD)

    def refund_overpayment(self, amount: int) -> None:
        self._happens(happened.OverpaymentRefunded, amount=amount)

    def reprice(self, annual_rate: Decimal, value_date: date) -> None:
        self._happens(happened.Repriced, annual_rate=annual_rate, value_date=value_date)

    def extend(self, more_periods: int, from_due_date: date) -> None:
        plan = Plan(from_due=from_due_date, more_periods=more_periods)
        self._happens(happened.Rescheduled, plan=plan)

    def tranche(self, amount: int) -> None:
        self._happens(happened.Disbursed, principal=amount)

    def write_off(self) -> None:
        self._happens(happened.WrittenOff)

    def rows(self) -> Sequence[loan_pb2.Instalment]:
        return messages.schedule(projected(self.terms, self.loan))

    def payoff(self) -> tuple[int, int]:
        quote = payoff(self.terms, self.loan)
        return quote.total, quote.interest_due + quote.interest_to_date

    def repayments(self) -> list[tuple[int, int]]:
        paid = [posting.amounts for posting in self._postings("REPAYMENT_RECEIVED")]
        return [tuple(_sum(each, word) for word in ("principal", "interest")) for each in paid]  # type: ignore[misc]

    def claim(self) -> tuple[int, int]:
        claim = self.loan.claim
        assert claim is not None
        return claim.principal, claim.interest

    def accrued(self, since: date, until: date) -> int:
        nights = self._postings("INTEREST_ACCRUED")
        return sum(
            each.amounts.get("interest", 0) for each in nights if since <= each.value_date < until
        )


def _sum(amounts: object, word: str) -> int:
    assert isinstance(amounts, dict)
    return sum(amount for name, amount in amounts.items() if name.startswith(word))
