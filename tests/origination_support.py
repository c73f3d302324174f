"""Applicants who go through the app as people do, for the tests of origination."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from sqlalchemy import create_engine, text

from support import House, day, rid
from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael.origination.v1 import (
    application_pb2,
    application_pb2_grpc,
    contract_pb2,
    contract_pb2_grpc,
    customer_pb2,
    customer_pb2_grpc,
)
from tael.provider.v1 import simulator_pb2, simulator_pb2_grpc
from tael.risk.v1 import policy_pb2, policy_pb2_grpc
from tael.servicing.v1 import product_pb2, product_pb2_grpc
from tael_cli.setup import PRODUCT, product_terms
from tael_client.values import money
from tael_runtime.embedded_postgres import EmbeddedPostgres

TODAY = "2026-01-15"
FACE = b"\x89PNG a face" * 20_000
BUREAU_QUERY = customer_pb2.CONSENT_TYPE_BUREAU_QUERY
EXTERNAL_DATA = customer_pb2.CONSENT_TYPE_EXTERNAL_DATA
FACE_CONSENT = customer_pb2.CONSENT_TYPE_FACE
PROVIDER = "tael.provider.v1"
LONGER_THAN_RISK_WAITS = 3.5
"""Seconds after which risk has given up on an event once."""

_serial = count(1)


@dataclass(frozen=True)
class Identity:
    """Personal data of somebody who does not exist."""

    name: str
    id_number: str
    mobile: str
    card: str


def somebody(variation: str = "10", born: str = "19900307") -> Identity:
    """A new person; `variation` is digits 15 and 16, which tell the simulators what to answer."""
    serial = next(_serial)
    body = f"1101{serial % 100:02d}{born}{variation}{serial // 100 % 10}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(weight * int(digit) for weight, digit in zip(weights, body, strict=True))
    return Identity(
        name=f"欧阳测试{serial}",
        id_number=body + "10X98765432"[total % 11],
        mobile=f"139{serial:08d}",
        card=with_luhn(f"622202{serial:09d}"),
    )


def with_luhn(body: str) -> str:
    """The number with its check digit."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 - place % 2)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


class Applicant:
    """One person at the app."""

    def __init__(self, house: House, identity: Identity | None = None, caller: str = "app") -> None:
        self.house = house
        self.identity = identity or somebody()
        self.customers = house.client("origination", customer_pb2_grpc.CustomerServiceStub, caller)
        self.verification = house.client(
            "origination", customer_pb2_grpc.VerificationServiceStub, caller
        )
        self.consents = house.client("origination", customer_pb2_grpc.ConsentServiceStub, caller)
        self.applications = house.client(
            "origination", application_pb2_grpc.ApplicationServiceStub, caller
        )
        self.contracts = house.client("origination", contract_pb2_grpc.ContractServiceStub, caller)
        self.drawdowns = house.client("origination", contract_pb2_grpc.DrawdownServiceStub, caller)
        self.simulator = house.client("simulators", simulator_pb2_grpc.SimulatorServiceStub)
        self.customer_id = ""
        self.card_token = ""

    def register(self, **changes: object) -> customer_pb2.Customer:
        """Registers; keeps the id."""
        fields: dict[str, object] = {
            "request_id": rid(),
            "name": self.identity.name,
            "id_number": self.identity.id_number,
            "mobile": self.identity.mobile,
            "monthly_income": 1_200_000,
            "channel": "test",
            **changes,
        }
        request = customer_pb2.RegisterPersonRequest()
        for name, value in fields.items():
            setattr(request, name, value)
        customer = self.customers.RegisterPerson(request).customer
        self.customer_id = customer.customer_id
        return customer

    def texts(self) -> list[str]:
        """What the phone received."""
        request = simulator_pb2.ReadTextsRequest(mobile=self.identity.mobile)
        return list(self.simulator.ReadTexts(request).texts)

    def send_code(self) -> str:
        """Has a code sent and reads it from the phone."""
        self.verification.SendPhoneCode(
            customer_pb2.SendPhoneCodeRequest(request_id=rid(), customer_id=self.customer_id)
        )
        return self.last_code()

    def last_code(self) -> str:
        """The code in the newest text."""
        found = re.search(r"\d{6}", self.texts()[-1])
        assert found
        return found[0]

    def verify_phone(self, code: str = "") -> customer_pb2.VerificationStatus:
        """Proves the phone."""
        return self.verification.VerifyPhone(
            customer_pb2.VerifyPhoneRequest(
                request_id=rid(), customer_id=self.customer_id, code=code or self.send_code()
            )
        ).status

    def verify_name(self, request_id: str = "") -> customer_pb2.VerificationStatus:
        """Asks the population registry."""
        return self.verification.VerifyRealName(
            customer_pb2.VerifyRealNameRequest(
                request_id=request_id or rid(), customer_id=self.customer_id
            )
        ).status

    def verify_face(
        self, image: bytes = FACE, request_id: str = ""
    ) -> customer_pb2.VerificationStatus:
        """Shows the face."""
        return self.verification.VerifyFace(self.face(image, request_id)).status

    def face(
        self, image: bytes = FACE, request_id: str = ""
    ) -> Iterator[customer_pb2.VerifyFaceRequest]:
        """Header and chunks."""
        header = customer_pb2.VerifyFaceHeader(
            request_id=request_id or rid(), customer_id=self.customer_id
        )
        yield customer_pb2.VerifyFaceRequest(header=header)
        for begin in range(0, len(image), 65536):
            yield customer_pb2.VerifyFaceRequest(chunk=image[begin : begin + 65536])

    def bind_card(self, card: str = "", request_id: str = "") -> customer_pb2.BoundCard:
        """Binds the card; keeps the token."""
        bound = self.verification.BindCard(
            customer_pb2.BindCardRequest(
                request_id=request_id or rid(),
                customer_id=self.customer_id,
                card_number=card or self.identity.card,
                mobile=self.identity.mobile,
            )
        ).card
        self.card_token = bound.card_token
        return bound

    def consent(
        self, kind: customer_pb2.ConsentType.ValueType, valid_to: str = "2027-12-31"
    ) -> customer_pb2.Consent:
        """Gives a consent."""
        return self.consents.GrantConsent(
            customer_pb2.GrantConsentRequest(
                request_id=rid(),
                customer_id=self.customer_id,
                type=kind,
                text="我同意。I agree.",
                text_version="2026-01",
                method="sms",
                valid_to=day(valid_to),
            )
        ).consent

    def verified(self, **changes: object) -> Applicant:
        """Registered, every check passed, the consents of an application given."""
        self.register(**changes)
        self.verify_phone()
        for kind in (FACE_CONSENT, BUREAU_QUERY, EXTERNAL_DATA):
            self.consent(kind)
        self.verify_name()
        self.verify_face()
        self.bind_card()
        return self

    def application(
        self, amount: int = 1_000_000, device: str = "", request_id: str = ""
    ) -> application_pb2.SubmitApplicationRequest:
        """A request for credit."""
        return application_pb2.SubmitApplicationRequest(
            request_id=request_id or rid(),
            customer_id=self.customer_id,
            product_code=PRODUCT,
            amount=money(amount),
            periods=12,
            purpose="CONSUMPTION",
            device=application_pb2.DeviceInfo(
                device_id=device or f"device-{self.identity.mobile}", ip="10.1.2.3", province="11"
            ),
        )

    def apply(self, amount: int = 1_000_000, device: str = "") -> application_pb2.Application:
        """Asks for credit."""
        request = self.application(amount, device)
        return self.applications.SubmitApplication(request).application

    def contract(self, application_id: str) -> contract_pb2.Contract:
        """Has the contract set."""
        return self.contracts.PrepareContract(
            contract_pb2.PrepareContractRequest(request_id=rid(), application_id=application_id)
        ).contract

    def sign(self, contract_id: str, code: str = "", seconds: int = 8) -> contract_pb2.Contract:
        """Signs the contract."""
        return self.contracts.SignContract(
            contract_pb2.SignContractRequest(
                request_id=rid(),
                contract_id=contract_id,
                code=code or self.send_code(),
                cost_table_seconds=seconds,
            )
        ).contract

    def draw(
        self, contract_id: str, amount: int = 1_000_000, periods: int = 12
    ) -> contract_pb2.Drawdown:
        """Asks for money."""
        return self.drawdowns.RequestDrawdown(
            contract_pb2.RequestDrawdownRequest(
                request_id=rid(),
                contract_id=contract_id,
                amount=money(amount),
                periods=periods,
                repay_day=15,
                card_token=self.card_token,
            )
        ).drawdown

    def sign_drawdown(self, drawdown_id: str, request_id: str = "") -> contract_pb2.Drawdown:
        """Signs the drawdown."""
        return self.drawdowns.SignDrawdown(
            contract_pb2.SignDrawdownRequest(
                request_id=request_id or rid(), drawdown_id=drawdown_id, code=self.send_code()
            )
        ).drawdown

    def script(self, method: str, key: str, *behaviours: simulator_pb2.Behaviour) -> None:
        """How the outside world behaves in its next calls."""
        self.simulator.ScriptBehaviour(
            simulator_pb2.ScriptBehaviourRequest(
                method=f"{PROVIDER}.{method}", key=key, behaviours=behaviours
            )
        )


def open_lender(house: House) -> None:
    """Book, product and policy: what a lender has before the first application."""
    house.set_clock(f"{TODAY}T10:00")
    house.client("ledger", ledger_pb2_grpc.LedgerServiceStub).CreateBook(
        ledger_pb2.CreateBookRequest(
            request_id="book",
            book_id="main",
            legal_entity="泰尔测试银行",
            currency_code="CNY",
            time_zone="Asia/Shanghai",
            lender_type=ledger_pb2.LENDER_TYPE_BANK,
            vat_mode=ledger_pb2.VAT_MODE_NONE,
            business_date=day(TODAY),
        )
    )
    house.client("servicing", product_pb2_grpc.ProductServiceStub).PublishProduct(
        product_pb2.PublishProductRequest(
            request_id="product", code=PRODUCT, name="现金贷", terms=product_terms(), book_id="main"
        )
    )
    house.client("risk", policy_pb2_grpc.PolicyServiceStub).PublishPolicy(
        policy_pb2.PublishPolicyRequest(request_id="policy", name="default")
    )


@contextmanager
def unpublished(house: House) -> Iterator[None]:
    """Origination's events reach nobody while this holds the publisher's lock."""
    cluster = EmbeddedPostgres(house.settings.data_dir)
    engine = create_engine(cluster.url(house.settings.database_name, "tael"))
    take = text("SELECT pg_advisory_lock(hashtext('tael:origination:publisher'))")
    with engine.connect() as session:
        session.execute(take)
        yield
    engine.dispose()
