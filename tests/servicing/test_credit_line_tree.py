"""Lines below lines, as pure arithmetic: no order of movements overdraws any of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from tael_runtime.errors import FailedPrecondition
from tael_servicing import line_tree
from tael_servicing.line_tree import DEEPEST, CreditLine

TODAY = date(2026, 1, 15)
LAST_DAY = date(2027, 1, 15)
amounts = st.integers(1, 1_000)


def line(
    line_id: str, limit: int = 1_000, parent: CreditLine | None = None, **choices: Any
) -> CreditLine:
    made = CreditLine(
        line_id=line_id,
        path=(*(parent.path if parent else ()), line_id),
        customer_id="cu",
        product_code="cash",
        book_id="main",
        currency_code="CNY",
        overall=False,
        revolving=True,
        granted=limit,
        temporary=0,
        temporary_to=None,
        credit_limit=limit,
        used=0,
        reserved=0,
        annual_rate=Decimal("0.12"),
        valid_from=TODAY,
        valid_to=LAST_DAY,
        state="ACTIVE",
        freeze_reason="",
        source="",
        movements=0,
        above=(*parent.above, parent) if parent else (),
    )
    return replace(made, **choices)


@dataclass(frozen=True)
class Drawdown:
    """A drawdown of a line, and what of it is still owed."""

    line_id: str
    principal: int


@dataclass
class Shelf:
    """Lines by id, as the store keeps them: each once, without those above it."""

    kept: dict[str, CreditLine] = field(default_factory=dict)

    def branch(self, line_id: str) -> CreditLine:
        found = self.kept[line_id]
        return replace(found, above=tuple(self.kept[each] for each in found.path[:-1]))

    def keep(self, after: CreditLine) -> None:
        for each in (*after.above, after):
            self.kept[each.line_id] = replace(each, above=())

    def below(self, line_id: str) -> list[CreditLine]:
        return [each for each in self.kept.values() if each.path[-2:-1] == (line_id,)]


class Trees(RuleBasedStateMachine):
    """Grants, drawdowns, payouts, repayments and changes of limits in any order."""

    overall = Bundle("overall")
    drawn = Bundle("drawn")
    paying = Bundle("paying")
    owed = Bundle("owed")

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf()
        self.memo = 0
        """7201, as the postings move it."""

    def _grant(self, parent: str | None, limit: int, overall: bool) -> str:
        above = self.shelf.branch(parent) if parent else None
        made = line(f"cl_{len(self.shelf.kept)}", limit, above, overall=overall)
        self.shelf.keep(made)
        self.memo += made.commitment
        return made.line_id

    @rule(target=overall, limit=amounts)
    def grant_a_root(self, limit: int) -> str:
        return self._grant(None, limit, overall=True)

    @rule(target=overall, parent=overall, limit=amounts)
    def grant_a_limit_below(self, parent: str, limit: int) -> Any:
        if len(self.shelf.kept[parent].path) >= DEEPEST - 1:
            return multiple()
        return self._grant(parent, limit, overall=True)

    @rule(target=drawn, parent=overall, limit=amounts)
    def grant_a_line_below(self, parent: str, limit: int) -> str:
        return self._grant(parent, limit, overall=False)

    @rule(target=paying, line_id=drawn, principal=amounts)
    def draw(self, line_id: str, principal: int) -> Any:
        before = self.shelf.branch(line_id)
        room = min(each.credit_limit - each.used - each.reserved for each in before.branch)
        try:
            before.check_open(TODAY)
            before.check_room(principal)
        except FailedPrecondition:
            assert principal > room
            return multiple()
        assert principal <= room
        self.shelf.keep(line_tree.reserve(before, principal))
        self.memo -= principal
        return Drawdown(line_id, principal)

    @rule(target=owed, drawdown=consumes(paying))
    def pay_out(self, drawdown: Drawdown) -> Drawdown:
        before = self.shelf.branch(drawdown.line_id)
        after = line_tree.occupy(before, drawdown.principal)
        assert after.commitment == before.commitment
        self.shelf.keep(after)
        return drawdown

    @rule(drawdown=consumes(paying))
    def fail_to_pay_out(self, drawdown: Drawdown) -> None:
        before = self.shelf.branch(drawdown.line_id)
        after = line_tree.release(before, drawdown.principal)
        assert after.commitment - before.commitment <= drawdown.principal
        self.memo += after.commitment - before.commitment
        self.shelf.keep(after)

    @rule(target=owed, drawdown=consumes(owed), data=st.data())
    def repay(self, drawdown: Drawdown, data: st.DataObject) -> Any:
        """Some of it; or takes an earlier repayment back, so that more is owed again."""
        moved = data.draw(st.integers(-drawdown.principal, drawdown.principal))
        before = self.shelf.branch(drawdown.line_id)
        after = line_tree.restore(before, moved)
        self.memo += after.commitment - before.commitment
        self.shelf.keep(after)
        left = drawdown.principal - moved
        return Drawdown(drawdown.line_id, left) if left else multiple()

    @rule(line_id=st.one_of(overall, drawn), limit=st.integers(0, 1_000))
    def adjust(self, line_id: str, limit: int) -> None:
        self._change(line_tree.regrant(self.shelf.branch(line_id), limit))

    @rule(line_id=st.one_of(overall, drawn), more=amounts)
    def raise_for_a_while(self, line_id: str, more: int) -> None:
        before = self.shelf.branch(line_id)
        self._change(line_tree.raise_until(before, before.granted + more, LAST_DAY))

    def _change(self, after: CreditLine) -> None:
        self.memo += after.commitment - self.shelf.branch(after.line_id).commitment
        self.shelf.keep(after)

    @invariant()
    def no_line_is_overdrawn(self) -> None:
        for each in self.shelf.kept.values():
            assert each.used >= 0
            assert each.reserved >= 0
            assert each.credit_limit == max(each.target, each.used + each.reserved)

    @invariant()
    def a_limit_bears_what_the_lines_below_it_bear(self) -> None:
        for each in self.shelf.kept.values():
            if each.overall:
                below = self.shelf.below(each.line_id)
                assert each.used == sum(lower.used for lower in below)
                assert each.reserved == sum(lower.reserved for lower in below)

    @invariant()
    def commitments_are_what_drawn_lines_have_left_and_nothing_twice(self) -> None:
        kept = self.shelf.kept.values()
        assert self.memo == sum(each.undrawn for each in kept if not each.overall)


TestTrees = Trees.TestCase
TestTrees.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_what_may_be_drawn_is_the_least_that_any_line_above_has_left() -> None:
    customer = line("customer", 1_000, overall=True)
    product = line("product", 400, customer, overall=True)
    contract = line("contract", 700, product)
    assert contract.available == 400
    drawn = line_tree.reserve(contract, 300)
    assert [each.undrawn for each in drawn.branch] == [700, 100, 400]
    with pytest.raises(FailedPrecondition) as refused:
        drawn.check_room(101)
    assert refused.value.reason.name == "LINE_EXCEEDED"


def test_a_limit_below_what_is_used_comes_into_force_as_repayments_free_it() -> None:
    used = line("contract", 1_000, used=800)
    lowered = line_tree.regrant(used, 500)
    assert (lowered.credit_limit, lowered.granted, lowered.available) == (800, 500, 0)
    paid = line_tree.restore(lowered, 200)
    assert (paid.credit_limit, paid.available) == (600, 0)
    paid = line_tree.restore(paid, 250)
    assert (paid.credit_limit, paid.available) == (500, 150)


def test_principal_repaid_on_a_line_that_does_not_revolve_frees_only_what_revolves_above() -> None:
    customer = line("customer", 1_000, overall=True, used=600)
    contract = line("contract", 600, customer, revolving=False, used=600)
    paid = line_tree.restore(contract, 100)
    assert (paid.used, paid.above[0].used, paid.available) == (600, 500, 0)


def test_a_repayment_taken_back_after_the_line_was_drawn_again_leaves_it_over_its_limit() -> None:
    contract = line("contract", 1_000, used=1_000)
    again = line_tree.reserve(line_tree.restore(contract, 400), 400)
    back = line_tree.restore(again, -400)
    assert (back.credit_limit, back.granted, back.available) == (1_400, 1_000, 0)


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"state": "FROZEN"}, "LINE_FROZEN"),
        ({"state": "CLOSED"}, "LINE_EXPIRED"),
        ({"state": "PENDING"}, "LINE_PENDING"),
        ({"valid_to": date(2026, 1, 14)}, "LINE_EXPIRED"),
    ],
)
def test_what_stops_a_line_stops_those_below_it(choices: dict[str, object], reason: str) -> None:
    customer = line("customer", overall=True, **choices)
    contract = line("contract", parent=customer)
    with pytest.raises(FailedPrecondition) as refused:
        contract.check_open(TODAY)
    assert refused.value.reason.name == reason
