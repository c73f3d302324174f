"""Ids made by the application: UUIDv7, ordered by time, so that indexes grow at one end."""

from __future__ import annotations

import secrets
import time
from uuid import UUID


def uuid7() -> UUID:
    """RFC 9562 version 7: 48 bits of milliseconds, 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80
    value |= 0x7000 << 64
    value |= secrets.randbits(12) << 64
    value |= 0b10 << 62
    value |= secrets.randbits(62)
    return UUID(int=value)


def new_id(prefix: str) -> str:
    """ "ln_0198c…": a prefix for people, 32 hex digits."""
    return f"{prefix}_{uuid7().hex}"
