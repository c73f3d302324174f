"""The end of a day: the steps in their order, and what runs them."""

from __future__ import annotations

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
from tael_servicing.end_of_day.report import Report
from tael_servicing.end_of_day.reprice import Reprice
from tael_servicing.end_of_day.snapshot import Snapshot
from tael_servicing.end_of_day.step import Step
from tael_servicing.end_of_day.tell import Tell

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
    Close(),
    OpenDay(),
    Tell(),
    Reprice(),
    ExpireLines(),
    Finish(),
    Report(),
)
"""Everything a day end does, in order; a new step is a file and a line here."""
