"""The floor, held against a small service of the test's own over real gRPC and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from sqlalchemy import MetaData, text

from support import House, day, free_port, refusal, rid, violations, wait_until
from tael.origination.v1 import event_pb2, event_pb2_grpc
from tael.provider.v1 import payment_pb2, payment_pb2_grpc
from tael.risk.v1 import feature_pb2, feature_pb2_grpc
from tael_client import Connection, Credentials
from tael_client import context as call_context
from tael_runtime import idempotency, outbox, work
from tael_runtime.auth import credentials
from tael_runtime.errors import FailedPrecondition, Reason
from tael_runtime.migrations import StoreTooOldError
from tael_runtime.server import Assembly, RunningService, Runtime, Service
from tael_runtime.settings import ServiceSettings, Settings
from tael_runtime.tables import with_floor


@dataclass
class Recorder(feature_pb2_grpc.FeatureServiceServicer, event_pb2_grpc.EventServiceServicer):
    """Counts what it executes; `mood` decides how."""

    runtime: Runtime
    executed: list[str] = field(default_factory=list)
    mood: str = "well"
    seen: list[float | None] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def RecordObservations(  # noqa: N802
        self, request: feature_pb2.RecordObservationsRequest, context: grpc.ServicerContext
    ) -> feature_pb2.RecordObservationsResponse:
        del context
        call = call_context.current()
        self.seen.append(call.seconds_left() if call else None)

        def effect(transaction: Any) -> feature_pb2.RecordObservationsResponse:
            if self.mood == "refusing":
                raise FailedPrecondition(Reason.MAKER_IS_CHECKER, "not today")
            if self.mood == "slow":
                self.arrived.set()
                assert self.let_go.wait(10)
            if self.mood == "broken":
                raise RuntimeError("secret detail")
            self.executed.append(request.request_id)
            event = event_pb2.Event()
            event.customer_changed.customer.customer_id = request.observations[0].customer_id
            outbox.append(transaction, "customer", "c1", event)
            return feature_pb2.RecordObservationsResponse(recorded=len(self.executed))

        return idempotency.once(
            self.runtime.database,
            "RecordObservations",
            request,
            feature_pb2.RecordObservationsResponse,
            effect,
        )

    def GetFeatures(  # noqa: N802
        self, request: feature_pb2.GetFeaturesRequest, context: grpc.ServicerContext
    ) -> feature_pb2.GetFeaturesResponse:
        del request, context
        return feature_pb2.GetFeaturesResponse()

    def ListFeatureDefinitions(  # noqa: N802
        self, request: feature_pb2.ListFeatureDefinitionsRequest, context: grpc.ServicerContext
    ) -> feature_pb2.ListFeatureDefinitionsResponse:
        del request, context
        return feature_pb2.ListFeatureDefinitionsResponse()

    def Watch(  # noqa: N802
        self, request: event_pb2.WatchRequest, context: grpc.ServicerContext
    ) -> Iterator[event_pb2.WatchResponse]:
        events = outbox.watch(
            self.runtime.database, event_pb2.Event, request.after_position, context.is_active
        )
        for event in events:
            yield event_pb2.WatchResponse(event=event)


class AwaitingRecorder(Recorder):
    """The same, but RecordObservations awaits what a thread does."""

    async def RecordObservations(  # type: ignore[override]  # noqa: N802  a coroutine may serve too
        self, request: feature_pb2.RecordObservationsRequest, context: grpc.ServicerContext
    ) -> feature_pb2.RecordObservationsResponse:
        return await asyncio.to_thread(super().RecordObservations, request, context)


@dataclass
class Floor:
    """The running test service and a client of it."""

    house: House
    running: RunningService
    servicer: Recorder
    face: str

    @property
    def stub(self) -> feature_pb2_grpc.FeatureServiceStub:
        return self.house.client("risk", feature_pb2_grpc.FeatureServiceStub)


FACES = ["threads", "loop"]
"""A thread a call; an event loop, on which RecordObservations awaits and the others have threads."""


def serve(settings: Settings, face: str = "threads") -> tuple[RunningService, Recorder]:
    made: list[Recorder] = []

    def build(runtime: Runtime) -> Assembly:
        made.append((AwaitingRecorder if face == "loop" else Recorder)(runtime))
        return Assembly(
            protos=[feature_pb2, event_pb2],
            servicers=[
                (feature_pb2_grpc.add_FeatureServiceServicer_to_server, made[0]),
                (event_pb2_grpc.add_EventServiceServicer_to_server, made[0]),
            ],
        )

    service = Service("risk", "tael_runtime", with_floor(MetaData()), build, face != "threads")
    return RunningService(service, settings), made[0]


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> str:
    """How the service is served."""
    return str(request.param)


@pytest.fixture
def floor(house: House, face: str) -> Floor:
    running, servicer = serve(house.settings, face)
    house.running["risk"] = running
    return Floor(house, running, servicer, face)


def observe(request_id: str, customer: str = "c1") -> feature_pb2.RecordObservationsRequest:
    observation = feature_pb2.Observation(
        observation_id="o1",
        customer_id=customer,
        kind="DEVICE",
        date=day("2026-01-15"),
        facts={"device_id": "d1"},
    )
    return feature_pb2.RecordObservationsRequest(request_id=request_id, observations=[observation])


def test_a_request_that_breaks_its_contract_is_told_which_field_and_why(floor: Floor) -> None:
    request = observe("")
    request.observations[0].kind = "device"
    with pytest.raises(grpc.RpcError) as caught:
        floor.stub.RecordObservations(request)
    assert refusal(caught.value) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    found = violations(caught.value)
    assert "at least 1" in found["request_id"]
    assert "pattern" in found["observations[0].kind"]
    assert floor.servicer.executed == []


def test_text_that_the_store_cannot_keep_is_refused_by_its_field(floor: Floor) -> None:
    request = observe(rid())
    request.observations[0].facts["device_id"] = "d\0"
    with pytest.raises(grpc.RpcError) as caught:
        floor.stub.RecordObservations(request)
    assert violations(caught.value) == {"observations[0].facts": "holds a NUL character"}


def test_sixteen_concurrent_duplicates_are_executed_once_and_answered_alike(floor: Floor) -> None:
    request = observe(rid())
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: floor.stub.RecordObservations(request), range(16)))
    assert floor.servicer.executed == [request.request_id]
    assert {answer.recorded for answer in answers} == {1}


def test_a_request_id_used_for_other_content_is_refused(floor: Floor) -> None:
    request = observe(rid())
    floor.stub.RecordObservations(request)
    request.observations[0].facts["device_id"] = "d2"
    with pytest.raises(grpc.RpcError) as caught:
        floor.stub.RecordObservations(request)
    assert refusal(caught.value) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")


def test_another_caller_may_use_the_same_request_id(floor: Floor) -> None:
    request = observe(rid())
    floor.stub.RecordObservations(request)
    other = floor.house.client("risk", feature_pb2_grpc.FeatureServiceStub, caller="other")
    assert other.RecordObservations(request).recorded == 2


def test_a_refused_attempt_leaves_nothing_so_that_the_same_id_may_succeed_later(
    floor: Floor,
) -> None:
    request = observe(rid())
    floor.servicer.mood = "refusing"
    with pytest.raises(grpc.RpcError) as caught:
        floor.stub.RecordObservations(request)
    assert refusal(caught.value) == ("FAILED_PRECONDITION", "MAKER_IS_CHECKER")
    floor.servicer.mood = "well"
    assert floor.stub.RecordObservations(request).recorded == 1


def test_a_fault_of_ours_is_told_without_its_detail(floor: Floor) -> None:
    floor.servicer.mood = "broken"
    with pytest.raises(grpc.RpcError) as caught:
        floor.stub.RecordObservations(observe(rid()))
    assert refusal(caught.value) == ("INTERNAL", "INTERNAL")
    assert "secret" not in str(caught.value)


def test_the_callers_deadline_travels_on_into_the_call(floor: Floor) -> None:
    soon = call_context.CallContext(deadline=time.monotonic() + 3)
    with call_context.entered(soon):
        floor.stub.RecordObservations(observe(rid()))
    (left,) = floor.servicer.seen
    assert left is not None
    assert 1 < left <= 3


def test_a_transaction_that_commits_late_is_not_skipped_by_watchers(floor: Floor) -> None:
    database = floor.running.runtime.database

    def event(name: str) -> event_pb2.Event:
        made = event_pb2.Event()
        made.customer_changed.customer.customer_id = name
        return made

    watcher = floor.house.client("risk", event_pb2_grpc.EventServiceStub)
    stream = watcher.Watch(event_pb2.WatchRequest())
    late = database.engine.connect()
    with late.begin():
        outbox.append(late, "customer", "older", event("older"))
        with database.begin() as early:
            outbox.append(early, "customer", "newer", event("newer"))
        first = next(stream).event
        assert first.customer_changed.customer.customer_id == "newer"
    late.close()
    second = next(stream).event
    stream.cancel()
    assert second.customer_changed.customer.customer_id == "older"
    assert (first.position, second.position) == (1, 2)


def test_a_consumer_applies_each_event_once_across_restarts(floor: Floor) -> None:
    database = floor.running.runtime.database
    applied: list[int] = []
    watcher = floor.house.client("risk", event_pb2_grpc.EventServiceStub)

    def loop() -> tuple[threading.Event, threading.Thread]:
        stop = threading.Event()
        run = outbox.consumer(
            database,
            "self",
            lambda after: watcher.Watch(event_pb2.WatchRequest(after_position=after)),
            lambda _tx, event: applied.append(event.position),
        )

        def keep() -> None:
            try:
                run(stop)
            except grpc.RpcError:
                assert stop.is_set()

        thread = threading.Thread(target=keep)
        thread.start()
        return stop, thread

    for expected in (3, 6):
        stop, thread = loop()
        for _ in range(3):
            floor.stub.RecordObservations(observe(rid()))
        wait_until(lambda count=expected: len(applied) >= count, what="the events")
        stop.set()
        thread.join(5)
        assert not thread.is_alive()
    assert applied == [1, 2, 3, 4, 5, 6]


def test_a_chunk_is_done_once_and_a_dead_workers_lease_runs_out(floor: Floor) -> None:
    database = floor.running.runtime.database
    with database.begin() as tx:
        run = work.open_run(tx, "test", "k", ["only"])
        assert work.open_run(tx, "test", "k", ["only"]).run_id == run.run_id
        work.plan_step(tx, run.run_id, 1, [b"a", b"b"])
        work.plan_step(tx, run.run_id, 1, [b"other members"])
    with database.begin() as tx:
        first = work.claim_chunk(tx, run.run_id, 1, "w1")
        second = work.claim_chunk(tx, run.run_id, 1, "w2", lease_seconds=0)
    assert first is not None
    assert second is not None
    assert (first.payload, second.payload) == (b"a", b"b")
    with database.begin() as tx:
        assert work.claim_chunk(tx, run.run_id, 1, "w1") == first, "what it was interrupted at"
        assert work.begin_chunk(tx, first, "w1")
        work.finish_chunk(tx, first)
        again = work.claim_chunk(tx, run.run_id, 1, "w3")
        assert again is not None
        assert again.payload == b"b"
        assert not work.begin_chunk(tx, second, "w2"), "another has it"
        assert work.begin_chunk(tx, again, "w3")
        work.finish_chunk(tx, again, b"result")
        assert not work.begin_chunk(tx, again, "w3"), "it is done"
        assert work.claim_chunk(tx, run.run_id, 1, "w1") is None
        assert work.chunk_results(tx, run.run_id, 1) == [b"", b"result"]
        (step,) = work.list_steps(tx, run.run_id)
    assert (step.chunks, step.chunks_done) == (2, 2)


def test_a_chunk_that_is_worked_is_nobody_elses_however_short_its_lease(floor: Floor) -> None:
    database = floor.running.runtime.database
    with database.begin() as tx:
        run = work.open_run(tx, "test", "long", ["only"])
        work.plan_step(tx, run.run_id, 1, [b"a"])
        chunk = work.claim_chunk(tx, run.run_id, 1, "w1", lease_seconds=0)
    assert chunk is not None
    with suppress(InterruptedError), database.begin() as working:
        assert work.begin_chunk(working, chunk, "w1")
        with database.begin() as tx:
            assert work.claim_chunk(tx, run.run_id, 1, "w2") is None
        raise InterruptedError
    with database.begin() as tx:
        assert work.claim_chunk(tx, run.run_id, 1, "w2") == chunk
        assert not work.begin_chunk(tx, chunk, "w1")


def test_the_service_answers_health_checks(floor: Floor) -> None:
    with grpc.insecure_channel(floor.running.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="tael.risk.v1.FeatureService")
        assert health.Check(request).status == health_pb2.HealthCheckResponse.SERVING


def test_a_call_during_a_restart_of_the_service_succeeds_without_the_caller_noticing(
    floor: Floor,
) -> None:
    request = observe(rid())
    stub = floor.stub
    stub.RecordObservations(request)
    floor.running.stop(grace=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stub.RecordObservations, request)
        time.sleep(0.2)
        running, servicer = serve(floor.house.settings, floor.face)
        floor.house.running["risk"] = running
        assert waiting.result(20).recorded == 1
    assert servicer.executed == []


def test_a_service_that_stops_ends_the_calls_under_way_and_takes_no_more(floor: Floor) -> None:
    floor.servicer.mood = "slow"
    with (
        ThreadPoolExecutor(2) as pool,
        Connection(floor.running.address, timeout=0.5) as late,
    ):
        under_way = pool.submit(floor.stub.RecordObservations, observe(rid()))
        assert floor.servicer.arrived.wait(10)
        stopping = pool.submit(floor.running.stop, 10)
        wait_until(lambda: _refuses(late), what="the service to refuse new calls")
        floor.servicer.let_go.set()
        assert under_way.result(10).recorded == 1
        stopping.result(10)
    del floor.house.running["risk"]


def _refuses(connection: Connection) -> bool:
    stub = connection.stub(feature_pb2_grpc.FeatureServiceStub)
    try:
        stub.GetFeatures(feature_pb2.GetFeaturesRequest(customer_id="c1"))
    except grpc.RpcError as error:
        return refusal(error)[0] == "UNAVAILABLE"
    return False


def test_a_watcher_does_not_hold_up_a_service_that_stops(floor: Floor) -> None:
    floor.stub.RecordObservations(observe(rid()))
    stream = floor.house.client("risk", event_pb2_grpc.EventServiceStub).Watch(
        event_pb2.WatchRequest()
    )
    next(stream)
    began = time.monotonic()
    floor.running.stop(grace=15)
    assert time.monotonic() - began < 5
    assert list(stream) == []
    del floor.house.running["risk"]


def test_a_stream_too_many_is_refused_and_a_closed_one_makes_room(house: House, face: str) -> None:
    running, _ = serve(house.settings.model_copy(update={"max_streams": 1}), face)
    house.running["risk"] = running
    house.client("risk", feature_pb2_grpc.FeatureServiceStub).RecordObservations(observe(rid()))
    watcher = house.client("risk", event_pb2_grpc.EventServiceStub)
    first = watcher.Watch(event_pb2.WatchRequest())
    next(first)
    with pytest.raises(grpc.RpcError) as caught:
        next(watcher.Watch(event_pb2.WatchRequest()))
    assert refusal(caught.value) == ("RESOURCE_EXHAUSTED", "TOO_MANY_STREAMS")
    first.cancel()

    def opens() -> bool:
        try:
            return bool(next(watcher.Watch(event_pb2.WatchRequest())).event.position)
        except grpc.RpcError:
            return False

    assert wait_until(opens, what="room for a stream")


def test_calls_are_counted_by_rpc_and_code_for_prometheus(house: House, face: str) -> None:
    port = free_port()
    own = house.settings.risk.model_copy(update={"metrics_listen": f"127.0.0.1:{port}"})
    running, _ = serve(house.settings.model_copy(update={"risk": own}), face)
    house.running["risk"] = running
    stub = house.client("risk", feature_pb2_grpc.FeatureServiceStub)
    stub.RecordObservations(observe(rid()))
    with pytest.raises(grpc.RpcError):
        stub.RecordObservations(observe(""))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
        text_form = response.read().decode()
    for code in ("OK", "INVALID_ARGUMENT"):
        rpc = "/tael.risk.v1.FeatureService/RecordObservations"
        assert f'tael_rpc_calls_total{{code="{code}",rpc="{rpc}",service="risk"}} 1.0' in text_form


def test_a_refusal_by_the_store_is_logged_without_the_values_of_rows(
    floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    floor.house.sql("ALTER TABLE outbox ADD CHECK (type = 'none')", "risk", write=True)
    with pytest.raises(grpc.RpcError) as caught:
        floor.stub.RecordObservations(observe(rid(), customer="secret-customer"))
    assert refusal(caught.value) == ("INTERNAL", "INTERNAL")
    logged = "".join(capsys.readouterr())
    assert "violates check constraint" in logged
    assert "Failing row" not in logged


def test_a_lost_connection_is_replaced_without_the_caller_noticing(floor: Floor) -> None:
    floor.stub.RecordObservations(observe(rid()))
    floor.house.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tael_risk' "
        "AND datname = current_database()",
        "risk",
    )
    assert floor.stub.RecordObservations(observe(rid())).recorded == 2


def test_bearer_tokens_and_the_policy_file_decide_who_may_call(
    house: House, face: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.csv"
    policy.write_text("p, clerk, /tael.risk.v1.FeatureService/*\n")
    key = "k" * 32
    settings = house.settings.model_copy(update={"jwt_key": key, "policy_file": policy})
    running, _ = serve(settings, face)
    house.running["risk"] = running

    def call_as(*roles: str, signed_with: str = key) -> str:
        claims = {"sub": "ann", "roles": list(roles), "exp": time.time() + 60}
        token = jwt.encode(claims, signed_with, "HS256")
        with Connection(running.address, Credentials(token=token)) as connection:
            stub = connection.stub(feature_pb2_grpc.FeatureServiceStub)
            try:
                stub.RecordObservations(observe(rid()))
            except grpc.RpcError as error:
                return refusal(error)[1]
        return "OK"

    assert call_as("clerk") == "OK"
    assert call_as("visitor") == "PERMISSION_DENIED"
    assert call_as("clerk", signed_with="x" * 32) == "UNAUTHENTICATED"
    policy.write_text("p, visitor, /tael.risk.v1.FeatureService/RecordObservations\n")
    wait_until(lambda: call_as("visitor") == "OK", what="the policy to be read again")
    assert call_as("clerk") == "PERMISSION_DENIED"


@pytest.mark.parametrize("host", ["0.0.0.0", "localhost.example.com", "127.0.0.1.example.com"])
def test_a_service_reachable_from_beyond_loopback_refuses_to_start_without_tls_and_auth(
    house: House, host: str
) -> None:
    open_to_all = ServiceSettings(listen=f"{host}:{free_port()}")
    with pytest.raises(SystemExit, match="TAEL_TLS_CERTIFICATE"):
        serve(house.settings.model_copy(update={"risk": open_to_all}))


def test_the_services_role_may_do_no_more_than_a_tables_mark_lets_it(house: House) -> None:
    from sqlalchemy import Column, Integer, Table  # noqa: PLC0415

    from tael_runtime.tables import APPEND_ONLY, KEPT  # noqa: PLC0415

    running, _ = serve(house.settings)
    running.stop(grace=1)
    metadata = MetaData()
    for name, mark in (("frozen", APPEND_ONLY), ("kept", KEPT)):
        house.sql(f"CREATE TABLE {name} (a integer)", "risk", write=True)
        Table(name, metadata, Column("a", Integer), info=mark)

    def build(runtime: Runtime) -> Assembly:
        with runtime.database.begin() as tx:
            tx.execute(text("INSERT INTO frozen VALUES (1)"))
            tx.execute(text("INSERT INTO kept VALUES (1)"))
            tx.execute(text("UPDATE kept SET a = 2"))
        for statement in (
            "UPDATE frozen SET a = 2",
            "DELETE FROM frozen",
            "TRUNCATE frozen",
            "DELETE FROM kept",
            "TRUNCATE kept",
            "DELETE FROM request",
            "CREATE TEMPORARY TABLE request (a integer)",
        ):
            with (
                pytest.raises(Exception, match="permission denied"),
                runtime.database.begin() as tx,
            ):
                tx.execute(text(statement))
        return Assembly(protos=[], servicers=[])

    service = Service("risk", "tael_runtime", with_floor(metadata), build)
    house.running["risk"] = RunningService(service, house.settings)


def test_a_store_of_another_version_is_told_and_left_as_it_is(house: House) -> None:
    house.start("simulators")
    unknown = "UPDATE alembic_version SET version_num = 'simulators_999'"
    house.sql(f"{unknown} WHERE version_num LIKE 'simulators%'", "simulators", write=True)
    house.stop_one("simulators")
    with pytest.raises(StoreTooOldError, match="made by another version of tael"):
        house.start("simulators")
    held = house.sql("SELECT version_num FROM alembic_version", "simulators")
    assert ("simulators_999",) in [tuple(row) for row in held]


def test_with_tls_a_service_is_reached_only_by_who_trusts_its_certificate(
    house: House, face: str, tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    tls = {"tls_certificate": certificate, "tls_key": key}
    settings = house.settings.model_copy(update=tls)
    running, _ = serve(settings, face)
    house.running["risk"] = running
    target = running.address.replace("127.0.0.1", "localhost")
    with Connection(target, credentials(settings)) as connection:
        stub = connection.stub(feature_pb2_grpc.FeatureServiceStub)
        assert stub.RecordObservations(observe(rid())).recorded == 1
    with Connection(target, Credentials(), timeout=2) as plain:
        stub = plain.stub(feature_pb2_grpc.FeatureServiceStub)
        with pytest.raises(grpc.RpcError):
            stub.RecordObservations(observe(rid()))


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate of "localhost" and its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_every_call_leaves_an_audit_record_whatever_the_log_level(house: House) -> None:
    house.spawn("simulators")
    with pytest.raises(grpc.RpcError):
        house.client(
            "simulators", payment_pb2_grpc.PaymentProviderServiceStub, caller="ann"
        ).QueryPayment(payment_pb2.QueryPaymentRequest(payment_id="p-unknown"))
    (line,) = wait_until(
        lambda: [
            line
            for line in house.log_of("simulators").read_text().splitlines()
            if '"audit"' in line
        ],
        what="the audit record",
    )
    record = json.loads(line)
    assert record["rpc"].endswith("/QueryPayment")
    assert record["caller"] == "ann"
    assert record["subject"] == {"payment_id": "p-unknown"}
    assert (record["code"], record["service"]) == ("NOT_FOUND", "simulators")
