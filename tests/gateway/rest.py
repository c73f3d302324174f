"""A bridge as a process of its own, and an HTTP client to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from support import House, rid

BUSINESS_DATE = {"year": 2026, "month": 1, "day": 15}


@contextmanager
def bridge(house: House, **options: Any) -> Iterator[httpx.Client]:
    """Starts the bridge before the house's services; a client with its base URL."""
    house.spawn("gateway")
    scheme = "https" if "verify" in options else "http"
    with httpx.Client(
        base_url=f"{scheme}://{house.settings.target('gateway')}",
        timeout=20,
        trust_env=False,
        **options,
    ) as client:
        yield client


def book(book_id: str, **changes: Any) -> dict[str, Any]:
    """The body of CreateBook."""
    return {
        "requestId": rid(),
        "bookId": book_id,
        "legalEntity": "泰尔示范银行",
        "currencyCode": "CNY",
        "businessDate": BUSINESS_DATE,
        **changes,
    }


def reason(response: httpx.Response) -> tuple[int, str]:
    """(HTTP code, reason) of a refusal."""
    told = response.json()
    assert set(told) == {"code", "message", "details"}
    infos = [d for d in told["details"] if d["@type"].endswith("google.rpc.ErrorInfo")]
    return response.status_code, infos[0]["reason"] if infos else ""


def violated(response: httpx.Response) -> list[str]:
    """The fields that a refusal names."""
    assert response.status_code == 400, response.text
    return [
        violation["field"]
        for detail in response.json()["details"]
        for violation in detail.get("fieldViolations", [])
    ]
