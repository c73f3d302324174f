"""Maker and checker: what moves money by hand needs a second person."""

from __future__ import annotations

from tael_runtime.errors import PermissionDenied, Reason
from tael_runtime.idempotency import UNNAMED, current_caller


def check_named(caller: str) -> None:
    """Raises PermissionDenied CALLER_UNNAMED from nobody in particular."""
    if caller in ("", UNNAMED):
        raise PermissionDenied(Reason.CALLER_UNNAMED, "people propose and decide by name")


def named_caller() -> str:
    """Who calls, by name. Raises as `check_named` does."""
    caller = current_caller()
    check_named(caller)
    return caller


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are one person's, whatever their casing."""
    return one.strip().casefold() == other.strip().casefold()


def check_second_person(maker: str, checker: str) -> None:
    """Raises PermissionDenied MAKER_IS_CHECKER from the first person, CALLER_UNNAMED from nobody in
    particular.
    """
    check_named(checker)
    if is_same_person(maker, checker):
        raise PermissionDenied(
            Reason.MAKER_IS_CHECKER, f"{checker} proposed it; a second person decides"
        )
