"""The bridge as a process before a real ledger."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest
from gateway.rest import BUSINESS_DATE, book, bridge, reason, violated
from sqlalchemy import create_engine, text

from support import House, day, rid, wait_until
from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael_gateway.app import build
from tael_runtime.embedded_postgres import EmbeddedPostgres

ACCOUNT = "1303.01:LOAN:L1"


@pytest.fixture(scope="module")
def house(open_house: Callable[..., House]) -> House:
    """A ledger with one book and one disbursed loan in it."""
    house = open_house("ledger")
    ledger = house.client("ledger", ledger_pb2_grpc.LedgerServiceStub)
    ledger.CreateBook(
        ledger_pb2.CreateBookRequest(
            request_id=rid(),
            book_id="main",
            legal_entity="泰尔示范银行",
            currency_code="CNY",
            business_date=day("2026-01-15"),
        )
    )
    owners = [("LOAN", "L1"), ("CUSTOMER", "C1")]
    disbursed = ledger_pb2.BusinessEvent(
        event="LOAN_DISBURSED",
        value_date=day("2026-01-15"),
        owners=[ledger_pb2.Owner(owner_type=t, owner_id=i) for t, i in owners],
        amounts=[ledger_pb2.EventAmount(amount_type="principal", minor_units=1_000_000)],
    )
    ledger.RecordEvents(
        ledger_pb2.RecordEventsRequest(request_id=rid(), book_id="main", events=[disbursed])
    )
    return house


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[httpx.Client]:
    with bridge(house) as client:
        yield client


def test_a_post_makes_what_a_get_finds(client: httpx.Client) -> None:
    made = client.post("/v1/books", json=book("made-by-rest"))
    assert made.status_code == 200, made.text
    found = client.get("/v1/books/made-by-rest").json()
    assert found == made.json()
    assert found["book"]["businessDate"] == BUSINESS_DATE
    assert found["book"]["legalEntity"] == "泰尔示范银行"


def test_the_same_request_id_is_done_once_over_rest_too(client: httpx.Client) -> None:
    body = book("once")
    assert client.post("/v1/books", json=body).json() == client.post("/v1/books", json=body).json()
    other = client.post("/v1/books", json={**body, "bookId": "twice"})
    assert reason(other) == (409, "REQUEST_ID_REUSED")


def test_the_header_idempotency_key_is_the_request_id(client: httpx.Client) -> None:
    body, key = book("keyed"), {"idempotency-key": rid()}
    del body["requestId"]
    first = client.post("/v1/books", json=body, headers=key)
    again = client.post("/v1/books", json=body, headers=key)
    in_the_body = client.post("/v1/books", json=body | {"requestId": key["idempotency-key"]})
    assert first.status_code == again.status_code == in_the_body.status_code == 200
    assert first.json() == again.json() == in_the_body.json()
    other = client.post("/v1/books", json=body | {"legalEntity": "Another"}, headers=key)
    assert reason(other) == (409, "REQUEST_ID_REUSED")


def test_an_idempotency_key_that_contradicts_the_body_is_refused(client: httpx.Client) -> None:
    key = {"idempotency-key": rid()}
    both = client.post("/v1/books", json=book("twice"), headers=key)
    assert violated(both) == ["idempotency-key"]
    assert client.get("/v1/books/twice").status_code == 404


def test_query_parameters_take_both_spellings_lists_and_nested_fields(
    client: httpx.Client,
) -> None:
    for name in ("pageSize", "page_size"):
        assert len(client.get("/v1/books", params={name: 1}).json()["books"]) == 1
    entries = "/v1/books/main/entries"
    of_loan = {"owner.ownerType": "LOAN", "owner.ownerId": "L1", "event": "LOAN_DISBURSED"}
    assert len(client.get(entries, params=of_loan).json()["entries"]) == 1
    later = {"fromBookingDate.year": 2026, "fromBookingDate.month": 2, "fromBookingDate.day": 1}
    assert client.get(entries, params=later).json()["entries"] == []
    balances = client.get(
        "/v1/books/main/balances", params={"accountNumbers": [ACCOUNT, "1303.01:LOAN:L9"]}
    )
    assert [found["balance"] for found in balances.json()["balances"]] == ["1000000", "0"]


def test_reports_of_the_general_ledger_are_read_over_rest(client: httpx.Client) -> None:
    today = {"bookingDate.year": 2026, "bookingDate.month": 1, "bookingDate.day": 15}
    sheet = client.get("/v1/books/main/balanceSheet", params=today).json()
    assert sheet["bookingDate"] == BUSINESS_DATE
    assert sheet["assets"]["total"] == sheet["liabilitiesAndEquity"] == "1000000"
    summary = client.get("/v1/books/main/dailySummary", params=today).json()
    assert (summary["entries"], summary["closed"]) == ("1", False)
    assert [row["account"]["code"] for row in summary["rows"]] == ["1303.01", "2011.01"]
    from_to = {
        f"{end}BookingDate.{part}": value
        for end in ("from", "to")
        for part, value in BUSINESS_DATE.items()
    }
    ledger = client.get("/v1/books/main/generalLedger", params={**from_to, "glCode": "1303."})
    assert [row["closingBalance"] for row in ledger.json()["accounts"]] == ["1000000"]
    assert client.get("/v1/books/main/incomeStatement", params=from_to).json()["profit"] == "0"
    periods = client.get("/v1/books/main/periods").json()["periods"]
    assert [(one["state"], one["lastDay"]["day"]) for one in periods] == [("PERIOD_STATE_OPEN", 31)]
    backwards = {**from_to, "toBookingDate.day": 14}
    refused = client.get("/v1/books/main/incomeStatement", params=backwards)
    assert violated(refused) == ["to_booking_date"]


@pytest.mark.parametrize("written", [ACCOUNT, quote(ACCOUNT, safe="")])
def test_a_path_variable_may_hold_colons_plain_or_encoded(
    client: httpx.Client, written: str
) -> None:
    lines = client.get(f"/v1/books/main/accounts/{written}/lines")
    assert lines.status_code == 200, lines.text
    assert len(lines.json()["lines"]) == 1


def test_zeros_are_written_and_amounts_are_strings_of_minor_units(client: httpx.Client) -> None:
    account = client.get("/v1/books/main/accounts", params={"ownerId": "L1"}).json()["accounts"][0]
    assert (account["debitsPosted"], account["creditsPosted"]) == ("1000000", "0")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/books?pagesize=3", "pagesize"),
        ("/v1/books?pageSize=many", "pageSize"),
        ("/v1/books?pageSize=1&pageSize=2", "pageSize"),
        ("/v1/books/main/entries?owner=L1", "owner"),
        ("/v1/books/main/entries?owner.name=L1", "owner.name"),
        ("/v1/books/main?bookId=other", "bookId"),
        ("/v1/books/main/entries/first", "sequence"),
    ],
)
def test_a_wrong_parameter_is_named(client: httpx.Client, path: str, field: str) -> None:
    assert violated(client.get(path)) == [field]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"businessDate": {**BUSINESS_DATE, "hour": 3}}, "businessDate.hour"),
        ({"businessDate": {**BUSINESS_DATE, "day": "x"}}, "businessDate.day"),
        ({"lenderType": "LENDER_TYPE_PAWNSHOP"}, "lenderType"),
        ({"legalEntity": 5}, "legalEntity"),
        ({"currencyCode": "yuan"}, "currency_code"),
    ],
)
def test_a_wrong_field_of_the_body_is_named(
    client: httpx.Client, change: dict[str, object], field: str
) -> None:
    assert violated(client.post("/v1/books", json=book("refused", **change))) == [field]


@pytest.mark.parametrize("raw", ["", "[]", "{", '{"bookId": "a", "bookId": "b"}', "[" * 100_000])
def test_a_body_that_is_no_request_is_refused(client: httpx.Client, raw: str) -> None:
    headers = {"content-type": "application/json"}
    assert violated(client.post("/v1/books", content=raw, headers=headers))


def test_a_refusal_is_a_google_rpc_status_with_the_trace_to_look_for(client: httpx.Client) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    missing = client.get("/v1/books/nowhere", headers=headers)
    assert reason(missing) == (404, "RESOURCE_NOT_FOUND")
    assert missing.json()["code"] == 5
    details = {detail["@type"].rpartition(".")[2]: detail for detail in missing.json()["details"]}
    assert details["ErrorInfo"]["domain"] == "tael.ledger"
    assert details["ResourceInfo"]["resourceName"] == "nowhere"
    assert details["RequestInfo"]["requestId"] == trace
    own = client.get("/v1/nothing", headers=headers).json()["details"]
    assert {"tael.gateway", trace} <= {value for detail in own for value in detail.values()}


def test_paths_verbs_bodies_and_media_types_that_are_not_served(client: httpx.Client) -> None:
    assert reason(client.get("/v2/books")) == (404, "RESOURCE_NOT_FOUND")
    wrong_verb = client.delete("/v1/books")
    assert reason(wrong_verb) == (405, "METHOD_NOT_ALLOWED")
    assert wrong_verb.headers["allow"] == "GET, POST"
    text_body = client.post("/v1/books", content="bookId=x")
    assert reason(text_body) == (415, "NOT_JSON")
    assert violated(client.request("GET", "/v1/books/main", json={})) == ["body"]
    too_large = client.post("/v1/books", json=book("large", legalEntity="x" * 5_000_000))
    assert reason(too_large) == (413, "BODY_TOO_LARGE")


def test_a_caller_names_itself_while_nothing_is_authenticated(client: httpx.Client) -> None:
    body = book("of-ann")
    for caller, book_id in (("ann", "of-ann"), ("ben", "of-ben")):
        made = client.post(
            "/v1/books", json={**body, "bookId": book_id}, headers={"tael-caller": caller}
        )
        assert made.status_code == 200, made.text
    named = client.get("/v1/books", headers={"tael-caller": "李娜".encode()})
    assert violated(named) == ["tael-caller"]


def test_a_callers_deadline_goes_along(client: httpx.Client, house: House) -> None:
    cluster = EmbeddedPostgres(house.settings.data_dir)
    engine = create_engine(cluster.url(house.settings.database_name, "tael"))
    with engine.begin() as holding:
        holding.execute(text("LOCK TABLE ledger.book IN ACCESS EXCLUSIVE MODE"))
        late = client.get("/v1/books", headers={"x-timeout-seconds": "0.3"})
    engine.dispose()
    assert reason(late) == (504, "DEADLINE_TOO_SHORT")
    for wrong in ("soon", "0", "-1", "nan", "601"):
        refused = client.get("/v1/books", headers={"x-timeout-seconds": wrong})
        assert violated(refused) == ["x-timeout-seconds"]


def test_a_silent_service_is_unavailable_and_healthz_says_which(client: httpx.Client) -> None:
    silent = client.get("/v1/policies")
    assert reason(silent) == (503, "UPSTREAM_UNAVAILABLE")
    assert "127.0.0.1" not in silent.text
    health = client.get("/healthz")
    assert health.status_code == 503
    assert health.json()["status"] == "NOT_SERVING"
    assert health.json()["targets"]["ledger"] == "SERVING"
    assert health.json()["targets"]["risk"] == "UNAVAILABLE"


def test_a_fault_of_the_bridge_is_told_without_detail(house: House) -> None:
    app = build(house.settings)  # its lifespan has not begun, so that it has no channels
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
            return await client.get("/v1/books")

    told = asyncio.run(ask())
    assert reason(told) == (500, "INTERNAL")
    assert "lifespan" not in told.text


def test_a_proof_streams_as_lines_or_as_events(client: httpx.Client) -> None:
    with client.stream("GET", "/v1/books/main:prove") as lines:
        assert lines.headers["content-type"].startswith("application/x-ndjson")
        results = [line for line in lines.iter_lines() if line]
    assert results
    assert all(line.startswith('{"result": {') for line in results)
    accepting = {"accept": "text/event-stream"}
    with client.stream("GET", "/v1/books/main:prove", headers=accepting) as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        data = [line.removeprefix("data: ") for line in events.iter_lines() if line]
    assert [f'{{"result": {line}}}' for line in data] == results


def test_a_stream_refused_at_once_is_an_ordinary_refusal(client: httpx.Client) -> None:
    assert reason(client.get("/v1/books/nowhere:prove")) == (404, "RESOURCE_NOT_FOUND")


def test_a_stream_of_a_files_chunks_is_the_file(client: httpx.Client) -> None:
    exported = client.get(
        "/v1/books/main:exportJournal", params={"format": "EXPORT_FORMAT_BEANCOUNT"}
    )
    assert exported.headers["content-type"] == "application/octet-stream"
    assert "泰尔示范银行" in exported.text or "LOAN_DISBURSED" in exported.text


def test_sigterm_lets_the_requests_under_way_end(house: House) -> None:
    cluster = EmbeddedPostgres(house.settings.data_dir)
    engine = create_engine(cluster.url(house.settings.database_name, "tael"))
    own = House(house.data_dir, ledger=house.settings.ledger)
    with bridge(own) as client, ThreadPoolExecutor(1) as pool:
        process = own.processes["gateway"]
        with engine.begin() as connection:
            connection.execute(text("LOCK TABLE ledger.book IN ACCESS EXCLUSIVE MODE"))
            waiting = pool.submit(client.get, "/v1/books/main")
            blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            wait_until(lambda: connection.execute(blocked).scalar(), 10, "the request to wait")
            process.send_signal(signal.SIGTERM)
            # Refused, or dropped where it came as the listener closed.
            with pytest.raises(httpx.TransportError):
                wait_until(lambda: not httpx.get(f"{client.base_url}/healthz"), 10, "no listener")
        assert waiting.result(10).status_code == 200
        assert process.wait(10) == 0
    engine.dispose()
