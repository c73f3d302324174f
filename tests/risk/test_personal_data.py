"""Facts may carry no number by which a person is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from risk.applications import Applicant

from tael_risk.personal_data import personal_fault


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("11010519491231002X", "an identity number"),
        ("11010519491231002x", "an identity number"),
        ("13800138000", "a mobile number"),
        ("+86 138-0013-8000", "a mobile number"),
        ("6222021234567890128", "a card number"),
        ("4111 1111 1111 1111", "a card number"),
    ],
)
def test_a_number_of_a_person_is_told_for_what_it_is(text: str, found: str) -> None:
    assert personal_fault("remark", text) == f"looks like {found}; record a keyed hash instead"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MATCH",
        "1990-03-07",
        "95",
        "110105194912310021",  # the check digit is wrong
        "4111111111111112",
        "device-13800138000",
        "192.168.0.1",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ],
)
def test_other_texts_may_be_recorded(text: str) -> None:
    assert personal_fault("remark", text) is None


@given(st.integers(0, 10**15))
def test_an_amount_is_never_taken_for_a_number_of_a_person(amount: int) -> None:
    assert personal_fault("monthly_income_minor_units", str(amount)) is None


def test_every_identity_number_of_the_tests_is_found() -> None:
    for _ in range(200):
        assert personal_fault("note", Applicant().id_number) is not None
