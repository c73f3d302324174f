"""Customers of the demo and what each does at the lender's app: register, verify, apply, sign, draw."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import count

from tael.origination.v1 import (
    application_pb2,
    application_pb2_grpc,
    contract_pb2,
    contract_pb2_grpc,
    customer_pb2,
    customer_pb2_grpc,
)
from tael.provider.v1 import simulator_pb2, simulator_pb2_grpc
from tael_cli.demo.show import Stage
from tael_cli.services import Services
from tael_cli.setup import PRODUCT
from tael_client.values import from_date, money, yuan

FACE = b"\x89PNG\r\n\x1a\n" + b"a face" * 2000
CONSENTS = (
    customer_pb2.CONSENT_TYPE_PRIVACY,
    customer_pb2.CONSENT_TYPE_FACE,
    customer_pb2.CONSENT_TYPE_BUREAU_QUERY,
    customer_pb2.CONSENT_TYPE_EXTERNAL_DATA,
    customer_pb2.CONSENT_TYPE_DIRECT_DEBIT,
)
ORDINARY_BUREAU = {
    "accounts": 4,
    "monthly_due": 300_000,
    "queries_3m": 2,
    "card_utilisation_percent": 40,
    "oldest_account_months": 36,
}


@dataclass
class Person:
    """Somebody who borrows, and what the services have given them so far."""

    name: str
    id_number: str
    mobile: str
    card: str
    income: int = 1_200_000
    """A month, minor units."""
    bureau: dict[str, int] = field(default_factory=lambda: dict(ORDINARY_BUREAU))
    """What the credit bureau knows; amounts in minor units."""
    lenders: dict[str, int] = field(default_factory=lambda: {"queries_30d": 2, "queries_90d": 2})
    """How often other lenders asked."""
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    """For request ids: what is asked anew has a new one."""
    customer_id: str = ""
    card_token: str = ""
    application: application_pb2.Application = field(default_factory=application_pb2.Application)
    contract: contract_pb2.Contract = field(default_factory=contract_pb2.Contract)


class App:
    """The lender's mobile app, as one person uses it."""

    def __init__(self, services: Services, stage: Stage, person: Person, today: date) -> None:
        self._services = services
        self._stage = stage
        self._person = person
        self._today = today
        self._customers = services.stub("origination", customer_pb2_grpc.CustomerServiceStub, "app")
        self._verify = services.stub(
            "origination", customer_pb2_grpc.VerificationServiceStub, "app"
        )
        self._consents = services.stub("origination", customer_pb2_grpc.ConsentServiceStub, "app")
        self._contracts = services.stub("origination", contract_pb2_grpc.ContractServiceStub, "app")
        self._drawdowns = services.stub("origination", contract_pb2_grpc.DrawdownServiceStub, "app")
        self._phone = services.stub("simulators", simulator_pb2_grpc.SimulatorServiceStub)

    def _rid(self) -> str:
        return f"demo:{self._person.mobile}:{next(self._person.numbers)}"

    def register(self) -> None:
        """Registers, proves the phone, the name and the face, consents, and binds a card."""
        person = self._person
        customer = self._customers.RegisterPerson(
            customer_pb2.RegisterPersonRequest(
                request_id=self._rid(),
                name=person.name,
                id_number=person.id_number,
                mobile=person.mobile,
                monthly_income=person.income,
                channel="demo",
            )
        ).customer
        person.customer_id = customer.customer_id
        self._stage.name(person.customer_id, person.name)
        self._stage.call(
            "app",
            "origination.RegisterPerson",
            f"{customer.masked_name} {customer.masked_id_number} {customer.masked_mobile}",
        )
        self._verify.VerifyPhone(
            customer_pb2.VerifyPhoneRequest(
                request_id=self._rid(), customer_id=person.customer_id, code=self._code()
            )
        )
        for kind in CONSENTS:
            self._consent(kind)
        self._verify.VerifyRealName(
            customer_pb2.VerifyRealNameRequest(
                request_id=self._rid(), customer_id=person.customer_id
            )
        )
        status = self._verify.VerifyFace(self._face()).status
        card = self._verify.BindCard(
            customer_pb2.BindCardRequest(
                request_id=self._rid(),
                customer_id=person.customer_id,
                card_number=person.card,
                mobile=person.mobile,
            )
        ).card
        person.card_token = card.card_token
        self._stage.call(
            "app",
            "origination.VerifyPhone, VerifyRealName, VerifyFace, BindCard, GrantConsent ×5",
            f"face {status.face_score}, card {card.masked_number}",
        )

    def _code(self) -> str:
        """Asks for a code by text message and reads it from the phone."""
        person = self._person
        self._verify.SendPhoneCode(
            customer_pb2.SendPhoneCodeRequest(
                request_id=self._rid(), customer_id=person.customer_id
            )
        )
        texts = self._phone.ReadTexts(simulator_pb2.ReadTextsRequest(mobile=person.mobile)).texts
        return next(word for word in _digits(texts[-1]) if len(word) == 6)

    def _consent(self, kind: customer_pb2.ConsentType.ValueType) -> None:
        name = customer_pb2.ConsentType.Name(kind).removeprefix("CONSENT_TYPE_")
        self._consents.GrantConsent(
            customer_pb2.GrantConsentRequest(
                request_id=self._rid(),
                customer_id=self._person.customer_id,
                type=kind,
                text=f"授权书 {name}: I agree that Tael Demo Bank may use my data for this purpose.",
                text_version="2026.1",
                method="sms",
                valid_to=from_date(self._today.replace(year=self._today.year + 2)),
            )
        )

    def _face(self) -> Iterator[customer_pb2.VerifyFaceRequest]:
        yield customer_pb2.VerifyFaceRequest(
            header=customer_pb2.VerifyFaceHeader(
                request_id=self._rid(), customer_id=self._person.customer_id
            )
        )
        for start in range(0, len(FACE), 4096):
            yield customer_pb2.VerifyFaceRequest(chunk=FACE[start : start + 4096])

    def apply(self, amount: int) -> application_pb2.Application:
        """Submits an application for a credit line."""
        person = self._person
        stub = self._services.stub(
            "origination", application_pb2_grpc.ApplicationServiceStub, "app"
        )
        person.application = stub.SubmitApplication(
            application_pb2.SubmitApplicationRequest(
                request_id=self._rid(),
                customer_id=person.customer_id,
                product_code=PRODUCT,
                amount=money(amount),
                periods=12,
                purpose="CONSUMPTION",
                device=application_pb2.DeviceInfo(
                    device_id=f"phone-{person.mobile}",
                    ip="203.0.113.7",
                    province=person.id_number[:2],
                ),
            )
        ).application
        state = application_pb2.ApplicationState.Name(person.application.state)
        self._stage.call(
            "app",
            f"origination.SubmitApplication {yuan(amount)}",
            state.removeprefix("APPLICATION_STATE_"),
        )
        return person.application

    def sign_contract(self) -> contract_pb2.Contract:
        """Has the contract prepared, reads the cost table, signs by a code from the phone."""
        person = self._person
        contract = self._contracts.PrepareContract(
            contract_pb2.PrepareContractRequest(
                request_id=self._rid(), application_id=person.application.application_id
            )
        ).contract
        self._stage.call("app", "origination.PrepareContract")
        self._stage.cost_table(contract)
        person.contract = self._contracts.SignContract(
            contract_pb2.SignContractRequest(
                request_id=self._rid(),
                contract_id=contract.contract_id,
                code=self._code(),
                cost_table_seconds=8,
            )
        ).contract
        check = self._contracts.VerifyContract(
            contract_pb2.VerifyContractRequest(contract_id=contract.contract_id)
        )
        self._stage.call(
            "app",
            "origination.SignContract",
            f"SHA-256 {person.contract.document_hash[:16]}…, archived; "
            f"digital signature {'intact' if check.signature_intact else 'BROKEN'}",
        )
        return person.contract

    def draw(self, amount: int) -> contract_pb2.Drawdown:
        """Requests a drawdown, signs it, and waits until the payout is known."""
        person = self._person
        drawdown = self._drawdowns.RequestDrawdown(
            contract_pb2.RequestDrawdownRequest(
                request_id=self._rid(),
                contract_id=person.contract.contract_id,
                amount=money(amount),
                periods=12,
                card_token=person.card_token,
            )
        ).drawdown
        self._stage.call(
            "app",
            f"origination.RequestDrawdown {yuan(amount)}",
            _state(drawdown) + f", first instalment {yuan(drawdown.first_instalment)}",
        )
        drawdown = self._drawdowns.SignDrawdown(
            contract_pb2.SignDrawdownRequest(
                request_id=self._rid(), drawdown_id=drawdown.drawdown_id, code=self._code()
            )
        ).drawdown
        self._stage.call("app", "origination.SignDrawdown", _state(drawdown))
        end = time.monotonic() + 20
        while drawdown.state == contract_pb2.DRAWDOWN_STATE_PAYING and time.monotonic() < end:
            time.sleep(0.1)
            drawdown = self._drawdowns.GetDrawdown(
                contract_pb2.GetDrawdownRequest(drawdown_id=drawdown.drawdown_id)
            ).drawdown
            if drawdown.state != contract_pb2.DRAWDOWN_STATE_PAYING:
                self._stage.call("app", "origination.GetDrawdown", _state(drawdown))
        return drawdown


def _state(drawdown: contract_pb2.Drawdown) -> str:
    return contract_pb2.DrawdownState.Name(drawdown.state).removeprefix("DRAWDOWN_STATE_")


def _digits(text: str) -> list[str]:
    return "".join(c if c.isdigit() else " " for c in text).split()
