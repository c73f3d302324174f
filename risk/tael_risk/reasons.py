"""Reason codes: what every decision's code means inside, and the class a customer is told."""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

from tael_risk.documents import DocumentInvalid, Fault, Node, parse_json


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
