"""What day it is for caps and consents."""

from __future__ import annotations

from datetime import date

from tael_runtime.clock import SHANGHAI, Clock


def shanghai_day(clock: Clock) -> date:
    """The calendar day by the service's clock: what daily caps and consents count by."""
    return clock.now().astimezone(SHANGHAI).date()
