"""What is set on paper, and the lender's signature under it."""

from __future__ import annotations

import stat
from datetime import date
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tael_origination.contract_pdf import (
    Borrower,
    CreditTerms,
    DrawdownTerms,
    credit_contract,
    drawdown_agreement,
)
from tael_origination.digital_signature import LenderSigner

BORROWER = Borrower("欧阳 <&> 娜娜", "11010519491231002X")
TERMS = CreditTerms(
    contract_id="ct_1",
    limit=3_000_000,
    currency="CNY",
    rate=Decimal("0.12"),
    apr=Decimal("0.1200"),
    periods=12,
    purpose="CONSUMPTION",
    valid_to=date(2027, 1, 15),
)
ROWS = [
    {"name": "Interest", "basis": "12 % a year", "charged_by": "lender", "contingent": False}
    | {"amount": 66_186},
    {"name": "Penalty", "basis": "150 %", "charged_by": "lender", "contingent": True}
    | {"amount": 0},
]


def test_the_same_terms_make_the_same_bytes() -> None:
    assert credit_contract(TERMS, BORROWER, ROWS) == credit_contract(TERMS, BORROWER, ROWS)


@given(st.text(max_size=60).filter(lambda text: text.isprintable()))
def test_no_text_from_outside_breaks_a_document(text: str) -> None:
    rows = [{**ROWS[0], "name": text, "basis": text}]
    assert credit_contract(TERMS, BORROWER, rows).startswith(b"%PDF-")


def test_a_schedule_of_thirty_years_runs_over_its_pages() -> None:
    schedule = [
        {"number": n, "due_date": "2026-02-15", "principal": 100, "interest": 1}
        for n in range(1, 361)
    ]
    terms = DrawdownTerms(
        drawdown_id="dd_1",
        contract_id="ct_1",
        amount=36_000,
        currency="CNY",
        rate=Decimal("0.12"),
        apr=Decimal("0.12"),
        masked_card="622202******0128",
    )
    assert drawdown_agreement(terms, BORROWER, schedule).count(b"/Type /Page\n") > 5


def test_a_signature_is_appended_and_proves_every_byte(tmp_path: Path) -> None:
    signer = LenderSigner(tmp_path)
    pdf = credit_contract(TERMS, BORROWER, ROWS)
    signed = signer.sign(pdf, "customer assented")
    assert signed.startswith(pdf)
    verdict = signer.verify(signed)
    assert verdict.intact
    assert "Tael Bank" in verdict.signer
    for place in (len(pdf) // 2, len(pdf) + 200, len(signed) - 10):
        tampered = bytearray(signed)
        tampered[place] ^= 1
        assert not signer.verify(bytes(tampered)).intact
    assert not signer.verify(signed + b"\n% more").intact
    assert not signer.verify(pdf).intact
    assert not signer.verify(b"no pdf").intact


def test_another_lenders_signature_is_not_ours(tmp_path: Path) -> None:
    ours, theirs = LenderSigner(tmp_path / "ours"), LenderSigner(tmp_path / "theirs")
    assert not ours.verify(theirs.sign(credit_contract(TERMS, BORROWER, ROWS), "")).intact


def test_the_signing_key_is_made_once_and_nobody_else_reads_it(tmp_path: Path) -> None:
    signed = LenderSigner(tmp_path).sign(credit_contract(TERMS, BORROWER, ROWS), "")
    assert LenderSigner(tmp_path).verify(signed).intact
    (key,) = tmp_path.iterdir()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
