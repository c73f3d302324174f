"""Many loans of many products, lived at random: the store is the fold, servicing is the ledger."""

from __future__ import annotations

import random
from datetime import date

import grpc
from servicing.bank import Bank, decimal

from support import refusal
from tael.servicing.v1 import product_pb2 as pb
from tael_client.values import money

PRODUCTS = {
    "plain": {},
    "quiet": {"compound_enabled": False, "grace_days": 2, "nonaccrual_dpd": 20},
    "principal": {"method": pb.REPAYMENT_METHOD_EQUAL_PRINCIPAL, "day_count": pb.DAY_COUNT_ACT_365},
    "bullet": {"method": pb.REPAYMENT_METHOD_BULLET},
    "interest": {"method": pb.REPAYMENT_METHOD_INTEREST_ONLY, "nonaccrual_dpd": 10},
    "level": {"first_period": pb.FIRST_PERIOD_EQUAL, "min_first_days": 1},
}
REFUSALS = {
    "PREPAYMENT_WHILE_OVERDUE",
    "PREPAYMENT_WHILE_NON_ACCRUAL",
    "PREPAYMENT_NOT_PARTIAL",
    "PREPAYMENT_TOO_SMALL",
    "LOAN_CLOSED",
}


def test_random_lives_end_in_books_that_agree(bank: Bank) -> None:
    dice = random.Random(20260115)
    loan_ids = [lend(bank, name, dice) for name in PRODUCTS for _ in range(3)]
    while bank.day < date(2026, 3, 8):
        for loan_id in dice.sample(loan_ids, 3):
            live(bank, loan_id, dice)
        bank.end_day()
        if bank.day.day % 10 == 0:
            bank.assert_books_agree()
    bank.assert_books_agree()
    states = {bank.loan(loan_id).state for loan_id in loan_ids}
    assert len(states) >= 4, "the dice made good lives and bad ones"


def lend(bank: Bank, name: str, dice: random.Random) -> str:
    """A loan on a revolving line of its own; half of the cards have no money."""
    product = f"{bank.product}-{name}"
    publication = bank.publication(**PRODUCTS[name])
    publication.code = product
    bank.products.PublishProduct(publication)
    card = f"{product}-{dice.random()}"
    if dice.random() < 0.5:
        bank.fails(card)
    line = bank.grant(
        5_000_000,
        product_code=product,
        annual_rate=decimal(f"0.{dice.randint(80_001, 239_999):06}"),
    )
    return bank.lend(
        line.line_id,
        card,
        principal=money(dice.randint(10_000, 3_000_000)),
        periods=dice.randint(1, 6),
        repay_day=dice.choice((0, 1, 20, 31)),
    ).loan_id


def live(bank: Bank, loan_id: str, dice: random.Random) -> None:
    """Something may happen to a loan today."""
    kind = dice.choice(("DUE", "DUE", "PREPAY_KEEP_TERM", "PREPAY_KEEP_INSTALMENT", "SETTLE"))
    try:
        if kind == "SETTLE":
            amount = bank.day_payoff(loan_id) if dice.random() < 0.2 else 0
        else:
            amount = dice.randint(1, 300_000)
        if amount:
            bank.repay(loan_id, amount, kind)
    except grpc.RpcError as error:
        if refusal(error)[1] not in REFUSALS:
            raise
