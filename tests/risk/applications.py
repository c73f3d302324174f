"""Decisions asked for over gRPC, of applicants whom the simulators know and the tests bend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from support import House, day, rid, wait_until
from tael.origination.v1 import application_pb2, customer_pb2
from tael.origination.v1 import event_pb2 as origination
from tael.provider.v1 import simulator_pb2, simulator_pb2_grpc
from tael.risk.v1 import (
    bureau_pb2,
    bureau_pb2_grpc,
    decision_pb2,
    decision_pb2_grpc,
    feature_pb2,
    feature_pb2_grpc,
    policy_pb2,
    policy_pb2_grpc,
)
from tael.servicing.v1 import credit_line_pb2, loan_pb2
from tael.servicing.v1 import event_pb2 as servicing
from tael_client.values import money
from tael_risk.events import apply_origination, apply_servicing
from tael_runtime import outbox

TODAY = "2026-03-15"
BUREAU = "tael.provider.v1.BureauProviderService/QueryReport"
MULTI_LENDER = "tael.provider.v1.ExternalDataProviderService/QueryMultiLender"
COURT_LIST = "tael.provider.v1.ExternalDataProviderService/QueryCourtList"

_numbers = count(1)


@dataclass(frozen=True)
class Applicant:
    """Somebody of whom nothing is known yet; in good order with the simulators."""

    number: int = field(default_factory=lambda: next(_numbers))
    name: str = "欧阳甲子"

    @property
    def customer_id(self) -> str:
        return f"cu_{self.number}"

    @property
    def id_number(self) -> str:
        """18 characters; digits 15 and 16 say: in good order."""
        first = f"11010119900307{self.number % 80:02d}{self.number // 80 % 10}"
        weighted = sum(2 ** (17 - place) * int(digit) for place, digit in enumerate(first))
        return first + "10X98765432"[weighted % 11]

    @property
    def message(self) -> decision_pb2.Applicant:
        return decision_pb2.Applicant(name=self.name, id_number=self.id_number)


class Desk:
    """What the tests ask of risk and tell it."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.decisions = house.client("risk", decision_pb2_grpc.DecisionServiceStub)
        self.features = house.client("risk", feature_pb2_grpc.FeatureServiceStub)
        self.policies = house.client("risk", policy_pb2_grpc.PolicyServiceStub)
        self.bureau = house.client("risk", bureau_pb2_grpc.BureauServiceStub)
        self.simulator = house.client("simulators", simulator_pb2_grpc.SimulatorServiceStub)
        self._positions = count(1_000_000)
        # The consumers make their cursors when they begin.
        wait_until(lambda: len(house.sql("SELECT source FROM consumer_cursor", "risk")) == 2)

    def publish(self, document: str = "") -> policy_pb2.Policy:
        request = policy_pb2.PublishPolicyRequest(
            request_id=rid(), name="default", document=document
        )
        return self.policies.PublishPolicy(request).policy

    def observe(
        self, customer_id: str, kind: str, on: str = TODAY, **facts: str
    ) -> feature_pb2.RecordObservationsResponse:
        return self.features.RecordObservations(
            feature_pb2.RecordObservationsRequest(
                request_id=rid(),
                observations=[
                    feature_pb2.Observation(
                        observation_id=rid(),
                        customer_id=customer_id,
                        kind=kind,
                        date=day(on),
                        facts=facts,
                    )
                ],
            )
        )

    def introduce(self, who: Applicant, **bent: Mapping[str, str]) -> None:
        """What origination tells of an applicant in good order; `bent` replaces facts of a kind."""
        usual = {
            "PERSON": {"birth_date": "1990-03-07", "province": "11"},
            "INCOME": {"monthly_income_minor_units": "1200000"},
            "IDENTITY_CHECK": {
                "real_name": "MATCH",
                "face_score": "95",
                "face_live": "true",
                "four_elements": "MATCH",
            },
            "DEVICE": {"device_id": f"device-{who.number}", "emulator": "false", "province": "11"},
            "CONTACT": {"contact_hash": f"contact-{who.number}"},
            "APPLICATION": {"purpose": "CONSUMPTION"},
        }
        for kind, facts in usual.items():
            self.observe(who.customer_id, kind, **{**facts, **bent.get(kind, {})})

    def consent(
        self, who: Applicant, *, withdrawn: bool = False, valid_to: str = "2027-03-15"
    ) -> str:
        """Tells risk of a bureau consent as origination's event does."""
        consent = customer_pb2.Consent(
            consent_id=f"cs_{who.number}",
            customer_id=who.customer_id,
            type=customer_pb2.CONSENT_TYPE_BUREAU_QUERY,
            valid_to=day(valid_to),
        )
        if withdrawn:
            consent.withdrawn_at.GetCurrentTime()
        event = origination.Event(
            consent_changed=origination.ConsentChanged(consent=consent), event_id=rid()
        )
        self._apply("origination", event, apply_origination)
        return consent.consent_id

    def loan_changed(self, who: Applicant, overdue: int, dpd: int) -> None:
        """Tells risk of a loan as servicing's event does."""
        loan = servicing.LoanStanding(
            loan_id=f"ln_{who.number}",
            customer_id=who.customer_id,
            state=loan_pb2.LOAN_STATE_OVERDUE if dpd else loan_pb2.LOAN_STATE_NORMAL,
            dpd=dpd,
            amount_past_due=overdue,
        )
        event = servicing.Event(
            loans_overdue=servicing.LoansOverdue(loans=[loan]),
            event_id=rid(),
            business_date=day(TODAY),
        )
        self._apply("servicing", event, apply_servicing)

    def line_changed(self, who: Applicant, state: credit_line_pb2.LineState.ValueType) -> None:
        """Tells risk of a line of 33,700.00, half of it free, as servicing's event does."""
        line = credit_line_pb2.CreditLine(
            line_id=f"cl_{who.number}",
            customer_id=who.customer_id,
            limit=money(3_370_000),
            used=money(1_685_000),
            available=money(1_685_000),
            state=state,
        )
        event = servicing.Event(
            line_changed=servicing.LineChanged(line=line), event_id=rid(), business_date=day(TODAY)
        )
        self._apply("servicing", event, apply_servicing)

    def application_changed(
        self,
        who: Applicant,
        name: str,
        state: application_pb2.ApplicationState.ValueType,
        submitted_on: str = TODAY,
        decided_on: str = "",
        *,
        not_granted: bool = False,
    ) -> None:
        """Tells risk of an application as origination's event does."""
        application = application_pb2.Application(
            application_id=name,
            customer_id=who.customer_id,
            state=state,
            submitted_on=day(submitted_on),
            decided_on=day(decided_on) if decided_on else None,
            not_granted=not_granted,
        )
        event = origination.Event(
            application_changed=origination.ApplicationChanged(application=application),
            event_id=rid(),
        )
        self._apply("origination", event, apply_origination)

    def _apply(self, source: str, event: Any, handle: Any) -> None:
        """As the consumer does; its cursor is made by the loop at start."""
        event.position = next(self._positions)
        outbox.apply(self.house.running["risk"].runtime.database, source, event, handle)

    def script(self, method: str, who: Applicant, **figures: int) -> None:
        """The next call about an applicant answers with these figures."""
        self.behave(method, who, simulator_pb2.Behaviour(figures=figures))

    def behave(
        self, method: str, who: Applicant, behaviour: simulator_pb2.Behaviour, times: int = 1
    ) -> None:
        self.simulator.ScriptBehaviour(
            simulator_pb2.ScriptBehaviourRequest(
                method=method, key=who.id_number, behaviours=[behaviour] * times
            )
        )

    def unused(self, who: Applicant) -> int:
        """How many behaviours scripted about an applicant no call has used up."""
        query = "SELECT count(*) FROM script WHERE key = :key"
        waiting: int = self.house.sql(query, "simulators", key=who.id_number)[0][0]
        return waiting

    def good(self, **bent: Mapping[str, str]) -> Applicant:
        """A new applicant of whom everything is known."""
        who = Applicant()
        self.introduce(who, **bent)
        self.consent(who)
        return who

    def request(self, who: Applicant, **changed: Any) -> decision_pb2.DecideRequest:
        request = decision_pb2.DecideRequest(
            request_id=rid(),
            stage=decision_pb2.STAGE_APPLICATION,
            customer_id=who.customer_id,
            subject_id=f"ap_{who.number}",
            applicant=who.message,
            loan=decision_pb2.LoanRequest(
                product_code="consumer",
                amount=money(1_000_000),
                periods=12,
                product_min=100_000,
                product_max=20_000_000,
                cost_cap={"value": "0.24"},
            ),
            consent_id=f"cs_{who.number}",
            business_date=day(TODAY),
        )
        request.MergeFrom(decision_pb2.DecideRequest(**changed))
        return request

    def decide(self, who: Applicant, **changed: Any) -> decision_pb2.Decision:
        return self.decisions.Decide(self.request(who, **changed)).decision

    def explain(self, decision: decision_pb2.Decision) -> decision_pb2.ExplainDecisionResponse:
        return self.decisions.ExplainDecision(
            decision_pb2.ExplainDecisionRequest(decision_id=decision.decision_id)
        )

    def replay(self, decision: decision_pb2.Decision) -> decision_pb2.ReplayDecisionResponse:
        return self.decisions.ReplayDecision(
            decision_pb2.ReplayDecisionRequest(decision_id=decision.decision_id)
        )

    def feature(self, who: Applicant, name: str, as_of: str) -> feature_pb2.FeatureValue:
        """One feature of an applicant at a date."""
        request = feature_pb2.GetFeaturesRequest(
            customer_id=who.customer_id, as_of=day(as_of), names=[name]
        )
        return self.features.GetFeatures(request).features[0]

    def query_bureau(self, who: Applicant, **changed: Any) -> bureau_pb2.QueryBureauResponse:
        request = bureau_pb2.QueryBureauRequest(
            request_id=rid(),
            customer_id=who.customer_id,
            person=who.message,
            consent_id=f"cs_{who.number}",
            reason_code="02",
            business_date=day(TODAY),
        )
        request.MergeFrom(bureau_pb2.QueryBureauRequest(**changed))
        return self.bureau.QueryBureau(request)


def steps_of(decision: decision_pb2.Decision) -> dict[str, tuple[str, list[str]]]:
    """Result and reason codes by step."""
    return {
        step.step: (
            decision_pb2.StepResult.Name(step.result).removeprefix("STEP_RESULT_"),
            list(step.reason_codes),
        )
        for step in decision.steps
    }


def outcome_of(decision: decision_pb2.Decision) -> str:
    """ "APPROVED"."""
    return decision_pb2.Outcome.Name(decision.outcome).removeprefix("OUTCOME_")
