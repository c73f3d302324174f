"""The API page and the OpenAPI document that it shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import escape

import httpx
import pytest
from gateway.rest import bridge
from openapi_spec_validator import validate

from support import House


@pytest.fixture(scope="module")
def client(open_house: Callable[..., House]) -> Iterator[httpx.Client]:
    """Of a bridge without services: what it says of itself needs none of them."""
    with bridge(open_house()) as client:
        yield client


def test_the_document_is_valid_openapi(client: httpx.Client) -> None:
    validate(client.get("/openapi.json").json())


def test_the_page_lists_every_operation_and_every_message(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            assert f'id="{operation["operationId"]}"' in page.text
            assert f"{verb.upper()}</b><code>{escape(path)}</code>" in page.text
            assert escape(operation["description"]).partition("`")[0] in page.text
    for name in document["components"]["schemas"]:
        assert f'<details class="item" id="{name}">' in page.text


def test_every_link_of_the_page_leads_somewhere_on_it(client: httpx.Client) -> None:
    page = client.get("/docs").text
    links = set(re.findall(r'href="([^"]*)"', page)) - {"openapi.json"}
    assert links <= {f"#{name}" for name in re.findall(r'id="([^"]*)"', page)}


def test_the_page_fetches_nothing_from_anywhere(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert not re.search(r"\bsrc=|[\"']https?:|<link|@import|url\(|fetch\(", page.text)
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
