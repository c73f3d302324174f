"""Routes, requests and the OpenAPI document, from the contracts alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from tael.servicing.v1 import repayment_pb2
from tael_client.values import money
from tael_gateway import contracts
from tael_gateway.http_rules import Binding, Routes, bindings
from tael_gateway.openapi import document
from tael_gateway.transcode import json_of, request_of
from tael_runtime.errors import InvalidArgument

INT64 = st.integers(-(2**63), 2**63 - 1)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@cache
def served() -> list[Binding]:
    return [b for t in contracts.TARGETS for s in contracts.services(t) for b in bindings(s)]


@cache
def openapi() -> dict[str, Any]:
    return document(served(), contracts.image())


def repay(variables: dict[str, str], body: str) -> Any:
    binding, _ = Routes(served()).find("POST", "/v1/loans/L1:repay")
    return request_of(binding, variables, [], body.encode())


@given(WORDS.filter(bool))
def test_any_text_survives_as_a_path_variable(text: str) -> None:
    routes = Routes(served())
    binding, variables = routes.find("GET", f"/v1/loans/{quote(text, safe='')}/schedule")
    assert binding.method.name == "GetSchedule"
    assert variables == {"loan_id": text}


@given(WORDS, INT64, WORDS, st.sampled_from(repayment_pb2.RepaymentKind.values()))
def test_a_message_written_as_json_is_read_as_the_same_message(
    request_id: str, amount: int, reference: str, kind: Any
) -> None:
    message = repayment_pb2.RepayRequest(
        request_id=request_id, loan_id="L1", amount=money(amount), kind=kind, reference=reference
    )
    for written in (json_of(message), json_format.MessageToJson(message)):
        assert repay({"loan_id": "L1"}, written) == message


def test_a_body_may_not_contradict_the_path() -> None:
    with pytest.raises(InvalidArgument, match=r"loan_id: differs from the path's"):
        repay({"loan_id": "L1"}, '{"loanId": "L2"}')


def test_a_custom_verb_is_no_part_of_the_id_before_it() -> None:
    routes = Routes(served())
    assert routes.find("POST", "/v1/loans:quote")[0].method.name == "QuoteSchedule"
    binding, variables = routes.find("GET", "/v1/contracts/C1:download")
    assert (binding.method.name, variables) == ("DownloadContract", {"contract_id": "C1"})


def test_two_rpcs_on_one_route_are_a_fault_found_at_the_start() -> None:
    line = next(b for b in served() if b.method.name == "GetCreditLine")
    twin = replace(line, template="/v1/loans/{line_id}")
    with pytest.raises(ValueError, match="both"):
        Routes([*served(), twin])


def test_every_annotated_rpc_is_in_the_document_once() -> None:
    operations = [op for verbs in openapi()["paths"].values() for op in verbs.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids)) == len(served())
    assert "tael.servicing.v1.RepaymentService.Repay" in ids


def test_every_variable_of_a_path_is_a_parameter_of_it() -> None:
    for path, verbs in openapi()["paths"].items():
        for operation in verbs.values():
            named = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
            assert named == re.findall(r"\{([^}]+)\}", path)
            assert operation["responses"]["200"]["content"]


def test_every_reference_of_the_document_is_resolved() -> None:
    schemas = openapi()["components"]["schemas"]
    found = set(_references(openapi()))
    assert found
    assert found <= {f"#/components/schemas/{name}" for name in schemas}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_the_contracts_rules_and_comments_are_in_the_schemas() -> None:
    operation = openapi()["paths"]["/v1/books"]["post"]
    assert operation["description"].startswith("Opens a book")
    schema = openapi()["components"]["schemas"]["tael.ledger.v1.CreateBookRequest"]
    assert "businessDate" in schema["required"]
    assert "requestId" not in schema["required"], "the header Idempotency-Key may hold it"
    assert "Idempotency-Key" in [parameter["name"] for parameter in operation["parameters"]]
    assert schema["properties"]["currencyCode"]["pattern"] == "^[A-Z]{3}$"
    assert schema["properties"]["legalEntity"]["maxLength"] == 120
    assert schema["properties"]["legalEntity"]["description"] == "The legal entity's name."
    money_schema = openapi()["components"]["schemas"]["tael.type.v1.Money"]
    assert money_schema["properties"]["minorUnits"]["type"] == "string"


def test_without_an_image_the_document_only_lacks_its_words() -> None:
    bare = document(served(), b"")
    assert bare["paths"].keys() == openapi()["paths"].keys()
    assert "description" not in bare["paths"]["/v1/books"]["post"]
