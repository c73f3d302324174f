"""Identity numbers, card numbers and masking: vectors and properties."""

from __future__ import annotations

from contextlib import suppress
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tael_origination.identifiers import (
    PROVINCES,
    check_digit,
    passes_luhn,
    read_identity_number,
)
from tael_origination.masking import mask_card, mask_identity_number, mask_mobile, mask_name

TODAY = date(2026, 1, 15)

digits = st.text(alphabet="0123456789", min_size=1, max_size=1)


@st.composite
def identity_numbers(draw: st.DrawFn) -> tuple[str, date]:
    """A number that is right, and its birth date."""
    province = draw(st.sampled_from(sorted(PROVINCES)))
    born = draw(st.dates(date(1880, 1, 1), TODAY))
    rest = draw(st.integers(0, 9999)), draw(st.integers(0, 999))
    body = f"{province}{rest[0]:04d}{born:%Y%m%d}{rest[1]:03d}"
    return body + check_digit(body), born


@pytest.mark.parametrize(
    "number",
    ["11010519491231002X", "440524188001010014", "110101199003077897", "320501198512123333"],
)
def test_a_right_identity_number_is_read(number: str) -> None:
    assert read_identity_number(number, TODAY).text == number


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("110105194912310021", "check digit"),
        ("110105194902310026", "no date of birth"),
        ("110101209912310023", "future"),
        ("990105199003077896", "region"),
        ("11010519491231002", "17 digits"),
        ("1101051949123100２X", "17 digits"),
        ("110105491231002", "17 digits"),
    ],
)
def test_a_wrong_identity_number_is_refused_with_what_is_wrong(number: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_identity_number(number, TODAY)


def test_a_small_x_is_a_check_digit_too() -> None:
    assert read_identity_number("11010519491231002x", TODAY).text == "11010519491231002X"


def test_who_is_born_today_may_have_a_number_and_not_before() -> None:
    body = "11010120260115001"
    number = body + check_digit(body)
    assert read_identity_number(number, TODAY).birth_date == TODAY
    with pytest.raises(ValueError, match="future"):
        read_identity_number(number, date(2026, 1, 14))


@given(identity_numbers())
def test_a_well_made_number_tells_its_birth_date(made: tuple[str, date]) -> None:
    number, born = made
    assert read_identity_number(number, TODAY).birth_date == born


@given(identity_numbers(), st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_never_passes(made: tuple[str, date], place: int, shift: int) -> None:
    number, _ = made
    wrong = str((int(number[place]) + shift) % 10)
    with pytest.raises(ValueError, match=r".+"):
        read_identity_number(number[:place] + wrong + number[place + 1 :], TODAY)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert len(read_identity_number(text, TODAY).text) == 18


@pytest.mark.parametrize(
    "number", ["6222021234567890128", "6217001234567890122", "6288880000000005"]
)
def test_a_right_card_number_passes(number: str) -> None:
    assert passes_luhn(number)


@given(st.text(alphabet="0123456789", min_size=15, max_size=18), st.data())
def test_one_check_digit_in_ten_passes_and_one_wrong_digit_never(
    body: str, data: st.DataObject
) -> None:
    passing = [digit for digit in "0123456789" if passes_luhn(body + digit)]
    assert len(passing) == 1
    number = body + passing[0]
    place = data.draw(st.integers(0, len(number) - 1))
    other = data.draw(digits.filter(lambda digit: digit != number[place]))
    assert not passes_luhn(number[:place] + other + number[place + 1 :])


def test_what_a_screen_shows_of_personal_data() -> None:
    assert mask_name("张三") == "张*"
    assert mask_name("欧阳锋") == "欧**"
    assert mask_name("王") == "*"
    assert mask_identity_number("11010519491231002X") == "1****************X"
    assert mask_mobile("13812345678") == "138****5678"
    assert mask_card("6222021234567890128") == "622202******0128"
    assert mask_card("6288880000000005") == "628888******0005"
