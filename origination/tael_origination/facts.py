"""What risk is told of a customer: facts without names, numbers or phones (keyed hashes only)."""

from __future__ import annotations

from sqlalchemy import Connection

from tael.servicing.v1 import credit_line_pb2
from tael_origination import checks
from tael_origination.applications import Application
from tael_origination.checks import Kind
from tael_origination.customers import MOBILE, Person
from tael_origination.drawdowns import Drawdown
from tael_runtime.crypto import Cipher

Facts = dict[str, dict[str, str]]
"""Facts by kind of observation."""


def of_application(
    transaction: Connection, cipher: Cipher, application: Application, person: Person
) -> Facts:
    """Everything known with an application."""
    return {
        "APPLICATION": {
            "application_id": application.application_id,
            "purpose": application.purpose,
            "amount_minor_units": str(application.amount),
            "periods": str(application.periods),
        },
        "PERSON": _told(birth_date=person.birth_date.isoformat(), province=person.province),
        "INCOME": {"monthly_income_minor_units": str(person.monthly_income)},
        "DEVICE": device(application),
        # A card never is another's: its four elements agreed. A phone may be shared.
        "CONTACT": {"contact_hash": cipher.blind_index(MOBILE, person.mobile).hex()},
        **identity(transaction, person.customer_id),
    }


def of_drawdown(
    transaction: Connection, drawdown: Drawdown, line: credit_line_pb2.CreditLine
) -> Facts:
    """What is new with a drawdown, and its line as it is at this moment."""
    return {
        "DRAWDOWN": {
            "drawdown_id": drawdown.drawdown_id,
            "amount_minor_units": str(drawdown.amount),
        },
        "CREDIT_LINE": {
            "line_id": line.line_id,
            "limit_minor_units": str(line.limit.minor_units),
            "available_minor_units": str(line.available.minor_units),
            "state": credit_line_pb2.LineState.Name(line.state).removeprefix("LINE_STATE_"),
        },
        **identity(transaction, drawdown.customer_id),
    }


def device(application: Application) -> dict[str, str]:
    """Where it was made from."""
    return _told(
        device_id=application.device_id,
        emulator="true" if application.emulator else "false",
        ip=application.ip,
        province=application.province,
    )


def _told(**facts: str) -> dict[str, str]:
    """What nobody said is no fact."""
    return {fact: text for fact, text in facts.items() if text}


def identity(transaction: Connection, customer_id: str) -> Facts:
    """The newest verdicts of the registries; none where nothing was asked."""
    verdicts = checks.last_verdicts(transaction, customer_id)
    known: dict[str, str] = {}
    if name := verdicts.get(Kind.REAL_NAME):
        known["real_name"] = name.result
    if card := verdicts.get(Kind.FOUR_ELEMENTS):
        known["four_elements"] = card.result
    if face := verdicts.get(Kind.FACE):
        known["face_score"] = str(face.score)
        known["face_live"] = "true" if face.live else "false"
    return {"IDENTITY_CHECK": known} if known else {}
