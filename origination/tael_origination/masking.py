"""Personal data as a screen may show it (JR/T 0171-2020, classes C2 and C3)."""

from __future__ import annotations


def mask_name(name: str) -> str:
    """张三 → 张*, 欧阳锋 → 欧**; a name of one character is hidden whole."""
    return "*" if len(name) == 1 else name[0] + "*" * (len(name) - 1)


def mask_identity_number(number: str) -> str:
    """First and last character kept: 1****************X."""
    return number[0] + "*" * (len(number) - 2) + number[-1]


def mask_mobile(mobile: str) -> str:
    """138****5678."""
    return mobile[:3] + "****" + mobile[-4:]


def mask_card(number: str) -> str:
    """First 6, six stars whatever the length, last 4."""
    return number[:6] + "******" + number[-4:]
