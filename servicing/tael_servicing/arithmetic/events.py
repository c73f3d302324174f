"""What happens to a loan. The loan is the fold of these, in the order of `order`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from tael_servicing.arithmetic.changing import Plan
from tael_servicing.arithmetic.loan import Allowance, EventOrder
from tael_servicing.arithmetic.terms import Excess, Keep


@dataclass(frozen=True, slots=True)
class LoanEvent:
    """Something that happened on a value date; amounts in minor units."""

    rank: ClassVar[int]
    """Same-day events of different kinds happen in the order of their ranks, whatever order they
    arrived in; of one kind, in the order in which their ids were given."""

    value_date: date
    event_id: str


@dataclass(frozen=True, slots=True)
class Disbursed(LoanEvent):
    """Money is paid out; interest runs from the value date. A second one is a tranche."""

    rank = 0
    principal: int


@dataclass(frozen=True, slots=True)
class Purchased(LoanEvent):
    """A claim that is credit-impaired is bought: the loan begins with it, and is due whole."""

    rank = 0
    principal: int
    """As the contract claims it."""
    price: int
    """At most the principal."""
    due_date: date
    """Of the oldest instalment that is unpaid."""
    interest: int = 0
    penalty: int = 0
    compound: int = 0


@dataclass(frozen=True, slots=True)
class Repriced(LoanEvent):
    """Another annual rate, from the night of the value date on."""

    rank = 1
    annual_rate: Decimal
    keep: Keep = Keep.TERM
    floats: bool = False
    """The prime rate of the day brought it; else it was agreed."""


@dataclass(frozen=True, slots=True)
class Rescheduled(LoanEvent):
    """Another plan: extension, re-ageing, holiday, another due day."""

    rank = 2
    plan: Plan


@dataclass(frozen=True, slots=True)
class Charged(LoanEvent):
    """A fee, due at once: a row of its own, late from its value date on."""

    rank = 3
    amount: int


@dataclass(frozen=True, slots=True)
class CostsAdvanced(LoanEvent):
    """Legal costs that the debtor owes."""

    rank = 4
    amount: int


@dataclass(frozen=True, slots=True)
class Waived(LoanEvent):
    """Given up of what is due, oldest first: before any money of the day, which then pays what is still
    asked, whichever came first. Principal of an impaired loan only: its allowance bears it.
    """

    rank = 5
    interest: int = 0
    penalty: int = 0
    compound: int = 0
    fee: int = 0
    principal: int = 0


@dataclass(frozen=True, slots=True)
class Returned(LoanEvent):
    """All that was paid out came back, or the goods it paid for never came: as if never lent."""

    rank = 6
    amount: int


@dataclass(frozen=True, slots=True)
class Repaid(LoanEvent):
    """Money for what is due, oldest first; what is more goes as `excess`, or the terms, say."""

    rank = 7
    amount: int
    excess: Excess | None = None


@dataclass(frozen=True, slots=True)
class GoodsRefunded(LoanEvent):
    """The merchant returns the price of goods."""

    rank = 8
    amount: int
    excess: Excess = Excess.PRINCIPAL


@dataclass(frozen=True, slots=True)
class GuarantorPaid(LoanEvent):
    """A guarantor or insurer pays for the debtor."""

    rank = 9
    amount: int


@dataclass(frozen=True, slots=True)
class CurrentPaid(LoanEvent):
    """The running instalment is paid before its due date."""

    rank = 10
    amount: int


@dataclass(frozen=True, slots=True)
class Prepaid(LoanEvent):
    """A partial prepayment: principal, its interest to date and the fee, out of `amount`."""

    rank = 11
    amount: int
    keep: Keep


@dataclass(frozen=True, slots=True)
class Settled(LoanEvent):
    """Full settlement out of `amount`; more is held for the customer."""

    rank = 12
    amount: int


@dataclass(frozen=True, slots=True)
class Accelerated(LoanEvent):
    """All that is left falls due."""

    rank = 13
    misused: bool = False
    """Because the funds were used for another purpose than agreed: it bears the penalty of that."""


@dataclass(frozen=True, slots=True)
class Impaired(LoanEvent):
    """Off balance for another reason than days past due: class, bankruptcy, fraud. It stays so until
    the judgement is withdrawn, whatever is paid.
    """

    rank = 14


@dataclass(frozen=True, slots=True)
class Restored(LoanEvent):
    """The judgement that the loan is impaired is withdrawn: from now on what is paid ends it."""

    rank = 15


@dataclass(frozen=True, slots=True)
class Paused(LoanEvent):
    """From the night of the value date on, arrears grow no older and bear no charge. While that is so,
    another one says anew until when.
    """

    rank = 16
    until: date
    """The first day that counts again; the value date ends a pause."""


@dataclass(frozen=True, slots=True)
class ImpairedInterest(LoanEvent):
    """A month's interest of an impaired loan by the effective rate, under STAGE3_NET."""

    rank = 17
    rate: Decimal
    """Of the month."""
    deferred: int = 0
    """Fees charged at the start that are not income yet: the loan costs so much less."""


@dataclass(frozen=True, slots=True)
class AllowanceAdjusted(LoanEvent):
    """The loss allowance is set to these stages."""

    rank = 18
    allowance: Allowance


@dataclass(frozen=True, slots=True)
class WrittenOff(LoanEvent):
    """The loan leaves the books; its claim stays."""

    rank = 19


@dataclass(frozen=True, slots=True)
class ClaimWaived(LoanEvent):
    """Given up of a claim: before any money of the day, as of a loan on the books."""

    rank = 20
    principal: int = 0
    interest: int = 0
    """With penalty, compound and fees: a claim knows them no more apart."""
    legal_costs: int = 0


@dataclass(frozen=True, slots=True)
class Recovered(LoanEvent):
    """Money after the write-off, in the order of a loan that does not accrue."""

    rank = 21
    amount: int


@dataclass(frozen=True, slots=True)
class Sold(LoanEvent):
    """The loan is sold."""

    rank = 22
    price: int


@dataclass(frozen=True, slots=True)
class AssetTaken(LoanEvent):
    """An asset at fair value is taken for the debt."""

    rank = 23
    fair_value: int
    settles: bool
    """For all of the debt; else for principal of its value."""


@dataclass(frozen=True, slots=True)
class Parked(LoanEvent):
    """Money under way while the loan was repaid or written off: held for the customer."""

    rank = 24
    amount: int


@dataclass(frozen=True, slots=True)
class OverpaymentRefunded(LoanEvent):
    """What was held goes back to the customer."""

    rank = 25
    amount: int
    funds: str = "funds_transfer"
    """Where it goes: funds_transfer or funds_deposit."""
    owed_again: bool = False
    """It may be more than is held: what was repaid goes back, and is owed again."""


@dataclass(frozen=True, slots=True)
class Reversed(LoanEvent):
    """An earlier event did not happen: the fold leaves it out."""

    rank = 26
    target: str
    """Its event id."""


KINDS: dict[str, type[LoanEvent]] = {
    kind.__name__: kind for kind in sorted(LoanEvent.__subclasses__(), key=lambda kind: kind.rank)
}
"""Every kind by its name, in the order of the ranks."""


def order(event: LoanEvent) -> EventOrder:
    """The key of the fold."""
    return EventOrder(event.value_date, event.rank, event.event_id)


def standing(events: Iterable[LoanEvent]) -> list[LoanEvent]:
    """The events that were not reversed, in the order of the fold."""
    known = list(events)
    gone = {event.target for event in known if isinstance(event, Reversed)}
    kept = [
        event for event in known if event.event_id not in gone and not isinstance(event, Reversed)
    ]
    return sorted(kept, key=order)
