"""Scorecard arithmetic against the worked table."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from risk.applicants import shipped

from tael_risk.scorecards import Evidence, Scale, weigh_evidence

SCALE = Scale(base=Decimal(600), odds=Decimal(50), doubling=Decimal(20))
QUERIES = [(4000, 60), (3000, 90), (2000, 120), (1000, 130)]


def rounded(value: Decimal) -> Decimal:
    return round(value, 4)


def test_factor_and_offset_of_600_at_50_to_1_doubling_every_20() -> None:
    assert rounded(SCALE.factor) == Decimal("28.8539")
    assert rounded(SCALE.offset) == Decimal("487.1229")


@pytest.mark.parametrize(
    ("odds", "score"), [(1, 487), (10, 554), (20, 574), (50, 600), (100, 620), (200, 640)]
)
def test_the_score_that_odds_stand_for(odds: int, score: int) -> None:
    assert SCALE.score_at(Decimal(odds)) == score


def test_evidence_information_and_points_of_bureau_queries() -> None:
    evidence = weigh_evidence(QUERIES)
    assert [rounded(each.woe) for each in evidence] == [
        Decimal(text) for text in ("0.9808", "0.2877", "-0.4055", "-1.1787")
    ]
    assert [rounded(each.information) for each in evidence] == [
        Decimal(text) for text in ("0.2452", "0.0216", "0.0405", "0.2652")
    ]
    assert rounded(sum((each.information for each in evidence), Decimal(0))) == Decimal("0.5725")
    intercept = Decimal(25).ln()
    points = [SCALE.points(each.woe, Decimal("0.85"), intercept, 5) for each in evidence]
    assert points == [140, 123, 106, 87]


def test_the_shipped_card_carries_those_points() -> None:
    queries = shipped().policy.scorecard.characteristics[0]
    assert [each.points for each in queries.bins if not each.missing] == [140, 123, 106, 87]


def test_a_bin_without_bad_cases_is_weighed_with_half_a_case_more() -> None:
    first, _ = weigh_evidence([(100, 0), (100, 50)])
    assert rounded(first.woe) == rounded((Decimal("100.5") / 200 / (Decimal("0.5") / 50)).ln())


def test_evidence_needs_good_and_bad_cases() -> None:
    with pytest.raises(ValueError, match="both good and bad"):
        weigh_evidence([(10, 0), (20, 0)])


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=2, max_size=7))
def test_information_is_never_negative(bins: list[tuple[int, int]]) -> None:
    evidence: tuple[Evidence, ...] = weigh_evidence(bins)
    assert all(each.information >= 0 for each in evidence)


@given(st.integers(-10, 200) | st.none(), st.integers(0, 10**9) | st.none())
def test_every_value_falls_in_exactly_one_bin(queries: int | None, income: int | None) -> None:
    card = shipped().policy.scorecard
    for characteristic in card.characteristics:
        value = income if "income" in characteristic.feature else queries
        assert sum(each.takes(value) for each in characteristic.bins) == 1
