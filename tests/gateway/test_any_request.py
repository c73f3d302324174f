"""Whatever a client sends, the bridge and the services behind it answer; none of it is a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
import schemathesis
from gateway.rest import book, bridge
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis.specs.openapi.checks import content_type_conformance

from support import House

EXAMPLES = 6
"""Of each operation; derandomised, so that a failure reproduces."""


@pytest.fixture(scope="module")
def client(open_house: Callable[..., House]) -> Iterator[httpx.Client]:
    house = open_house("simulators", "ledger", "servicing", "risk", "origination", "collections")
    with bridge(house) as client:
        assert client.post("/v1/books", json=book("main")).status_code == 200
        yield client


def test_the_openapi_document_is_valid(client: httpx.Client) -> None:
    validate(client.get("/openapi.json").json())


@pytest.mark.timeout(240)
def test_no_generated_request_is_answered_with_a_fault_or_an_unannounced_media_type(
    client: httpx.Client,
) -> None:
    schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
    faults: list[str] = []
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            nonlocal tried
            tried += 1
            answer = case.call(base_url=str(client.base_url))
            if answer.status_code >= 500:
                faults.append(f"{case.as_curl_command()}: {answer.status_code} {answer.text[:300]}")
            case.validate_response(answer, checks=[content_type_conformance])

        ask()
    assert faults == []
    assert tried > 5 * EXAMPLES
