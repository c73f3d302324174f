"""Cases live from servicing's events: opened, refreshed, assigned, promised, placed, closed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import grpc
import pytest
from collections_support import NON_ACCRUAL, NORMAL, WRITTEN_OFF, Feed, loan
from sqlalchemy.exc import DBAPIError

from support import House, day, refusal, rid, violations, wait_until
from tael.collections.v1 import collections_pb2 as pb
from tael.collections.v1 import collections_pb2_grpc as rpc
from tael_client.values import money, to_date

START = "2026-03-16"


@pytest.fixture(scope="module")
def floor(open_house: Callable[..., House]) -> House:
    house = open_house("collections")
    house.set_clock("2026-03-16T10:00")
    return house


@pytest.fixture
def feed(floor: House) -> Feed:
    floor.sql("DELETE FROM business_day", "collections", write=True)
    floor.set_clock("2026-03-16T10:00")
    return Feed(floor, START)


@pytest.fixture
def debtor() -> str:
    return f"cu_{uuid4().hex[:12]}"


def cases_of(house: House, debtor: str) -> list[pb.Case]:
    stub = house.client("collections", rpc.CaseServiceStub)
    return list(stub.ListCases(pb.ListCasesRequest(customer_id=debtor)).cases)


def only(house: House, debtor: str) -> pb.Case:
    (case,) = cases_of(house, debtor)
    return case


def history(house: House, case: pb.Case) -> list[str]:
    stub = house.client("collections", rpc.CaseServiceStub)
    answer = stub.ListCaseHistory(pb.ListCaseHistoryRequest(case_id=case.case_id))
    return [entry.kind for entry in answer.entries]


def opened(house: House, feed: Feed, debtor: str, past_due: int = 88_849, dpd: int = 1) -> pb.Case:
    feed.overdue(loan(f"ln-{debtor}", debtor, dpd, past_due))
    return only(house, debtor)


def permit(house: House, case: pb.Case, channel: pb.Channel.ValueType) -> pb.PermitContactResponse:
    stub = house.client("collections", rpc.ContactServiceStub)
    return stub.PermitContact(
        pb.PermitContactRequest(request_id=rid(), case_id=case.case_id, channel=channel)
    )


def promise(house: House, case: pb.Case, minor_units: int, due: str) -> pb.Promise:
    stub = house.client("collections", rpc.PromiseServiceStub)
    return stub.RecordPromise(
        pb.RecordPromiseRequest(
            request_id=rid(), case_id=case.case_id, amount=money(minor_units), due_date=day(due)
        )
    ).promise


def promises(house: House, case: pb.Case) -> list[pb.Promise]:
    stub = house.client("collections", rpc.PromiseServiceStub)
    return list(stub.ListPromises(pb.ListPromisesRequest(case_id=case.case_id)).promises)


def test_the_first_day_past_due_opens_a_case_and_later_days_refresh_it(
    floor: House, feed: Feed, debtor: str
) -> None:
    case = opened(floor, feed, debtor)
    assert case.status == pb.CASE_STATUS_NEW
    assert case.bucket == pb.BUCKET_M1
    assert case.amount_past_due == money(88_849)
    assert to_date(case.opened_on).isoformat() == "2026-03-16"
    assert to_date(case.limitation_date).isoformat() == "2029-03-15"
    feed.overdue(loan(f"ln-{debtor}", debtor, 31, 178_500))
    case = only(floor, debtor)
    assert case.bucket == pb.BUCKET_M2
    assert case.amount_past_due == money(178_500)
    assert case.loans[0].dpd == 31
    assert history(floor, case) == ["OPENED", "REFRESHED"]


def test_one_yuan_past_due_opens_no_case_and_a_cent_more_does(
    floor: House, feed: Feed, debtor: str
) -> None:
    feed.overdue(loan("ln-small", debtor, 5, 100))
    assert cases_of(floor, debtor) == []
    feed.overdue(loan("ln-small", debtor, 6, 101))
    assert only(floor, debtor).amount_past_due == money(101)


def test_all_loans_of_a_debtor_are_one_case_that_ends_with_the_last(
    floor: House, feed: Feed, debtor: str
) -> None:
    feed.overdue(loan("ln-1", debtor, 3, 10_000))
    feed.overdue(loan("ln-2", debtor, 45, 20_000))
    case = only(floor, debtor)
    assert case.bucket == pb.BUCKET_M2
    assert case.amount_past_due == money(30_000)
    feed.repaid(loan("ln-2", debtor, 0, 0, NORMAL), 20_000)
    case = only(floor, debtor)
    assert [one.loan_id for one in case.loans] == ["ln-1"]
    assert case.bucket == pb.BUCKET_M1
    feed.repaid(loan("ln-1", debtor, 0, 0, NORMAL), 10_000)
    case = only(floor, debtor)
    assert case.status == pb.CASE_STATUS_CLOSED
    assert case.amount_past_due == money(0)
    assert to_date(case.closed_on).isoformat() == "2026-03-16"


def test_arrears_after_a_closed_case_open_a_new_one(floor: House, feed: Feed, debtor: str) -> None:
    opened(floor, feed, debtor)
    feed.repaid(loan(f"ln-{debtor}", debtor, 0, 0, NORMAL), 88_849)
    feed.overdue(loan(f"ln-{debtor}", debtor, 1, 88_849))
    statuses = [case.status for case in cases_of(floor, debtor)]
    assert statuses == [pb.CASE_STATUS_CLOSED, pb.CASE_STATUS_NEW]


def test_an_event_applied_again_changes_nothing(floor: House, feed: Feed, debtor: str) -> None:
    case = opened(floor, feed, debtor)
    feed.overdue(loan(f"ln-{debtor}", debtor, 1, 88_849))
    assert only(floor, debtor) == case
    assert history(floor, case) == ["OPENED"]


def test_a_written_off_loan_keeps_its_case_as_recovery(
    floor: House, feed: Feed, debtor: str
) -> None:
    opened(floor, feed, debtor, dpd=120)
    claim = {"written_off_principal": 871_151, "written_off_interest": 39_857}
    feed.changed(loan(f"ln-{debtor}", debtor, 120, 0, WRITTEN_OFF, **claim))
    case = only(floor, debtor)
    assert case.status == pb.CASE_STATUS_RECOVERY
    assert case.amount_past_due == money(911_008)
    feed.overdue(loan(f"ln-{debtor}", debtor, 121, 266_547, NON_ACCRUAL))
    assert only(floor, debtor).status == pb.CASE_STATUS_RECOVERY
    paid = {"written_off_principal": 0, "written_off_interest": 0, "allowance": 1}
    feed.changed(loan(f"ln-{debtor}", debtor, 121, 0, WRITTEN_OFF, **paid))
    assert only(floor, debtor).status == pb.CASE_STATUS_CLOSED


def test_news_from_before_a_recovery_neither_grow_the_claim_nor_open_a_case_again(
    floor: House, feed: Feed, debtor: str
) -> None:
    case = opened(floor, feed, debtor, dpd=120)
    floor.sql(
        "INSERT INTO write_off (write_off_id, case_id, loan_id, state, maker, checker, evidence,"
        " currency, principal) VALUES (:id, :case, :loan, 'POSTED', 'wang', 'li', '{}', 'CNY', 1)",
        "collections",
        write=True,
        id=f"wo-{debtor}",
        case=case.case_id,
        loan=f"ln-{debtor}",
    )
    written_off, recovered, paid = (
        loan(f"ln-{debtor}", debtor, 120, 0, WRITTEN_OFF, written_off_principal=left, allowance=1)
        for left in (871_151, 800_000, 0)
    )
    feed.changed(written_off)
    feed.changed(recovered)
    feed.changed(written_off)
    assert only(floor, debtor).amount_past_due == money(800_000)
    feed.changed(paid)
    feed.changed(written_off)
    assert only(floor, debtor).status == pb.CASE_STATUS_CLOSED


def test_cases_go_to_the_able_and_least_loaded_and_held_ones_stay(floor: House, feed: Feed) -> None:
    floor.sql(
        "UPDATE debt_case SET collector = 'gone' WHERE closed_on IS NULL", "collections", write=True
    )
    people = [f"cu_{name}_{uuid4().hex[:6]}" for name in "abcd"]
    amounts = [50_000, 90_000, 70_000, 60_000]
    for person, amount in zip(people, amounts, strict=True):
        feed.overdue(loan(f"ln-{person}", person, 40 if amount == 90_000 else 2, amount))
    stub = floor.client("collections", rpc.CaseServiceStub)
    held = only(floor, people[3])
    stub.HoldCase(
        pb.HoldCaseRequest(
            request_id=rid(), case_id=held.case_id, until=day("2026-03-20"), reason="complaint"
        )
    )
    request = pb.AssignCasesRequest(
        request_id=rid(),
        collectors=[
            pb.Collector(name="ann", capacity=5, skill=pb.BUCKET_M1),
            pb.Collector(name="bob", capacity=1, skill=pb.BUCKET_M6),
        ],
    )
    answer = stub.AssignCases(request)
    made = [(one.case_id, one.collector) for one in answer.assignments]
    a, b, c = (only(floor, person).case_id for person in people[:3])
    assert made == [(b, "bob"), (c, "ann"), (a, "ann")]
    assert answer.unassigned == 0
    assert stub.AssignCases(request) == answer
    assert only(floor, people[0]).status == pb.CASE_STATUS_ASSIGNED
    assert only(floor, people[3]).collector == ""
    mine = stub.ListCases(pb.ListCasesRequest(collector="ann", status=pb.CASE_STATUS_ASSIGNED))
    assert {case.case_id for case in mine.cases} == {a, c}


def test_a_transfer_tells_from_whom_to_whom_and_why(floor: House, feed: Feed, debtor: str) -> None:
    case = opened(floor, feed, debtor)
    stub = floor.client("collections", rpc.CaseServiceStub, caller="lead")
    moved = stub.TransferCase(
        pb.TransferCaseRequest(
            request_id=rid(), case_id=case.case_id, collector="zoe", reason="speaks Cantonese"
        )
    ).case
    assert moved.collector == "zoe"
    entries = stub.ListCaseHistory(pb.ListCaseHistoryRequest(case_id=case.case_id)).entries
    assert entries[-1].actor == "lead"
    assert entries[-1].note == "nobody → zoe: speaks Cantonese"
    with pytest.raises(grpc.RpcError) as refused:
        stub.TransferCase(
            pb.TransferCaseRequest(
                request_id=rid(), case_id=case.case_id, collector="zoe", reason="again"
            )
        )
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "SAME_COLLECTOR")


def test_a_hold_stops_contact_until_released_or_over(floor: House, feed: Feed, debtor: str) -> None:
    case = opened(floor, feed, debtor)
    stub = floor.client("collections", rpc.CaseServiceStub)
    with pytest.raises(grpc.RpcError) as refused:
        stub.HoldCase(
            pb.HoldCaseRequest(
                request_id=rid(), case_id=case.case_id, until=day("2026-03-16"), reason="late"
            )
        )
    assert "until" in violations(refused.value)
    hold = pb.HoldCaseRequest(
        request_id=rid(), case_id=case.case_id, until=day("2026-03-18"), reason="dispute"
    )
    assert stub.HoldCase(hold).case.hold_reason == "dispute"
    assert permit(floor, case, pb.CHANNEL_SMS).denied_reason == "ON_HOLD"
    stub.ReleaseCase(pb.ReleaseCaseRequest(request_id=rid(), case_id=case.case_id))
    assert permit(floor, case, pb.CHANNEL_SMS).allowed
    with pytest.raises(grpc.RpcError) as refused:
        stub.ReleaseCase(pb.ReleaseCaseRequest(request_id=rid(), case_id=case.case_id))
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOT_ON_HOLD")
    hold.request_id = rid()
    stub.HoldCase(hold)
    feed.close_days(2)
    assert not only(floor, debtor).HasField("hold_until")
    assert history(floor, case)[-1] == "RELEASED"


def test_the_gate_refuses_ten_at_night_and_stores_every_answer(
    floor: House, feed: Feed, debtor: str
) -> None:
    case = opened(floor, feed, debtor)
    floor.set_clock("2026-03-16T21:59:59")
    allowed = permit(floor, case, pb.CHANNEL_HUMAN_CALL)
    assert allowed.allowed
    assert allowed.token
    assert allowed.expires_at.ToJsonString() == "2026-03-16T14:04:59Z"
    floor.set_clock("2026-03-16T22:00:00")
    denied = permit(floor, case, pb.CHANNEL_HUMAN_CALL)
    assert denied.denied_reason == "QUIET_HOURS"
    assert "GB/T 45251-2025" in denied.denied_detail
    stub = floor.client("collections", rpc.ContactServiceStub)
    kept = stub.ListContacts(pb.ListContactsRequest(case_id=case.case_id)).contacts
    assert [one.allowed for one in kept] == [True, False]
    assert kept[1].denied_reason == "QUIET_HOURS"


def test_the_fourth_call_is_refused_over_all_channels_together(
    floor: House, feed: Feed, debtor: str
) -> None:
    case = opened(floor, feed, debtor)
    for channel in (pb.CHANNEL_IVR, pb.CHANNEL_AI_CALL, pb.CHANNEL_HUMAN_CALL):
        assert permit(floor, case, channel).allowed
    assert permit(floor, case, pb.CHANNEL_HUMAN_CALL).denied_reason == "DAILY_CALL_LIMIT"
    assert permit(floor, case, pb.CHANNEL_SMS).allowed
    floor.set_clock("2026-03-17T08:00")
    assert permit(floor, case, pb.CHANNEL_HUMAN_CALL).allowed


def test_two_at_once_never_share_the_last_slot(floor: House, feed: Feed, debtor: str) -> None:
    case = opened(floor, feed, debtor)
    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(lambda _: permit(floor, case, pb.CHANNEL_AI_CALL), range(8)))
    assert sum(answer.allowed for answer in answers) == 3
    assert {answer.denied_reason for answer in answers} == {"", "DAILY_CALL_LIMIT"}


def test_the_limit_is_the_debtors_and_outlives_the_case(
    floor: House, feed: Feed, debtor: str
) -> None:
    case = opened(floor, feed, debtor)
    for _ in range(3):
        assert permit(floor, case, pb.CHANNEL_HUMAN_CALL).allowed
    feed.repaid(loan(f"ln-{debtor}", debtor, 0, 0, NORMAL), 88_849)
    assert permit(floor, case, pb.CHANNEL_HUMAN_CALL).denied_reason == "CASE_CLOSED"
    feed.overdue(loan("ln-other", debtor, 1, 5_000))
    newer = cases_of(floor, debtor)[-1]
    assert permit(floor, newer, pb.CHANNEL_HUMAN_CALL).denied_reason == "DAILY_CALL_LIMIT"


def test_an_agency_calls_only_for_a_case_it_has(floor: House, feed: Feed, debtor: str) -> None:
    case = opened(floor, feed, debtor)
    with pytest.raises(grpc.RpcError) as refused:
        permit(floor, case, pb.CHANNEL_AGENCY_CALL)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOT_PLACED")


def test_a_promise_pauses_calls_and_is_kept_with_95_percent(
    floor: House, feed: Feed, debtor: str
) -> None:
    case = opened(floor, feed, debtor)
    made = promise(floor, case, 80_000, "2026-03-18")
    assert made.state == pb.PROMISE_STATE_OPEN
    case = only(floor, debtor)
    assert case.status == pb.CASE_STATUS_PROMISED
    assert to_date(case.limitation_date).isoformat() == "2029-03-16"
    assert permit(floor, case, pb.CHANNEL_HUMAN_CALL).denied_reason == "PROMISE_OPEN"
    assert permit(floor, case, pb.CHANNEL_SMS).allowed
    feed.close_days(1)
    feed.repaid(loan(f"ln-{debtor}", debtor, 2, 12_849), 76_000)
    feed.close_days(1)
    (kept,) = promises(floor, case)
    assert (kept.state, kept.received) == (pb.PROMISE_STATE_KEPT, 76_000)
    assert only(floor, debtor).status == pb.CASE_STATUS_NEW


def test_a_promise_is_broken_at_the_end_of_the_day_after_its_date(
    floor: House, feed: Feed, debtor: str
) -> None:
    case = opened(floor, feed, debtor)
    promise(floor, case, 88_849, "2026-03-17")
    feed.close_days(2)
    assert promises(floor, case)[0].state == pb.PROMISE_STATE_OPEN
    assert permit(floor, case, pb.CHANNEL_HUMAN_CALL).allowed
    feed.close_days(1)
    assert promises(floor, case)[0].state == pb.PROMISE_STATE_BROKEN
    case = only(floor, debtor)
    assert case.status == pb.CASE_STATUS_BROKEN
    assert history(floor, case)[-1] == "PROMISE_BROKEN"


@pytest.mark.parametrize(
    ("minor_units", "due", "reason"),
    [
        (26_654, "2026-03-17", "PROMISE_TOO_SMALL"),
        (88_849, "2026-03-20", "PROMISE_TOO_LATE"),
    ],
)
def test_a_promise_that_is_no_promise_is_refused(
    floor: House, feed: Feed, debtor: str, minor_units: int, due: str, reason: str
) -> None:
    case = opened(floor, feed, debtor)
    with pytest.raises(grpc.RpcError) as refused:
        promise(floor, case, minor_units, due)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", reason)
    assert promises(floor, case) == []


def test_a_promise_in_another_currency_or_of_nothing_names_the_field(
    floor: House, feed: Feed, debtor: str
) -> None:
    case = opened(floor, feed, debtor)
    stub = floor.client("collections", rpc.PromiseServiceStub)
    for amount, field in (
        (money(88_849, "USD"), "amount.currency_code"),
        (money(-1), "amount.minor_units"),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            stub.RecordPromise(
                pb.RecordPromiseRequest(
                    request_id=rid(),
                    case_id=case.case_id,
                    amount=amount,
                    due_date=day("2026-03-17"),
                )
            )
        assert field in violations(refused.value)


def agency(house: House, basis_points: int = 2_500) -> pb.Agency:
    stub = house.client("collections", rpc.AgencyServiceStub)
    request = pb.RegisterAgencyRequest(
        request_id=rid(), name=f"Agency {uuid4().hex[:6]}", commission_basis_points=basis_points
    )
    return stub.RegisterAgency(request).agency


def test_a_placement_ends_by_the_calendar(floor: House, feed: Feed, debtor: str) -> None:
    case = opened(floor, feed, debtor)
    stub = floor.client("collections", rpc.AgencyServiceStub)
    ours = agency(floor)
    place = pb.PlaceCaseRequest(
        request_id=rid(), case_id=case.case_id, agency_id=ours.agency_id, days=30
    )
    placed = stub.PlaceCase(place).case
    assert (placed.status, placed.agency_id) == (pb.CASE_STATUS_OUTSOURCED, ours.agency_id)
    assert permit(floor, case, pb.CHANNEL_AGENCY_CALL).allowed
    place.request_id = rid()
    with pytest.raises(grpc.RpcError) as refused:
        stub.PlaceCase(place)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "ALREADY_PLACED")
    feed.close_days(29)
    assert only(floor, debtor).agency_id == ours.agency_id
    feed.close_days(1)
    case = only(floor, debtor)
    assert (case.status, case.agency_id) == (pb.CASE_STATUS_NEW, "")
    assert history(floor, case)[-1] == "RECALLED"


def test_a_recall_by_hand_gives_the_case_back(floor: House, feed: Feed, debtor: str) -> None:
    case = opened(floor, feed, debtor)
    stub = floor.client("collections", rpc.AgencyServiceStub)
    ours = agency(floor)
    assert ours in stub.ListAgencies(pb.ListAgenciesRequest()).agencies
    with pytest.raises(grpc.RpcError) as refused:
        stub.PlaceCase(
            pb.PlaceCaseRequest(request_id=rid(), case_id=case.case_id, agency_id="AG0", days=30)
        )
    assert refusal(refused.value) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")
    stub.PlaceCase(
        pb.PlaceCaseRequest(
            request_id=rid(), case_id=case.case_id, agency_id=ours.agency_id, days=90
        )
    )
    recall = pb.RecallCaseRequest(request_id=rid(), case_id=case.case_id, reason="complaint")
    assert stub.RecallCase(recall).case.agency_id == ""
    recall.request_id = rid()
    with pytest.raises(grpc.RpcError) as refused:
        stub.RecallCase(recall)
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "NOT_PLACED")


def test_a_paid_case_pulls_what_was_under_way(floor: House, feed: Feed, debtor: str) -> None:
    case = opened(floor, feed, debtor)
    token = permit(floor, case, pb.CHANNEL_SMS).token
    promise(floor, case, 88_849, "2026-03-18")
    stub = floor.client("collections", rpc.AgencyServiceStub)
    stub.PlaceCase(
        pb.PlaceCaseRequest(
            request_id=rid(), case_id=case.case_id, agency_id=agency(floor).agency_id, days=30
        )
    )
    feed.reminder(loan(f"ln-{debtor}", debtor, 1, 88_849), -1)
    feed.repaid(loan(f"ln-{debtor}", debtor, 0, 0, NORMAL), 88_849)
    case = only(floor, debtor)
    assert (case.status, case.agency_id) == (pb.CASE_STATUS_CLOSED, "")
    assert promises(floor, case)[0].state == pb.PROMISE_STATE_KEPT
    rows = floor.sql(
        "SELECT state FROM reminder WHERE customer_id = :who", "collections", who=debtor
    )
    assert [row.state for row in rows] == ["DROPPED"]
    rows = floor.sql(
        "SELECT at, expires_at FROM contact WHERE token = :it", "collections", it=token
    )
    assert rows[0].at == rows[0].expires_at


def queued(house: House, debtor: str) -> list[Any]:
    rows = "SELECT state, not_before, text FROM reminder WHERE customer_id = :who"
    return house.sql(rows, "collections", who=debtor)


def test_a_reminder_at_night_waits_for_the_morning(floor: House, feed: Feed, debtor: str) -> None:
    floor.set_clock("2026-03-16T20:00")
    feed.reminder(loan("ln-0123", debtor, -3, 0, NORMAL), 3)
    (row,) = wait_until(lambda: [one for one in queued(floor, debtor) if one.not_before])
    assert row.state == "QUEUED"
    assert row.not_before.isoformat() == "2026-03-17T00:00:00+00:00"
    assert "尾号0123的借款将于2026年3月19日到期" in row.text
    denied = floor.sql(
        "SELECT denied_reason FROM contact WHERE customer_id = :who", "collections", who=debtor
    )
    assert [one.denied_reason for one in denied] == ["QUIET_HOURS"]


def test_a_reminder_that_would_say_what_is_no_longer_so_is_dropped(
    floor: House, feed: Feed, debtor: str
) -> None:
    floor.set_clock("2026-03-16T20:00")
    feed.reminder(loan("ln-0123", debtor, 1, 88_849), -1)
    wait_until(lambda: queued(floor, debtor)[0].not_before)
    feed.close_days(2)
    floor.set_clock("2026-03-18T08:00")
    wait_until(lambda: queued(floor, debtor)[0].state == "DROPPED")


def test_a_closed_case_takes_no_decision(floor: House, feed: Feed, debtor: str) -> None:
    case = opened(floor, feed, debtor)
    feed.repaid(loan(f"ln-{debtor}", debtor, 0, 0, NORMAL), 88_849)
    stub = floor.client("collections", rpc.CaseServiceStub)
    with pytest.raises(grpc.RpcError) as refused:
        stub.HoldCase(
            pb.HoldCaseRequest(
                request_id=rid(), case_id=case.case_id, until=day("2026-03-20"), reason="x"
            )
        )
    assert refusal(refused.value) == ("FAILED_PRECONDITION", "CASE_CLOSED")


def test_a_request_sent_twice_is_done_once(floor: House, feed: Feed, debtor: str) -> None:
    case = opened(floor, feed, debtor)
    stub = floor.client("collections", rpc.ContactServiceStub)
    request = pb.PermitContactRequest(
        request_id=rid(), case_id=case.case_id, channel=pb.CHANNEL_IVR
    )
    assert stub.PermitContact(request) == stub.PermitContact(request)
    kept = stub.ListContacts(pb.ListContactsRequest(case_id=case.case_id)).contacts
    assert len(kept) == 1


def test_pages_follow_each_other_by_case_id(floor: House, feed: Feed) -> None:
    collector = f"pager-{uuid4().hex[:6]}"
    stub = floor.client("collections", rpc.CaseServiceStub)
    for number in range(3):
        debtor = f"cu_{collector}_{number}"
        case = opened(floor, feed, debtor)
        stub.TransferCase(
            pb.TransferCaseRequest(
                request_id=rid(), case_id=case.case_id, collector=collector, reason="test"
            )
        )
    first = stub.ListCases(pb.ListCasesRequest(collector=collector, page_size=2))
    second = stub.ListCases(
        pb.ListCasesRequest(collector=collector, page_size=2, page_token=first.next_page_token)
    )
    ids = [case.case_id for case in [*first.cases, *second.cases]]
    assert len(ids) == 3
    assert ids == sorted(ids)
    assert second.next_page_token == ""


def test_unknown_ids_are_named(floor: House) -> None:
    cases = floor.client("collections", rpc.CaseServiceStub)
    contacts = floor.client("collections", rpc.ContactServiceStub)
    write_offs = floor.client("collections", rpc.WriteOffServiceStub)
    calls: list[Callable[[], object]] = [
        lambda: cases.GetCase(pb.GetCaseRequest(case_id="none")),
        lambda: cases.ListCaseHistory(pb.ListCaseHistoryRequest(case_id="none")),
        lambda: contacts.ListContacts(pb.ListContactsRequest(case_id="none")),
        lambda: write_offs.GetWriteOff(pb.GetWriteOffRequest(write_off_id="none")),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert refusal(refused.value) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")


def test_the_history_cannot_be_rewritten(floor: House, feed: Feed, debtor: str) -> None:
    opened(floor, feed, debtor)
    with pytest.raises(DBAPIError, match="append-only"):
        floor.sql("UPDATE case_history SET note = ''", "collections", write=True)
