"""PolicyService: the contract's face of policies."""

from __future__ import annotations

import grpc

from tael.risk.v1 import policy_pb2, policy_pb2_grpc
from tael_client.values import from_instant
from tael_risk import policy_store
from tael_risk.features import Registry
from tael_risk.policies import shipped_policy
from tael_risk.policy_documents import policy_faults
from tael_risk.policy_store import Published
from tael_runtime import idempotency
from tael_runtime.server import Runtime


class Policies(policy_pb2_grpc.PolicyServiceServicer):
    """Checks, publishes and shows policies."""

    def __init__(self, runtime: Runtime, registry: Registry) -> None:
        self._runtime = runtime
        self._database = runtime.database
        self._registry = registry

    def ValidatePolicy(
        self, request: policy_pb2.ValidatePolicyRequest, context: grpc.ServicerContext
    ) -> policy_pb2.ValidatePolicyResponse:
        """Every fault of a document."""
        del context
        faults = policy_faults(request.document, self._registry)
        return policy_pb2.ValidatePolicyResponse(
            faults=[policy_pb2.PolicyFault(path=f.path, message=f.message) for f in faults]
        )

    def PublishPolicy(
        self, request: policy_pb2.PublishPolicyRequest, context: grpc.ServicerContext
    ) -> policy_pb2.PublishPolicyResponse:
        """The next version; the newest one where it already says the same."""
        del context
        return idempotency.once(
            self._database,
            "PublishPolicy",
            request,
            policy_pb2.PublishPolicyResponse,
            lambda transaction: policy_pb2.PublishPolicyResponse(
                policy=_message(
                    policy_store.publish(
                        transaction,
                        self._registry,
                        request.name,
                        request.document or shipped_policy(),
                        by=idempotency.current_caller(),
                        at=self._runtime.clock.now(),
                    )
                )
            ),
        )

    def GetPolicy(
        self, request: policy_pb2.GetPolicyRequest, context: grpc.ServicerContext
    ) -> policy_pb2.GetPolicyResponse:
        """One version, or the newest."""
        del context
        with self._database.engine.connect() as connection:
            found = policy_store.version_of(connection, request.name, request.version)
        return policy_pb2.GetPolicyResponse(policy=_message(found))

    def ListPolicies(
        self, request: policy_pb2.ListPoliciesRequest, context: grpc.ServicerContext
    ) -> policy_pb2.ListPoliciesResponse:
        """Every version, newest first, without the documents."""
        del context
        with self._database.engine.connect() as connection:
            found = policy_store.versions(connection, request.name)
        policies = [_message(each) for each in found]
        for policy in policies:
            policy.ClearField("document")
        return policy_pb2.ListPoliciesResponse(policies=policies)


def _message(published: Published) -> policy_pb2.Policy:
    return policy_pb2.Policy(
        name=published.name,
        version=published.version,
        document=published.document,
        hash=published.hash,
        publisher=published.publisher,
        published_at=from_instant(published.published_at),
    )
