"""Collections' pure rules: buckets, the gate, assignment, promises, status."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tael.servicing.v1 import loan_pb2
from tael_collections import promises
from tael_collections.arrears import Worst, is_case, measure, seen, standing_of
from tael_collections.assignment import Collector, PoolCase, assign
from tael_collections.buckets import Bucket, bucket_of
from tael_collections.case_status import StatusFacts, status_of
from tael_collections.cases import limitation_from
from tael_collections.contact_rules import Allow, CaseFacts, Channel, Counts, Deny, decide
from tael_collections.parameters import Parameter, Parameters, house_parameters
from tael_collections.placements import commission_of
from tael_collections.promises import Arrears, Promise
from tael_collections.reasons import Reason
from tael_runtime.clock import SHANGHAI
from tael_runtime.errors import FailedPrecondition, InvalidArgument

RULES = house_parameters()
DAY = date(2026, 3, 20)
CALL, TEXT = Channel.HUMAN_CALL, Channel.SMS
NOTHING = Counts()
OVERDUE = loan_pb2.LOAN_STATE_OVERDUE


def seconds_from(day: str, days: int) -> st.SearchStrategy[datetime]:
    """Any second of some days, in Shanghai."""
    begin = datetime.fromisoformat(day).replace(tzinfo=SHANGHAI)
    return st.integers(0, days * 86_400 - 1).map(lambda after: begin + timedelta(seconds=after))


def at(text: str, day: date = DAY) -> datetime:
    return datetime.fromisoformat(f"{day}T{text}").replace(tzinfo=SHANGHAI)


def ask(
    when: datetime, channel: Channel = CALL, counts: Counts = NOTHING, **facts: object
) -> Allow | Deny:
    return decide(when, channel, CaseFacts(business_date=DAY, **facts), counts, RULES)  # type: ignore[arg-type]  # facts by name


def reason(answer: Allow | Deny) -> str:
    return answer.reason.name if isinstance(answer, Deny) else "ALLOWED"


@pytest.mark.parametrize(
    ("dpd", "bucket"),
    [
        (-3, Bucket.M0),
        (0, Bucket.M0),
        (1, Bucket.M1),
        (30, Bucket.M1),
        (31, Bucket.M2),
        (60, Bucket.M2),
        (61, Bucket.M3),
        (90, Bucket.M3),
        (91, Bucket.M4),
        (120, Bucket.M4),
        (121, Bucket.M5),
        (150, Bucket.M5),
        (151, Bucket.M6),
        (180, Bucket.M6),
        (181, Bucket.M6_PLUS),
        (4000, Bucket.M6_PLUS),
    ],
)
def test_a_bucket_begins_and_ends_on_its_days(dpd: int, bucket: Bucket) -> None:
    assert bucket_of(dpd) is bucket


@given(st.integers(-10, 400))
def test_a_day_more_past_due_never_betters_the_bucket(dpd: int) -> None:
    assert bucket_of(dpd) <= bucket_of(dpd + 1)


def owing(
    dpd: int, past_due: int, state: loan_pb2.LoanState.ValueType = OVERDUE, **held: int
) -> loan_pb2.Loan:
    balances = loan_pb2.LoanBalances(**held)
    return loan_pb2.Loan(state=state, dpd=dpd, amount_past_due=past_due, balances=balances)


@given(st.integers(-5, 400), st.integers(0, 300))
def test_a_loan_makes_a_case_from_a_day_and_more_than_the_tolerance(dpd: int, due: int) -> None:
    assert is_case(standing_of(owing(dpd, due)), 100) == (dpd >= 1 and due > 100)


def test_a_loan_that_is_over_makes_no_case_whatever_its_figures_say() -> None:
    for state in (loan_pb2.LOAN_STATE_CLOSED_OVERDUE, loan_pb2.LOAN_STATE_CANCELLED):
        assert not is_case(standing_of(owing(5, 10_000, state)), 100)


def test_a_written_off_loan_is_due_as_a_whole_and_keeps_its_case_to_the_last_cent() -> None:
    claim = owing(
        120, 7, loan_pb2.LOAN_STATE_WRITTEN_OFF, written_off_principal=1, written_off_interest=2
    )
    assert seen(claim).amount_past_due == 3
    assert is_case(standing_of(claim), 100)
    assert not is_case(standing_of(owing(120, 7, loan_pb2.LOAN_STATE_WRITTEN_OFF)), 100)


def test_a_case_is_as_bad_as_its_worst_loan_and_as_large_as_all() -> None:
    loans = [seen(owing(3, 500)), seen(owing(61, 70)), seen(owing(31, 9))]
    assert measure(loans) == Worst(Bucket.M3, 579)


@pytest.mark.parametrize(
    ("time", "channel", "expected"),
    [
        ("07:59:59.999999", CALL, "QUIET_HOURS"),
        ("08:00:00", CALL, "ALLOWED"),
        ("21:59:59.999999", CALL, "ALLOWED"),
        ("22:00:00", CALL, "QUIET_HOURS"),
        ("00:00:00", CALL, "QUIET_HOURS"),
        ("07:59:59", TEXT, "QUIET_HOURS"),
        ("08:00:00", TEXT, "ALLOWED"),
        ("19:59:59", TEXT, "ALLOWED"),
        ("20:00:00", TEXT, "QUIET_HOURS"),
    ],
)
def test_the_window_is_half_open(time: str, channel: Channel, expected: str) -> None:
    assert reason(ask(at(time), channel)) == expected


@given(seconds_from("2026-03-01", 300))
def test_no_call_is_allowed_at_night_and_every_one_by_day(when: datetime) -> None:
    allowed = isinstance(ask(when), Allow)
    assert allowed == (8 <= when.hour < 22)


@given(
    seconds_from("2026-01-01", 364),
    st.sampled_from(list(Channel)),
)
def test_when_the_gate_says_to_come_back_the_hour_itself_no_longer_forbids(
    when: datetime, channel: Channel
) -> None:
    answer = ask(when, channel)
    if isinstance(answer, Deny):
        assert answer.retry_at is not None
        assert answer.retry_at > when
        again = ask(answer.retry_at, channel)
        assert reason(again) in ("ALLOWED", "HOLIDAY")


def test_the_time_zone_is_shanghai_whatever_the_instant_is_written_in() -> None:
    assert reason(ask(datetime.fromisoformat("2026-03-20T14:00:00+00:00"))) == "QUIET_HOURS"
    assert reason(ask(datetime.fromisoformat("2026-03-20T00:00:00+00:00"))) == "ALLOWED"


@pytest.mark.parametrize("channel", [one for one in Channel if one.is_call])
def test_the_fourth_connected_call_of_a_day_is_refused_on_every_channel(channel: Channel) -> None:
    assert reason(ask(at("10:00"), channel, Counts(connected_calls=2, dials=5))) == "ALLOWED"
    fourth = ask(at("10:00"), channel, Counts(connected_calls=3, dials=3))
    assert reason(fourth) == "DAILY_CALL_LIMIT"
    assert isinstance(fourth, Deny)
    assert "GB/T 45251-2025" in fourth.detail


def test_the_seventh_dial_is_refused() -> None:
    assert reason(ask(at("10:00"), CALL, Counts(dials=5))) == "ALLOWED"
    assert reason(ask(at("10:00"), CALL, Counts(dials=6))) == "DAILY_DIAL_LIMIT"


def test_texts_are_counted_by_day_and_by_week_and_not_with_calls() -> None:
    assert reason(ask(at("10:00"), TEXT, Counts(texts_today=1, texts_week=4))) == "ALLOWED"
    assert reason(ask(at("10:00"), TEXT, Counts(texts_today=2))) == "DAILY_TEXT_LIMIT"
    assert reason(ask(at("10:00"), TEXT, Counts(texts_week=5))) == "WEEKLY_TEXT_LIMIT"
    assert reason(ask(at("10:00"), TEXT, Counts(connected_calls=3, dials=6))) == "ALLOWED"
    assert reason(ask(at("10:00"), CALL, Counts(texts_today=2, texts_week=5))) == "ALLOWED"


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2026-02-15", "ALLOWED"),
        ("2026-02-16", "HOLIDAY"),
        ("2026-02-17", "HOLIDAY"),
        ("2026-02-19", "HOLIDAY"),
        ("2026-02-20", "ALLOWED"),
        ("2025-01-28", "HOLIDAY"),
        ("2025-02-01", "ALLOWED"),
        ("2027-02-05", "HOLIDAY"),
        ("2044-06-01", "HOLIDAY"),
    ],
)
def test_spring_festival_is_free_of_contact_and_an_unknown_year_too(
    day: str, expected: str
) -> None:
    assert reason(ask(at("10:00", date.fromisoformat(day)))) == expected


def test_a_hold_ends_on_its_date_exclusive() -> None:
    assert reason(ask(at("10:00"), TEXT, hold_until=DAY + timedelta(days=1))) == "ON_HOLD"
    assert reason(ask(at("10:00"), TEXT, hold_until=DAY)) == "ALLOWED"


def test_an_open_promise_pauses_calls_and_not_texts() -> None:
    assert reason(ask(at("10:00"), CALL, promise_until=DAY)) == "PROMISE_OPEN"
    assert reason(ask(at("10:00"), TEXT, promise_until=DAY)) == "ALLOWED"
    assert reason(ask(at("10:00"), CALL, promise_until=DAY - timedelta(days=1))) == "ALLOWED"


def test_of_a_limit_and_a_promise_the_limit_is_told() -> None:
    fourth = ask(at("10:00"), CALL, Counts(connected_calls=3), promise_until=DAY)
    assert reason(fourth) == "DAILY_CALL_LIMIT"


def test_a_closed_case_allows_nothing() -> None:
    assert reason(ask(at("10:00"), CALL, closed=True)) == "CASE_CLOSED"


def test_a_permit_holds_for_five_minutes() -> None:
    assert ask(at("10:00")) == Allow(at("10:05"))


def test_a_parameter_changes_on_its_day_and_names_its_source() -> None:
    before = Parameter("call.dials_per_day", "6", date(2025, 1, 1), "old")
    after = Parameter("call.dials_per_day", "4", date(2026, 1, 1), "new")
    table = Parameters([after, before])
    assert table.on("call.dials_per_day", date(2025, 12, 31)) == before
    assert table.on("call.dials_per_day", date(2026, 1, 1)) == after
    with pytest.raises(KeyError):
        table.on("call.dials_per_day", date(2024, 12, 31))


names = st.text("abcdef", min_size=1, max_size=3)
pool = st.lists(
    st.builds(PoolCase, names, st.integers(0, 5), st.sampled_from(Bucket)),
    unique_by=lambda case: case.case_id,
    max_size=25,
)
staff = st.lists(
    st.builds(Collector, names, st.integers(1, 5), st.sampled_from(Bucket), st.integers(0, 3)),
    unique_by=lambda one: one.name,
    max_size=5,
)


@given(pool, staff, st.randoms())
def test_assignment_is_whole_able_and_the_same_in_any_order(
    cases: list[PoolCase], collectors: list[Collector], random: object
) -> None:
    answer = assign(cases, collectors)
    shuffled = list(cases)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert assign(shuffled, reversed(collectors)) == answer
    assert sorted([case for case, _ in answer.made] + list(answer.unassigned)) == sorted(
        case.case_id for case in cases
    )
    by_id = {case.case_id: case for case in cases}
    for one in collectors:
        taken = [case for case, name in answer.made if name == one.name]
        assert len(taken) + one.load <= max(one.capacity, one.load)
        assert all(by_id[case].bucket <= one.skill for case in taken)


def test_the_largest_case_goes_first_to_the_smallest_load_and_ties_by_name() -> None:
    cases = [
        PoolCase("b", 10, Bucket.M1),
        PoolCase("a", 10, Bucket.M1),
        PoolCase("c", 99, Bucket.M2),
    ]
    on_duty = [
        Collector("zoe", 9, Bucket.M6, load=1),
        Collector("ann", 9, Bucket.M1, load=1),
        Collector("bob", 1, Bucket.M6, load=1),
    ]
    answer = assign(cases, on_duty)
    assert answer.made == (("c", "zoe"), ("a", "ann"), ("b", "ann"))


ARREARS = Arrears(88_849, Bucket.M1, 0)


def test_a_promise_covers_thirty_percent_to_the_cent() -> None:
    promises.check(26_655, DAY, ARREARS, DAY, RULES)
    with pytest.raises(FailedPrecondition) as refused:
        promises.check(26_654, DAY, ARREARS, DAY, RULES)
    assert refused.value.reason is Reason.PROMISE_TOO_SMALL


@pytest.mark.parametrize(
    ("bucket", "days", "fine"),
    [(Bucket.M1, 3, True), (Bucket.M1, 4, False), (Bucket.M2, 7, True), (Bucket.M4, 8, False)],
)
def test_a_promise_is_near(bucket: Bucket, days: int, fine: bool) -> None:
    arrears = Arrears(100, bucket, 1)
    due = DAY + timedelta(days=days)
    if fine:
        promises.check(100, due, arrears, DAY, RULES)
        return
    with pytest.raises(FailedPrecondition) as refused:
        promises.check(100, due, arrears, DAY, RULES)
    assert refused.value.reason is Reason.PROMISE_TOO_LATE


def test_a_third_open_promise_and_one_for_yesterday_are_refused() -> None:
    with pytest.raises(FailedPrecondition) as refused:
        promises.check(100, DAY, Arrears(100, Bucket.M1, 2), DAY, RULES)
    assert refused.value.reason is Reason.TOO_MANY_PROMISES
    with pytest.raises(InvalidArgument):
        promises.check(100, DAY - timedelta(days=1), ARREARS, DAY, RULES)


def promised(received: int, amount: int = 10_000, due: date = DAY, name: str = "p1") -> Promise:
    made_on = DAY - timedelta(days=2)
    return Promise(name, "c", amount, "CNY", due, promises.OPEN, received, made_on)


@pytest.mark.parametrize(
    ("received", "days_after", "state"),
    [
        (9_500, 0, "KEPT"),
        (9_499, 0, "OPEN"),
        (9_499, 1, "BROKEN"),
        (9_500, 1, "KEPT"),
        (0, 1, "BROKEN"),
    ],
)
def test_a_promise_is_kept_with_95_percent_by_the_day_after(
    received: int, days_after: int, state: str
) -> None:
    assert promises.verdict(promised(received), DAY + timedelta(days=days_after), RULES) == state


def test_money_counts_towards_the_earliest_promise_within_its_days_only() -> None:
    first, second = promised(4_000), promised(0, due=DAY + timedelta(days=3), name="p2")
    assert promises.credit([second, first], 8_000, DAY, RULES) == {"p1": 6_000, "p2": 2_000}
    late = DAY + timedelta(days=2)
    assert promises.credit([first, second], 8_000, late, RULES) == {"p2": 8_000}
    assert promises.credit([first], 8_000, DAY - timedelta(days=3), RULES) == {}


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=4), st.integers(1, 5000))
def test_no_cent_is_counted_twice(amounts: list[int], money: int) -> None:
    open_now = [promised(0, amount, name=f"p{n}") for n, amount in enumerate(amounts)]
    added = promises.credit(open_now, money, DAY, RULES)
    assert sum(added.values()) == min(money, sum(amounts))
    assert all(added.get(one.promise_id, 0) <= one.amount for one in open_now)


def test_the_furthest_status_that_the_facts_support_is_told() -> None:
    assert status_of(StatusFacts()) == "NEW"
    assert status_of(StatusFacts(assigned=True)) == "ASSIGNED"
    assert status_of(StatusFacts(assigned=True, contacted=True, promise_broken=True)) == "BROKEN"
    assert status_of(StatusFacts(placed=True, written_off=True)) == "RECOVERY"
    assert status_of(StatusFacts(written_off=True, closed=True)) == "CLOSED"


def test_commission_is_rounded_half_up_on_the_net_cash() -> None:
    assert commission_of(100_000, 2_500) == 25_000
    assert commission_of(2, 2_500) == 1
    assert commission_of(1, 2_500) == 0


def test_the_limitation_is_three_years_and_a_leap_day_ends_on_the_28th() -> None:
    assert limitation_from(date(2026, 3, 20), RULES) == date(2029, 3, 20)
    assert limitation_from(date(2028, 2, 29), RULES) == date(2031, 2, 28)
