"""Classes with a memory: held until cured, under observation, judged by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servicing.test_impairment import BOUNDARIES
from sqlalchemy import create_engine, literal, select

from support import House
from tael_runtime.embedded_postgres import EmbeddedPostgres
from tael_servicing import snapshots
from tael_servicing.arithmetic.classes import (
    Cause,
    Facts,
    Standing,
    is_technical,
    judge,
    restructured,
    technical,
    unremembered,
    with_class,
    with_stage,
)
from tael_servicing.arithmetic.impairment import BAD, ImpairmentPolicy, RiskClass, risk_class

POLICY = ImpairmentPolicy()
DAY = date(2026, 6, 1)
NORMAL, MENTION, SUBSTANDARD, DOUBTFUL, LOSS = RiskClass


def late(days: int, day: date = DAY, **more: bool | int) -> Facts:
    """A loan so many days past due."""
    return Facts(day, days, day - timedelta(days=days), **more) if days else Facts(day, **more)


def after(standing: Standing, *told: Facts) -> Standing:
    """The standing after each of these day ends."""
    for facts in told:
        standing = judge(POLICY, standing, facts)
    return standing


@pytest.mark.parametrize(("dpd", "expected"), BOUNDARIES)
def test_days_past_due_decide_where_nothing_is_remembered(dpd: int, expected: RiskClass) -> None:
    standing = unremembered(POLICY, late(dpd))
    assert (standing.risk_class, standing.cause) == (expected, Cause.NONE)
    assert standing.plain == (expected < BAD)


@pytest.mark.parametrize(("dpd", "stage"), [(0, 1), (30, 1), (31, 2), (90, 2), (91, 3)])
def test_the_stage_follows_days_past_due(dpd: int, stage: int) -> None:
    assert unremembered(POLICY, late(dpd)).stage == stage


def test_a_first_payment_does_not_improve_a_bad_class() -> None:
    doubtful = unremembered(POLICY, late(300))
    paid = after(doubtful, late(60, DAY + timedelta(days=1)))
    assert (paid.risk_class, paid.cause, paid.stage) == (DOUBTFUL, Cause.HELD, 3)
    assert paid.since == doubtful.since


def test_a_bad_loan_is_upgraded_after_six_months_and_two_periods_paid() -> None:
    bad = after(unremembered(POLICY, late(95)), Facts(DAY))
    assert (bad.risk_class, bad.cause, bad.clear_since) == (SUBSTANDARD, Cause.HELD, DAY)
    for day, paid, expected in (
        (date(2026, 11, 30), 5, SUBSTANDARD),
        (date(2026, 12, 1), 1, SUBSTANDARD),
        (date(2026, 12, 1), 2, NORMAL),
    ):
        assert after(bad, Facts(day, periods_paid=paid)).risk_class is expected
    assert after(bad, Facts(date(2026, 12, 1), periods_paid=2)).plain


def test_one_day_past_due_begins_the_cure_anew() -> None:
    bad = after(unremembered(POLICY, late(95)), Facts(DAY), late(1, DAY + timedelta(days=30)))
    assert bad.clear_since is None
    again = DAY + timedelta(days=31)
    assert after(bad, Facts(again)).clear_since == again


def test_a_restructured_loan_is_watched_for_a_year() -> None:
    watched = restructured(POLICY, unremembered(POLICY, Facts(DAY)), Facts(DAY))
    assert (watched.risk_class, watched.stage, watched.cause) == (MENTION, 2, Cause.RESTRUCTURED)
    last = after(watched, Facts(DAY + timedelta(days=364)))
    assert last.risk_class is MENTION
    assert after(last, Facts(DAY + timedelta(days=365))).plain
    assert after(watched, late(91)).risk_class is SUBSTANDARD


def test_a_rescheduling_is_observed_once_and_an_approval_ends_it() -> None:
    told = Facts(DAY, restructured=DAY - timedelta(days=10))
    watched = unremembered(POLICY, told)
    assert (watched.risk_class, watched.cause) == (MENTION, Cause.RESTRUCTURED)
    approved = with_class(POLICY, watched, NORMAL, told)
    next_day = replace(told, day=DAY + timedelta(days=1))
    assert after(approved, next_day).risk_class is NORMAL
    again = replace(next_day, restructured=next_day.day)
    assert after(approved, again).risk_class is MENTION
    assert unremembered(POLICY, replace(told, day=DAY + timedelta(days=355))).plain


def test_a_class_worsened_by_hand_is_a_floor() -> None:
    worse = with_class(POLICY, unremembered(POLICY, Facts(DAY)), SUBSTANDARD, Facts(DAY))
    assert (worse.risk_class, worse.cause, worse.stage) == (SUBSTANDARD, Cause.WORSENED, 3)
    assert after(worse, late(300)).risk_class is DOUBTFUL


def test_an_improvement_lasts_until_days_past_due_say_worse() -> None:
    better = with_class(POLICY, unremembered(POLICY, late(95)), MENTION, late(95))
    assert (better.risk_class, better.cause, better.stage) == (MENTION, Cause.IMPROVED, 3)
    assert after(better, late(200)).risk_class is MENTION
    worse = after(better, late(271))
    assert (worse.risk_class, worse.improved) == (DOUBTFUL, None)
    assert after(worse, late(95)).risk_class is DOUBTFUL, "it does not come back"


def test_an_approved_upgrade_ends_what_held_the_loan() -> None:
    held = after(unremembered(POLICY, late(95)), Facts(DAY))
    assert with_class(POLICY, held, NORMAL, Facts(DAY)).plain


@pytest.mark.parametrize(("dpd", "may"), [(0, False), (1, True), (7, True), (8, False)])
def test_lateness_is_technical_for_a_week(dpd: int, *, may: bool) -> None:
    assert is_technical(late(dpd)) is may


def test_a_technical_lateness_stays_normal_for_a_week_and_only_that_one() -> None:
    due = DAY - timedelta(days=3)
    flagged = technical(POLICY, unremembered(POLICY, late(3)), late(3))
    assert (flagged.risk_class, flagged.cause, flagged.stage) == (NORMAL, Cause.TECHNICAL, 1)
    assert after(flagged, Facts(due + timedelta(days=7), 7, due)).risk_class is NORMAL
    assert after(flagged, Facts(due + timedelta(days=8), 8, due)).risk_class is MENTION
    assert after(flagged, late(1, DAY + timedelta(days=30))).risk_class is MENTION


def test_non_accrual_is_bad_whatever_the_days() -> None:
    off = unremembered(POLICY, late(20, non_accrual=True))
    assert (off.risk_class, off.stage, off.cause) == (SUBSTANDARD, 3, Cause.NON_ACCRUAL)


def test_a_stage_judged_by_hand_is_a_floor() -> None:
    watched = with_stage(POLICY, unremembered(POLICY, Facts(DAY)), 2, Facts(DAY))
    assert (watched.risk_class, watched.stage, watched.plain) == (NORMAL, 2, False)
    assert with_stage(POLICY, watched, 1, Facts(DAY)).plain


days = st.one_of(st.integers(0, 8), st.integers(80, 100), st.integers(0, 400))


@given(st.lists(days, min_size=1, max_size=8))
def test_without_a_hand_the_class_is_never_better_than_days_past_due_say(told: list[int]) -> None:
    standing = unremembered(POLICY, late(told[0]))
    for number, dpd in enumerate(told[1:], 1):
        before, facts = standing, late(dpd, DAY + timedelta(days=number))
        standing = judge(POLICY, before, facts)
        assert standing.risk_class >= risk_class(POLICY, dpd)
        if before.risk_class >= BAD:
            assert standing.risk_class >= before.risk_class, "cured within days"
        assert judge(POLICY, standing, facts) == replace(
            standing, clear_since=judge(POLICY, standing, facts).clear_since
        ), "judging a day twice changes nothing"


def test_the_store_classes_by_days_past_due_as_the_arithmetic_does(house: House) -> None:
    cluster = EmbeddedPostgres(house.settings.data_dir)
    cluster.start()
    engine = create_engine(cluster.url("postgres", "tael"))
    with engine.connect() as connection:
        for dpd in range(400):
            found = connection.execute(select(snapshots.class_by_days(POLICY, literal(dpd))))
            assert found.scalar_one() == risk_class(POLICY, dpd)
    engine.dispose()
