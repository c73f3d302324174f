"""Maker and checker: what moves money by hand needs a second person."""

from __future__ import annotations

from tael_runtime.errors import PermissionDenied, Reason
from tael_runtime.idempotency import UNNAMED


def check_second_person(maker: str, checker: str) -> None:
    """Raises PermissionDenied MAKER_IS_CHECKER from the first person, whatever the casing of the
    name, and CALLER_UNNAMED from nobody in particular.
    """
    if checker in ("", UNNAMED):
        raise PermissionDenied(Reason.CALLER_UNNAMED, "a second person decides, by name")
    if checker.strip().casefold() == maker.strip().casefold():
        raise PermissionDenied(
            Reason.MAKER_IS_CHECKER, f"{checker} proposed it; a second person decides"
        )
