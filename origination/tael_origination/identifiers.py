"""Identity numbers and card numbers: what can be told wrong without asking anybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_DIGITS = "10X98765432"
PROVINCES = frozenset(
    str(code)
    for first, last in (
        (11, 15),
        (21, 23),
        (31, 37),
        (41, 46),
        (50, 54),
        (61, 65),
        (71, 71),
        (81, 82),
    )
    for code in range(first, last + 1)
)
"""First two digits of GB/T 2260."""


@dataclass(frozen=True)
class IdentityNumber:
    """A resident identity number that may exist (GB 11643-1999)."""

    text: str
    """18 characters, X in upper case."""
    birth_date: date


def read_identity_number(text: str, today: date) -> IdentityNumber:
    """Checks length, region, birth date and check digit, in this order.

    Raises ValueError saying what is wrong; 15-digit numbers are refused. `today` is the day after
    which nobody can have been born.
    """
    number = text.upper()
    if len(number) != 18 or not (number[:17].isascii() and number[:17].isdecimal()):
        raise ValueError("an identity number has 17 digits and a check digit")
    if number[:2] not in PROVINCES:
        raise ValueError(f"region {number[:2]} is none of GB/T 2260")
    try:
        birth_date = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError as error:
        raise ValueError(f"{number[6:14]} is no date of birth") from error
    if birth_date > today:
        raise ValueError("the date of birth lies in the future")
    if number[17] != check_digit(number[:17]):
        raise ValueError("the check digit is wrong")
    return IdentityNumber(number, birth_date)


def check_digit(first_17: str) -> str:
    """The 18th character: Σ weight × digit mod 11, looked up."""
    total = sum(weight * int(digit) for weight, digit in zip(WEIGHTS, first_17, strict=True))
    return CHECK_DIGITS[total % 11]


def passes_luhn(digits: str) -> bool:
    """ISO/IEC 7812-1: doubled from the right, every second digit, the sum ends in 0."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
