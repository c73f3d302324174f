"""What may not lie in clear among facts: numbers by which a person is found."""

import re

MOBILE = re.compile(r"(\+?86)?1[3-9][0-9]{9}")
IDENTITY = re.compile(r"[1-8][0-9]{5}(19|20)[0-9]{9}[0-9Xx]")
CARD = re.compile(r"[0-9]{16,19}")
CHECK_DIGITS = "10X98765432"
AMOUNT = "_minor_units"
"""The end of the names of amounts, whose digits may look like a mobile's."""


def personal_fault(fact: str, text: str) -> str | None:
    """Why a fact's text may not be recorded; None where it may."""
    if fact.endswith(AMOUNT):
        return None
    found = _kind(text.replace(" ", "").replace("-", ""))
    return f"looks like {found}; record a keyed hash instead" if found else None


def _kind(text: str) -> str | None:
    if IDENTITY.fullmatch(text) and _check_digit(text[:17]) == text[17].upper():
        return "an identity number"
    if MOBILE.fullmatch(text):
        return "a mobile number"
    if CARD.fullmatch(text) and _luhn_holds(text):
        return "a card number"
    return None


def _check_digit(first_17: str) -> str:
    """GB 11643's eighteenth character: weights are powers of two, modulo 11."""
    total = sum(2 ** (17 - place) * int(digit) for place, digit in enumerate(first_17))
    return CHECK_DIGITS[total % 11]


def _luhn_holds(digits: str) -> bool:
    """ISO/IEC 7812's check digit."""
    doubled = [int(d) * (1 + place % 2) for place, d in enumerate(reversed(digits))]
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0
