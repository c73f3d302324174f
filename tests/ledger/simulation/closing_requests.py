"""Draws of closings and of versions of the posting rules."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from ledger.simulation.draws import World
from ledger.simulation.operations import Operation

from tael.ledger.v1 import accounting_pb2 as ac
from tael_client.values import from_date


def close_day(world: World) -> Operation:
    """The open day; rarely another, closed before or to come."""
    other = world.dice.choice((0, 0, 0, 0, -1, 1))
    return close(world, world.state.business_date + timedelta(days=other))


def close(world: World, day: date) -> Operation:
    """A day."""
    request = ac.CloseDayRequest(
        request_id=world.request_id, book_id=world.book_id, business_date=from_date(day)
    )
    return Operation("CloseDay", (request,))


def close_period(world: World) -> Operation:
    """The month before, mostly; else this one or an older one."""
    back = world.dice.choice((1, 1, 1, 0, 2, 3))
    day = world.state.business_date.replace(day=1)
    for _ in range(back):
        day = (day - timedelta(days=1)).replace(day=1)
    request = ac.ClosePeriodRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        period=from_date(day + timedelta(days=world.dice.randint(0, 27))),
    )
    return Operation("ClosePeriod", (request,))


def publish_posting_rules(world: World) -> Operation:
    """The rules in force without one of them; rarely a set with a fault."""
    dice = world.dice
    rules = [ac.PostingRule.FromString(r.SerializeToString()) for r in _in_force(world)]
    rules.pop(dice.randrange(len(rules)))
    fault = dice.random()
    if fault < 0.1:
        rules.append(rules[0])
    elif fault < 0.2:
        dice.choice(rules).postings[0].debit.gl_code = "9999"
    elif fault < 0.3:
        memo, balance = ac.RuleAccount(gl_code="7999"), ac.RuleAccount(gl_code="1003")
        rules[0].postings.append(ac.RulePosting(step=1, debit=memo, credit=balance))
    elif fault < 0.35:
        rules[0].event = "PERIOD_CLOSED"
    first_day = world.state.business_date + timedelta(days=dice.choice((0, 1, 2, 4, -1)))
    request = ac.PublishPostingRulesRequest(
        request_id=world.request_id,
        book_id=world.book_id,
        effective_from=from_date(first_day),
        rules=rules,
        description="one rule fewer",
    )
    return Operation("PublishPostingRules", (request,), _maker(world))


def _in_force(world: World) -> tuple[ac.PostingRule, ...]:
    return world.state.rules_in_force().rules


def _maker(world: World) -> str:
    return "maker" if world.chance(0.8) else "checker"


def approve_posting_rules(world: World) -> Operation:
    """The newest version or one before or after it, by another than its maker, mostly."""
    newest = len(world.state.rules)
    version = max(1, newest + world.dice.choice((0, 0, 0, 0, 1, -1)))
    rules = world.state.rules.get(version)
    other = "maker" if rules is None or rules.maker == "checker" else "checker"
    request = ac.ApprovePostingRulesRequest(
        request_id=world.request_id, book_id=world.book_id, version=version
    )
    caller = other if world.chance(0.8) else world.dice.choice(("maker", "checker"))
    return Operation("ApprovePostingRules", (request,), caller)


DRAWS: list[tuple[int, Callable[[World], Operation]]] = [
    (4, close_day),
    (2, close_period),
    (2, publish_posting_rules),
    (2, approve_posting_rules),
]
