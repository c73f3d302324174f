"""Four eyes: what is judged by hand is checked by somebody else."""

from __future__ import annotations

from tael_runtime import idempotency
from tael_runtime.errors import FailedPrecondition
from tael_servicing.reasons import Reason


def check_checker(what: str, subject: str, checker: str) -> None:
    """Raises FailedPrecondition APPROVAL_REQUIRED unless another than the caller checked it."""
    if not checker:
        raise FailedPrecondition(
            Reason.APPROVAL_REQUIRED, f"{what} needs a checker: name who checked it", subject
        )
    if checker == idempotency.current_caller():
        raise FailedPrecondition(
            Reason.APPROVAL_REQUIRED, f"{checker} made {what} and cannot check it", subject
        )
