"""Why the simulators refuse."""

from __future__ import annotations

from tael_runtime.errors import ReasonEnum


class Reason(ReasonEnum):
    """The simulators' reasons."""

    ID_REUSED = "The payment, message or call id was used before for something else."
    SCRIPTED = "The simulator was told by ScriptBehaviour to fail this call."
