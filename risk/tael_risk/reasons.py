"""Reason codes of decisions, the classes a customer is told, and why risk refuses a call."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

from tael_risk.documents import DocumentInvalid, Fault, Node, parse_json
from tael_runtime.errors import ReasonEnum


class Reason(ReasonEnum):
    """Why risk refuses a call."""

    POLICY_MISSING = "No policy of this name is published; publish one first."
    POLICY_INVALID = "The policy document has faults; the violations name each by its path."
    CONSENT_MISSING = (
        "No live consent of this customer allows the query; nothing was asked outside."
    )
    CONSENT_UNHEARD = (
        "Origination's events have not told of this consent yet; nothing was done, repeat later."
    )
    SOURCE_SILENT = "An outside source that must answer did not; nothing was decided, repeat later."
    DECISION_UNDER_WAY = "The same request is still being decided; repeat the call."


class CustomerReason(StrEnum):
    """What a customer may be told of a decline; never the rule's detail."""

    ELIGIBILITY = "ELIGIBILITY"
    IDENTITY = "IDENTITY"
    CONSENT = "CONSENT"
    SECURITY = "SECURITY"
    OWN_RECORD = "OWN_RECORD"
    OUTSIDE_RECORD = "OUTSIDE_RECORD"
    CREDIT_BUREAU = "CREDIT_BUREAU"
    OVERALL_ASSESSMENT = "OVERALL_ASSESSMENT"
    AFFORDABILITY = "AFFORDABILITY"
    CREDIT_LINE = "CREDIT_LINE"


@cache
def reason_codes() -> Mapping[str, str]:
    """Every known code with its meaning: "F001" → "device used by several identities"."""
    text = (files("tael_risk") / "data" / "reason_codes.json").read_text("utf-8")
    faults: list[Fault] = []
    codes = Node({"codes": parse_json(text, faults)}, "", faults).entries("codes")
    if faults:
        raise DocumentInvalid(faults)
    return {code: str(meaning) for code, meaning in codes.items()}
