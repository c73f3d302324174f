"""The end of a day: the steps in their order, and what runs them."""

from __future__ import annotations

from tael_runtime.errors import FailedPrecondition
from tael_servicing.end_of_day.accrue import Accrue
from tael_servicing.end_of_day.allocate_debits import AllocateDebits
from tael_servicing.end_of_day.amortise import Amortise
from tael_servicing.end_of_day.catch_up import CatchUp
from tael_servicing.end_of_day.checks import Checks
from tael_servicing.end_of_day.classify import Classify
from tael_servicing.end_of_day.close import Close
from tael_servicing.end_of_day.commitments import Commitments
from tael_servicing.end_of_day.cut_off import CutOff
from tael_servicing.end_of_day.expire_lines import ExpireLines
from tael_servicing.end_of_day.finish import Finish
from tael_servicing.end_of_day.impaired_interest import ImpairedInterest
from tael_servicing.end_of_day.month_end import MonthEnd
from tael_servicing.end_of_day.open_day import OpenDay
from tael_servicing.end_of_day.overdue import Overdue
from tael_servicing.end_of_day.recheck import Recheck
from tael_servicing.end_of_day.report import Report
from tael_servicing.end_of_day.reprice import Reprice
from tael_servicing.end_of_day.snapshot import Snapshot
from tael_servicing.end_of_day.step import Step
from tael_servicing.end_of_day.tell import Tell
from tael_servicing.reasons import Reason

STEPS: tuple[Step, ...] = (
    CutOff(),
    AllocateDebits(),
    CatchUp(),
    Overdue(),
    Accrue(),
    Classify(),
    ImpairedInterest(),
    MonthEnd(),
    Commitments(),
    Amortise(),
    Checks(),
    Snapshot(),
    Recheck(),
    Close(),
    OpenDay(),
    Tell(),
    Reprice(),
    ExpireLines(),
    Finish(),
    Report(),
)
"""Everything a day end does, in order; a new step is a file and a line here."""
_BY_NAME = {step.name: step for step in STEPS}


def named(name: str) -> Step:
    """The step of a run, which has those it was begun with.

    Raises FailedPrecondition STEP_UNKNOWN of one that another version began it with.
    """
    found = _BY_NAME.get(name)
    if found is None:
        raise FailedPrecondition(
            Reason.STEP_UNKNOWN, f"the run was begun with step {name!r}, unknown here", name
        )
    return found
