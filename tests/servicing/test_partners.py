"""Joint lenders, agencies, subsidisers and entrusting parties: what is booked, and what stands."""

from __future__ import annotations

from datetime import date
from typing import Any

import grpc
import pytest
from servicing.bank import PAY, START, Bank, decimal

from support import refusal, rid, violations
from tael.provider.v1.simulator_pb2 import Behaviour
from tael.servicing.v1 import (
    entrusted_loan_pb2,
    entrusted_loan_pb2_grpc,
    loan_pb2,
    partner_pb2_grpc,
    repayment_pb2,
)
from tael.servicing.v1 import partner_pb2 as pb
from tael_client.values import from_date, money


def desk(bank: Bank) -> partner_pb2_grpc.PartnerServiceStub:
    return bank.house.client("servicing", partner_pb2_grpc.PartnerServiceStub)


def lending(bank: Bank) -> entrusted_loan_pb2_grpc.EntrustedLoanServiceStub:
    return bank.house.client("servicing", entrusted_loan_pb2_grpc.EntrustedLoanServiceStub)


def register(bank: Bank, role: str, **choices: Any) -> str:
    """A partner's id."""
    request = pb.RegisterPartnerRequest(
        **{
            "request_id": rid(),
            "partner_id": f"{role.lower().replace('_', '-')}-{bank.book}",
            "book_id": bank.book,
            "name": "A partner",
            "roles": [pb.PartnerRole.Value(f"PARTNER_ROLE_{role}")],
            **choices,
        }
    )
    return str(desk(bank).RegisterPartner(request).partner.partner_id)


def record(bank: Bank, partner_id: str, kind: str, minor_units: int, **choices: Any) -> pb.Partner:
    request = pb.RecordPartnerMoneyRequest(
        **{
            "request_id": rid(),
            "partner_id": partner_id,
            "money": pb.PartnerMoney.Value(f"PARTNER_MONEY_{kind}"),
            "amount": money(minor_units),
            "reference": "a transfer",
            **choices,
        }
    )
    return desk(bank).RecordPartnerMoney(request).partner


def lend_jointly(bank: Bank, partner_id: str, theirs: int = 700_000, **choices: Any) -> Any:
    joint = loan_pb2.JointLending(partner_id=partner_id, partner_principal=money(theirs))
    return bank.lend(joint=joint, **choices)


def on_balance(bank: Bank, loan_id: str, event: str) -> list[tuple[str, str, int]]:
    """The lines of the last voucher of that event, without the memo's, by account."""
    lines = bank.vouchers(loan_id, event)
    return sorted(line for line in lines if not line[0].startswith("7"))


def reason(call: Any, *arguments: Any, **choices: Any) -> str:
    with pytest.raises(grpc.RpcError) as error:
        call(*arguments, **choices)
    return refusal(error.value)[1]


def test_of_a_joint_loan_our_books_carry_our_share_alone(bank: Bank) -> None:
    """联合贷 10,000, our share 30 %: 888.49 is 266.55 for us and 621.94 for the partner."""
    partner = register(bank, "JOINT_LENDER")
    assert reason(lend_jointly, bank, partner) == "PARTNER_BALANCE"
    record(bank, partner, "JOINT_FUNDS_RECEIVED", 700_000)
    bank.fails("joint-card", "CARD_CLOSED")
    line = bank.grant()
    loan = lend_jointly(bank, partner, line_id=line.line_id, card="joint-card")
    assert (loan.principal.minor_units, loan.joint.partner_principal.minor_units) == (
        300_000,
        700_000,
    )
    assert bank.payments("joint-card")[0].minor_units == 1_000_000
    assert bank.line(line.line_id) == (300_000, 0, 1_700_000)
    assert on_balance(bank, loan.loan_id, "JOINT_LOAN_DISBURSED") == [
        ("1003", "Cr", 300_000),
        ("1303.01", "Dr", 300_000),
    ]
    assert on_balance(bank, loan.loan_id, "JOINT_FUNDS_PAID") == [
        ("1003", "Cr", 700_000),
        ("2241.05", "Dr", 700_000),
    ]
    bank.assert_books_agree()
    bank.end_days(date(2026, 2, 15))
    paid = bank.repay(loan.loan_id, 88_849).repayment
    parts = paid.allocation
    assert (parts.interest, parts.principal, parts.partner_share) == (3_000, 23_655, 62_194)
    assert on_balance(bank, loan.loan_id, "REPAYMENT_RECEIVED") == [
        ("1132.02", "Cr", 3_000),
        ("1303.01", "Cr", 23_655),
        ("2011.01", "Dr", 88_849),
        ("2241.05", "Cr", 62_194),
    ]
    assert record(bank, partner, "JOINT_REPAYMENT_PASSED_ON", 62_194).joint_funds.minor_units == 0
    assert reason(record, bank, partner, "JOINT_REPAYMENT_PASSED_ON", 1) == "PARTNER_BALANCE"
    bank.assert_books_agree()
    settle_jointly(bank, partner, loan.loan_id)
    bank.end_day()


def settle_jointly(bank: Bank, partner: str, loan_id: str) -> None:
    """A reversal takes the partner's share back; the payoff is for both lenders."""
    quote = bank.repayments.QuotePayoff(repayment_pb2.QuotePayoffRequest(loan_id=loan_id))
    ours = quote.total.minor_units - quote.parts.partner_share
    made = bank.repay(loan_id, quote.total.minor_units, "SETTLE")
    assert made.loan.state == loan_pb2.LOAN_STATE_CLOSED_EARLY
    assert made.repayment.allocation.partner_share == quote.parts.partner_share
    assert abs(ours * 7 - quote.parts.partner_share * 3) <= 7
    assert_told_whole(bank, loan_id)
    bank.assert_books_agree()
    bank.repayments.ReverseRepayment(
        repayment_pb2.ReverseRepaymentRequest(
            request_id=rid(),
            loan_id=loan_id,
            repayment_id=made.repayment.repayment_id,
            reason="bounced",
        )
    )
    assert bank.balance("2241.05", f"PARTNER:{partner}") == 0
    bank.assert_books_agree()
    told = desk(bank).ListPartnerMovements(pb.ListPartnerMovementsRequest(partner_id=partner))
    assert [each.minor_units for each in told.movements] == [
        700_000,
        -700_000,
        62_194,
        -62_194,
        quote.parts.partner_share,
        -quote.parts.partner_share,
    ]


def assert_told_whole(bank: Bank, loan_id: str) -> None:
    """Certificate and statement tell of our part, lent and repaid."""
    told = bank.loans.GetSettlementCertificate(
        loan_pb2.GetSettlementCertificateRequest(loan_id=loan_id)
    ).certificate
    assert (told.disbursed.minor_units, told.principal_paid) == (300_000, 300_000)
    period = {"from_date": from_date(START), "to_date": from_date(bank.day)}
    statement = bank.loans.GetStatement(loan_pb2.GetStatementRequest(loan_id=loan_id, **period))
    assert (statement.totals.disbursed, statement.totals.principal_paid) == (300_000, 300_000)
    assert statement.movements[0].principal_after == 300_000
    assert statement.movements[-1].principal_after == 0


def test_a_cent_paid_on_a_joint_loan_pays_our_part_of_it(bank: Bank) -> None:
    partner = register(bank, "JOINT_LENDER")
    record(bank, partner, "JOINT_FUNDS_RECEIVED", 700_000)
    loan_id = lend_jointly(bank, partner).loan_id
    parts = bank.repay(loan_id, 1, "FIXED_AMOUNT").repayment.allocation
    assert (parts.principal, parts.partner_share) == (1, 0)
    bank.assert_books_agree()


def test_a_joint_loan_whose_payout_fails_gives_the_partner_s_funds_back(bank: Bank) -> None:
    partner = register(bank, "JOINT_LENDER")
    record(bank, partner, "JOINT_FUNDS_RECEIVED", 700_000)
    card = f"refused-{bank.book}"
    bank.script(PAY, card, Behaviour(failure_code="CARD_CLOSED"))
    line = bank.grant()
    loan = lend_jointly(bank, partner, line_id=line.line_id, card=card)
    assert loan.state == loan_pb2.LOAN_STATE_CANCELLED
    found = desk(bank).GetPartner(pb.GetPartnerRequest(partner_id=partner)).partner
    assert found.joint_funds.minor_units == 700_000
    assert bank.line(line.line_id) == (0, 0, 2_000_000)
    bank.assert_books_agree()


def test_a_partner_funds_its_least_share_and_leaves_us_one(bank: Bank) -> None:
    partner = register(bank, "JOINT_LENDER", least_share=decimal("0.4"))
    record(bank, partner, "JOINT_FUNDS_RECEIVED", 1_000_000)
    for theirs in (399_999, 1_000_000):
        with pytest.raises(grpc.RpcError) as refused:
            lend_jointly(bank, partner, theirs)
        assert "joint.partner_principal.minor_units" in violations(refused.value)
    assert lend_jointly(bank, partner, 400_000).principal.minor_units == 600_000
    with pytest.raises(grpc.RpcError) as low:
        register(bank, "JOINT_LENDER", partner_id="low", least_share=decimal("0.29"))
    assert "least_share" in violations(low.value)
    assert reason(register, bank, "JOINT_LENDER", name="Again") == "PARTNER_EXISTS"
    agency = register(bank, "COLLECTION_AGENCY")
    assert reason(record, bank, agency, "JOINT_FUNDS_RECEIVED", 1) == "PARTNER_ROLE"
    bank.assert_books_agree()


def test_a_subsidiser_owes_its_part_of_an_instalment_and_pays_it(bank: Bank) -> None:
    """贴息: an instalment of 888.49, of which 8.33 is a subsidy."""
    partner = register(bank, "SUBSIDISER")
    bank.fails("subsidy-card", "CARD_CLOSED")
    loan_id = bank.lend(card="subsidy-card").loan_id
    bank.end_days(date(2026, 2, 15))
    subsidy = repayment_pb2.Subsidy(partner_id=partner, amount=money(833))
    bank.repay(loan_id, 88_849, subsidy=subsidy)
    assert on_balance(bank, loan_id, "REPAYMENT_RECEIVED") == [
        ("1132.02", "Cr", 10_000),
        ("1221.02", "Dr", 833),
        ("1303.01", "Cr", 78_849),
        ("2011.01", "Dr", 88_016),
    ]
    bank.assert_books_agree()
    assert reason(record, bank, partner, "SUBSIDY_RECEIVED", 834) == "PARTNER_BALANCE"
    assert record(bank, partner, "SUBSIDY_RECEIVED", 833).subsidy.minor_units == 0
    bank.assert_books_agree()
    too_much = repayment_pb2.Subsidy(partner_id=partner, amount=money(101))
    with pytest.raises(grpc.RpcError) as refused:
        bank.repay(loan_id, 100, subsidy=too_much)
    assert "subsidy.amount.minor_units" in violations(refused.value)


def test_an_agency_s_commission_is_owed_and_paid_once(bank: Bank) -> None:
    agency = register(bank, "COLLECTION_AGENCY")
    request = pb.RecordPartnerMoneyRequest(
        request_id=rid(),
        partner_id=agency,
        money=pb.PARTNER_MONEY_COMMISSION_DUE,
        amount=money(25_000),
        reference="25 % of 1,000.00",
    )
    for _ in range(2):
        assert desk(bank).RecordPartnerMoney(request).partner.commission.minor_units == 25_000
    assert bank.balance("6421") == 25_000
    assert reason(record, bank, agency, "COMMISSION_DUE", 25_000, vat=money(1_415)) == "VAT_MODE"
    assert record(bank, agency, "COMMISSION_PAID", 25_000).commission.minor_units == 0
    assert bank.balance("2241.06", f"PARTNER:{agency}") == 0
    bank.assert_books_agree()


@pytest.mark.parametrize("view", ["AGENCY_ASSET", "MEMO"])
def test_entrusted_funds_are_lent_on_come_back_and_are_returned(bank: Bank, view: str) -> None:
    """委托贷款 of 10,000, with 100 of interest for the entrusting party and a fee of 30 for us."""
    party = register(bank, "ENTRUSTER")
    record(bank, party, "ENTRUSTED_FUNDS_RECEIVED", 600_000)
    record(bank, party, "ENTRUSTED_FUNDS_RECEIVED", 400_000, deposit=True)
    assert reason(lend_on, bank, party, 1_000_001) == "PARTNER_BALANCE"
    loan = lend_on(bank, party, 1_000_000, view=view)
    assert bank.balance("7501", f"LOAN:{loan.loan_id}") == 1_000_000
    on_balance = 1_000_000 if view == "AGENCY_ASSET" else 0
    assert bank.balance("1321", f"LOAN:{loan.loan_id}") == on_balance
    assert bank.balance("2314", f"ENTRUSTER:{party}") == on_balance
    assert reason(record, bank, party, "ENTRUSTED_FUNDS_RETURNED", 1) == "PARTNER_BALANCE"
    bank.assert_books_agree()
    request = entrusted_loan_pb2.RepayEntrustedLoanRequest(
        request_id=rid(),
        loan_id=loan.loan_id,
        principal=money(1_000_000),
        interest=money(10_000),
        reference="repaid",
    )
    for _ in range(2):
        assert lending(bank).RepayEntrustedLoan(request).loan.outstanding.minor_units == 0
    fee = entrusted_loan_pb2.ChargeEntrustedLoanFeeRequest(
        request_id=rid(), loan_id=loan.loan_id, amount=money(3_000), reference="agreed"
    )
    assert lending(bank).ChargeEntrustedLoanFee(fee).loan.fees.minor_units == 3_000
    assert bank.balance("6021.01") == 3_000
    record(bank, party, "ENTRUSTED_FUNDS_RETURNED", 600_000)
    after = record(bank, party, "ENTRUSTED_FUNDS_RETURNED", 407_000, deposit=True)
    assert (after.entrusted.minor_units, after.entrusted_lent.minor_units) == (0, 0)
    bank.assert_books_agree()
    request.request_id = rid()
    assert reason(lending(bank).RepayEntrustedLoan, request) == "ENTRUSTED_EXCEEDED"


def lend_on(
    bank: Bank, party: str, minor_units: int, view: str = "MEMO"
) -> entrusted_loan_pb2.EntrustedLoan:
    request = entrusted_loan_pb2.DisburseEntrustedLoanRequest(
        request_id=rid(),
        partner_id=party,
        customer_id="cu-entrusted",
        principal=money(minor_units),
        annual_rate=decimal("0.05"),
        maturity_date=from_date(date(2027, 1, 15)),
        view=entrusted_loan_pb2.EntrustedView.Value(f"ENTRUSTED_VIEW_{view}"),
        reference="contract",
    )
    return lending(bank).DisburseEntrustedLoan(request).loan
