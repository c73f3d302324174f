"""Both faces of a service: what handlers and callers see is the same, whatever serves them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from sqlalchemy import MetaData

from support import House, refusal, violations, wait_until
from tael.ledger.v1 import ledger_pb2, ledger_pb2_grpc
from tael_client import context as call_context
from tael_runtime.errors import FailedPrecondition, Reason
from tael_runtime.server import Assembly, RunningService, Runtime, Service
from tael_runtime.tables import with_floor

GET_BOOK = "/tael.ledger.v1.LedgerService/GetBook"


@dataclass
class Threaded(ledger_pb2_grpc.LedgerServiceServicer):
    """Handlers that hold their thread until `let_go`, or until nobody waits for them."""

    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    let_go: threading.Event = field(default_factory=threading.Event)
    outcomes: list[str] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)

    def GetBook(  # noqa: N802
        self, request: ledger_pb2.GetBookRequest, context: grpc.ServicerContext
    ) -> ledger_pb2.GetBookResponse:
        call = call_context.current()
        self.callers.append(call.caller if call else "")
        if request.book_id == "closed":
            raise FailedPrecondition(Reason.MAKER_IS_CHECKER, "not this one")
        gone = threading.Event()
        assert context.add_callback(gone.set)
        self.arrived.release()
        while not (gone.is_set() or self.let_go.wait(0.01)):
            pass
        self.outcomes.append("gone" if gone.is_set() else "answered")
        return ledger_pb2.GetBookResponse()

    def WatchEntries(  # noqa: N802
        self, request: ledger_pb2.WatchEntriesRequest, context: grpc.ServicerContext
    ) -> Iterator[ledger_pb2.WatchEntriesResponse]:
        del request
        try:
            while context.is_active():
                yield ledger_pb2.WatchEntriesResponse()
        finally:
            self.outcomes.append("closed")

    def PostColumns(  # noqa: N802
        self, requests: Iterator[ledger_pb2.PostColumnsRequest], context: grpc.ServicerContext
    ) -> ledger_pb2.PostColumnsResponse:
        del context
        try:
            for _ in requests:
                self.arrived.release()
        except grpc.RpcError:
            self.outcomes.append("broken off")
            raise
        self.outcomes.append("whole")
        return ledger_pb2.PostColumnsResponse()


class Awaiting(Threaded):
    """The same, but GetBook awaits."""

    async def GetBook(  # type: ignore[override]  # noqa: N802  a coroutine may serve too
        self, request: ledger_pb2.GetBookRequest, context: grpc.ServicerContext
    ) -> ledger_pb2.GetBookResponse:
        del context
        if request.book_id == "closed":
            raise FailedPrecondition(Reason.MAKER_IS_CHECKER, "not this one")
        self.arrived.release()
        try:
            while not self.let_go.is_set():
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.outcomes.append("gone")
            raise
        call = call_context.current()
        self.callers.append(call.caller if call else "")
        self.outcomes.append("answered")
        return ledger_pb2.GetBookResponse()


@dataclass
class Stage:
    """The running service and a way to call it."""

    running: RunningService
    servicer: Threaded
    channel: grpc.Channel
    stub: ledger_pb2_grpc.LedgerServiceStub


FACES = ["threads", "loop", "awaiting"]
"""A thread a call; an event loop with threads for synchronous handlers; coroutines on that loop."""


def serve(house: House, face: str, **overrides: Any) -> tuple[RunningService, Threaded]:
    servicer = Awaiting() if face == "awaiting" else Threaded()

    def build(runtime: Runtime) -> Assembly:
        del runtime
        add = ledger_pb2_grpc.add_LedgerServiceServicer_to_server
        return Assembly(protos=[ledger_pb2], servicers=[(add, servicer)])

    service = Service("risk", "tael_runtime", with_floor(MetaData()), build, face != "threads")
    running = RunningService(service, house.settings.model_copy(update=overrides))
    house.running["risk"] = running
    return running, servicer


@pytest.fixture(scope="module")
def shared(data_dir: Path) -> Iterator[House]:
    """One store for every stage: the handlers here use none."""
    with House(data_dir) as house:
        yield house


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    """What a test started there, it stops."""
    yield shared
    for running in shared.running.values():
        running.stop(grace=1)
    shared.running.clear()


@pytest.fixture(params=FACES)
def stage(request: pytest.FixtureRequest, house: House) -> Iterator[Stage]:
    running, servicer = serve(house, request.param, max_concurrent_rpcs=20)
    with grpc.insecure_channel(running.address) as channel:
        yield Stage(running, servicer, channel, ledger_pb2_grpc.LedgerServiceStub(channel))
        servicer.let_go.set()


def book(book_id: str = "main") -> ledger_pb2.GetBookRequest:
    return ledger_pb2.GetBookRequest(book_id=book_id)


def test_a_refusal_reaches_the_caller_with_its_reason(stage: Stage) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stage.stub.GetBook(book("closed"))
    assert refusal(caught.value) == ("FAILED_PRECONDITION", "MAKER_IS_CHECKER")


def test_bytes_that_are_no_message_are_refused_as_such(stage: Stage) -> None:
    call = stage.channel.unary_unary(GET_BOOK)
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff\xff\xff")
    assert refusal(caught.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")


def test_a_request_too_large_to_be_read_on_a_loop_is_refused_unread(house: House) -> None:
    running, _ = serve(house, "awaiting")
    with grpc.insecure_channel(running.address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(GET_BOOK)(b"\xff" * (8 * 1024 * 1024 + 1))
    assert violations(caught.value) == {
        "request": "has 8388609 bytes; this rpc takes 8388608 at most"
    }


def test_a_handler_knows_its_caller_for_as_long_as_it_runs(stage: Stage) -> None:
    stage.servicer.let_go.set()
    with ThreadPoolExecutor(8) as pool:
        names = [f"caller-{number}" for number in range(8)]
        list(
            pool.map(
                lambda name: stage.stub.GetBook(book(), metadata=[("tael-caller", name)]), names
            )
        )
    assert sorted(stage.servicer.callers) == names


def test_a_handler_learns_that_its_caller_went(stage: Stage) -> None:
    call = stage.stub.GetBook.future(book())
    assert stage.servicer.arrived.acquire(timeout=10)
    call.cancel()
    wait_until(lambda: stage.servicer.outcomes == ["gone"], what="the handler to learn of it")


def test_a_handler_learns_that_its_time_is_over(stage: Stage) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stage.stub.GetBook(book(), timeout=0.3)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: stage.servicer.outcomes == ["gone"], what="the handler to learn of it")


def test_a_stream_ends_when_its_reader_goes(stage: Stage) -> None:
    stream = stage.stub.WatchEntries(ledger_pb2.WatchEntriesRequest(book_id="main"))
    for _ in range(100):
        next(stream)
    stream.cancel()
    wait_until(lambda: stage.servicer.outcomes == ["closed"], what="the stream to end")


def chunk() -> ledger_pb2.PostColumnsRequest:
    lines = ledger_pb2.LineColumns(account_numbers=["1003", "1003"], debits=[1, 0], credits=[0, 1])
    return ledger_pb2.PostColumnsRequest(chunk=lines)


def test_an_upload_is_read_to_its_end(stage: Stage) -> None:
    stage.stub.PostColumns(chunk() for _ in range(50))
    assert stage.servicer.outcomes == ["whole"]
    assert all(stage.servicer.arrived.acquire(blocking=False) for _ in range(50))


def test_an_upload_whose_chunk_breaks_the_contract_is_refused(stage: Stage) -> None:
    wrong = ledger_pb2.PostColumnsRequest(chunk=ledger_pb2.LineColumns())
    with pytest.raises(grpc.RpcError) as caught:
        stage.stub.PostColumns(iter([chunk(), wrong]))
    assert refusal(caught.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert stage.servicer.outcomes == []


@pytest.mark.parametrize("face", FACES)
def test_uploads_that_idle_leave_threads_for_calls_and_one_too_many_is_refused(
    house: House, face: str
) -> None:
    running, servicer = serve(house, face, threads=1, max_streams=1, max_uploads=3)
    more = threading.Event()

    def chunks() -> Iterator[ledger_pb2.PostColumnsRequest]:
        yield chunk()
        more.wait(30)

    with grpc.insecure_channel(running.address) as channel:
        stub = ledger_pb2_grpc.LedgerServiceStub(channel)
        idle = [stub.PostColumns.future(chunks()) for _ in range(3)]
        assert all(servicer.arrived.acquire(timeout=10) for _ in idle)
        with pytest.raises(grpc.RpcError) as caught:
            stub.PostColumns(iter([chunk()]), timeout=10)
        assert refusal(caught.value) == ("RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS")
        servicer.let_go.set()
        stub.GetBook(book(), timeout=10)
        more.set()
        assert [each.result(10) for each in idle] == [ledger_pb2.PostColumnsResponse()] * 3


def test_an_upload_that_broke_off_is_never_taken_for_a_whole_one(stage: Stage) -> None:
    for _ in range(20):
        more = threading.Event()

        def chunks(more: threading.Event = more) -> Iterator[ledger_pb2.PostColumnsRequest]:
            yield chunk()
            more.wait(10)

        call = stage.stub.PostColumns.future(chunks())
        assert stage.servicer.arrived.acquire(timeout=10)
        call.cancel()
        more.set()
    wait_until(lambda: len(stage.servicer.outcomes) == 20, what="the handlers to learn of it")
    assert stage.servicer.outcomes == ["broken off"] * 20


def test_calls_beyond_the_limit_are_shed(stage: Stage) -> None:
    under_way = [stage.stub.GetBook.future(book(), timeout=20) for _ in range(60)]
    wait_until(lambda: sum(call.done() for call in under_way) >= 40, what="calls to be shed")
    shed = [call for call in under_way if call.done()]
    assert {call.code() for call in shed} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    stage.servicer.let_go.set()
    answered = 0
    for call in under_way:
        with suppress(grpc.RpcError):
            call.result()
            answered += 1
    assert 10 <= answered <= 20


def test_health_is_told_to_those_who_ask_and_to_those_who_watch(stage: Stage) -> None:
    health = health_pb2_grpc.HealthStub(stage.channel)
    service = "tael.ledger.v1.LedgerService"
    watched = health.Watch(health_pb2.HealthCheckRequest(service=service))
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(stage.running.stop, 0.5)
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watched.cancel()
        stopping.result(10)


def test_reflection_names_the_services(stage: Stage) -> None:
    reflection = reflection_pb2_grpc.ServerReflectionStub(stage.channel)
    (answer,) = reflection.ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )
    named = {service.name for service in answer.list_services_response.service}
    assert {"tael.ledger.v1.LedgerService", "grpc.health.v1.Health"} <= named


def test_calls_under_way_are_answered_while_the_service_drains(stage: Stage) -> None:
    call = stage.stub.GetBook.future(book())
    assert stage.servicer.arrived.acquire(timeout=10)
    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(stage.running.stop, 10)
        time.sleep(0.1)
        stage.servicer.let_go.set()
        call.result(10)
        stopping.result(10)
    assert stage.servicer.outcomes == ["answered"]


def test_calls_that_outlast_the_grace_are_ended(stage: Stage) -> None:
    call = stage.stub.GetBook.future(book())
    assert stage.servicer.arrived.acquire(timeout=10)
    began = time.monotonic()
    stage.running.stop(0.2)
    assert time.monotonic() - began < 5
    with pytest.raises(grpc.RpcError):
        call.result(5)


def test_a_call_that_awaits_holds_no_thread(house: House) -> None:
    running, servicer = serve(house, "awaiting", threads=4)
    with grpc.insecure_channel(running.address) as channel:
        stub = ledger_pb2_grpc.LedgerServiceStub(channel)
        calls = [stub.GetBook.future(book(), timeout=20) for _ in range(200)]
        assert all(servicer.arrived.acquire(timeout=10) for _ in calls)
        servicer.let_go.set()
        for call in calls:
            call.result()
    assert servicer.outcomes == ["answered"] * 200


def test_a_coroutine_in_a_service_of_threads_is_a_mistake_told_at_the_start(house: House) -> None:
    def build(runtime: Runtime) -> Assembly:
        del runtime
        add = ledger_pb2_grpc.add_LedgerServiceServicer_to_server
        return Assembly(protos=[ledger_pb2], servicers=[(add, Awaiting())])

    service = Service("risk", "tael_runtime", with_floor(MetaData()), build)
    with pytest.raises(TypeError, match="GetBook is async def: its Service must be asynchronous"):
        RunningService(service, house.settings)


def test_a_stream_of_a_coroutine_is_a_mistake_told_at_the_start(house: House) -> None:
    class Streaming(Awaiting):
        async def PostColumns(self, requests: Any, context: Any) -> Any:  # type: ignore[override]  # noqa: N802, ARG002
            return ledger_pb2.PostColumnsResponse()

    def build(runtime: Runtime) -> Assembly:
        del runtime
        add = ledger_pb2_grpc.add_LedgerServiceServicer_to_server
        return Assembly(protos=[ledger_pb2], servicers=[(add, Streaming())])

    service = Service("risk", "tael_runtime", with_floor(MetaData()), build, asynchronous=True)
    with pytest.raises(TypeError, match="PostColumns is async def: only unary rpcs may be"):
        RunningService(service, house.settings)


@pytest.mark.parametrize("face", FACES)
def test_the_audit_record_tells_who_did_what_and_how_it_ended(
    house: House, face: str, capfd: pytest.CaptureFixture[str]
) -> None:
    running, servicer = serve(house, face)
    servicer.let_go.set()
    parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
    metadata = [("tael-caller", 'an"n'), ("traceparent", parent)]
    with grpc.insecure_channel(running.address) as channel:
        stub = ledger_pb2_grpc.LedgerServiceStub(channel)
        stub.GetBook(book(), metadata=metadata)
        for refused in ("closed", ""):
            with pytest.raises(grpc.RpcError):
                stub.GetBook(book(refused), metadata=metadata)
    running.stop(grace=1)
    del house.running["risk"]
    lines = [line for line in capfd.readouterr().err.splitlines() if '"audit"' in line]
    records = [json.loads(line) for line in lines]
    assert [(record["subject"], record["code"]) for record in records] == [
        ({"book_id": "main"}, "OK"),
        ({"book_id": "closed"}, "FAILED_PRECONDITION"),
        ({}, "INVALID_ARGUMENT"),
    ]
    for record in records:
        assert (record["rpc"], record["caller"]) == (GET_BOOK, 'an"n')
        assert (record["trace_id"], record["service"]) == ("ab" * 16, "risk")


def test_a_call_whose_caller_went_is_recorded_as_such(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    running, servicer = serve(house, "awaiting")
    with grpc.insecure_channel(running.address) as channel:
        stub = ledger_pb2_grpc.LedgerServiceStub(channel)
        call = stub.GetBook.future(book())
        assert servicer.arrived.acquire(timeout=10)
        call.cancel()
        wait_until(lambda: servicer.outcomes == ["gone"], what="the handler to learn of it")
        with pytest.raises(grpc.RpcError):
            stub.GetBook(book(), timeout=0.2)
        wait_until(lambda: len(servicer.outcomes) == 2, what="the handler to learn of it")
    running.stop(grace=1)
    del house.running["risk"]
    lines = [line for line in capfd.readouterr().err.splitlines() if '"audit"' in line]
    assert [json.loads(line)["code"] for line in lines] == ["CANCELLED", "DEADLINE_EXCEEDED"]
