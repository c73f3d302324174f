"""FeatureService: the contract's face of observations and features."""

from __future__ import annotations

import grpc
from sqlalchemy import Connection

from tael.risk.v1 import feature_pb2, feature_pb2_grpc
from tael_client.values import from_instant
from tael_risk.features import FeatureDefinition, Registry, format_value
from tael_risk.observation_store import NewObservation, load, record
from tael_risk.observations import FeatureValue, Perspective, compute_features, fact_faults
from tael_risk.personal_data import personal_fault
from tael_runtime import idempotency
from tael_runtime.errors import InvalidFields
from tael_runtime.fields import read_date
from tael_runtime.server import Runtime

LONGEST_FACT = 200


class Features(feature_pb2_grpc.FeatureServiceServicer):
    """Records observations and makes features of them."""

    def __init__(self, runtime: Runtime, registry: Registry) -> None:
        self._database = runtime.database
        self._registry = registry

    def RecordObservations(
        self, request: feature_pb2.RecordObservationsRequest, context: grpc.ServicerContext
    ) -> feature_pb2.RecordObservationsResponse:
        """Stores observations together, each once."""
        del context
        fresh = [self._read(index, each) for index, each in enumerate(request.observations)]

        def work(transaction: Connection) -> feature_pb2.RecordObservationsResponse:
            recorded = record(transaction, fresh)
            return feature_pb2.RecordObservationsResponse(recorded=len(recorded))

        return idempotency.once(
            self._database,
            "RecordObservations",
            request,
            feature_pb2.RecordObservationsResponse,
            work,
        )

    def GetFeatures(
        self, request: feature_pb2.GetFeaturesRequest, context: grpc.ServicerContext
    ) -> feature_pb2.GetFeaturesResponse:
        """A customer's features at a date, by name."""
        del context
        as_of = read_date("as_of", request.as_of)
        unknown = [
            (f"names[{index}]", f"{name} is not a feature of the registry")
            for index, name in enumerate(request.names)
            if name not in self._registry
        ]
        if unknown:
            raise InvalidFields(unknown)
        with self._database.read() as snapshot:
            known = load(snapshot, self._registry, request.customer_id, as_of)
        perspective = Perspective(request.customer_id, as_of)
        features = compute_features(self._registry, known, perspective)
        return feature_pb2.GetFeaturesResponse(
            features=[
                _value_message(name, features[name])
                for name in sorted(set(request.names) or features)
            ]
        )

    def ListFeatureDefinitions(
        self, request: feature_pb2.ListFeatureDefinitionsRequest, context: grpc.ServicerContext
    ) -> feature_pb2.ListFeatureDefinitionsResponse:
        """The registry, by name."""
        del request, context
        return feature_pb2.ListFeatureDefinitionsResponse(
            definitions=[
                _definition_message(self._registry[name]) for name in sorted(self._registry)
            ]
        )

    def _read(self, index: int, observation: feature_pb2.Observation) -> NewObservation:
        facts = dict(observation.facts)
        texts = {fact: _text_fault(fact, text) for fact, text in facts.items()}
        faults = {
            **fact_faults(self._registry, observation.kind, facts),
            **{fact: fault for fact, fault in texts.items() if fault is not None},
        }
        if faults:
            raise InvalidFields(
                [
                    (f"observations[{index}].facts[{fact}]", fault)
                    for fact, fault in sorted(faults.items())
                ]
            )
        return NewObservation(
            observation_id=observation.observation_id,
            customer_id=observation.customer_id,
            kind=observation.kind,
            date=read_date(f"observations[{index}].date", observation.date),
            facts=facts,
        )


def _text_fault(fact: str, text: str) -> str | None:
    if len(text) > LONGEST_FACT:
        return f"is {len(text)} characters; at most {LONGEST_FACT}"
    return personal_fault(fact, text)


def _value_message(name: str, feature: FeatureValue) -> feature_pb2.FeatureValue:
    message = feature_pb2.FeatureValue(
        name=name,
        value=format_value(feature.value) or "",
        version=feature.version,
        default_used=feature.default_used,
    )
    if feature.source_time is not None:
        message.source_time.CopyFrom(from_instant(feature.source_time))
    return message


def _definition_message(definition: FeatureDefinition) -> feature_pb2.FeatureDefinition:
    return feature_pb2.FeatureDefinition(
        name=definition.name,
        type=definition.type,
        source=definition.source,
        version=definition.version,
        description=definition.description,
        default_value=format_value(definition.default) or "",
    )
