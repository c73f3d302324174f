"""The lender's impairment policy: dated parameters of a book, every one with a default."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

from google.protobuf import json_format
from google.type import decimal_pb2
from sqlalchemy import Connection, insert, select

from tael.servicing.v1 import portfolio_pb2 as pb
from tael_client.values import from_decimal, to_decimal
from tael_runtime.errors import InvalidArgument, InvalidFields
from tael_runtime.fields import read_date
from tael_servicing import books
from tael_servicing.arithmetic.impairment import ImpairmentPolicy
from tael_servicing.tables import impairment_policy as policies

DEFAULT = ImpairmentPolicy()


@dataclass(frozen=True)
class Dated:
    """A policy, and the day it came into force; none for the defaults as shipped."""

    policy: ImpairmentPolicy
    effective_from: date | None = None


def in_force(connection: Connection, book_id: str, day: date) -> Dated:
    """The last policy set of those that had begun."""
    row = connection.execute(
        select(policies.c.policy, policies.c.effective_from)
        .where(policies.c.book_id == book_id, policies.c.effective_from <= day)
        .order_by(policies.c.effective_from.desc(), policies.c.number.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return Dated(DEFAULT)
    kept = json_format.ParseDict(row.policy, pb.ImpairmentPolicy())
    return Dated(_policy(kept), row.effective_from)


def put_in_force(
    transaction: Connection, request: pb.SetImpairmentPolicyRequest
) -> ImpairmentPolicy:
    """Keeps a policy under its first day. Raises InvalidArgument, InvalidFields."""
    book = books.hold_open(transaction, request.book_id)
    begins = read_date("effective_from", request.effective_from)
    if begins < book.business_date:
        raise InvalidArgument(
            "effective_from", f"must be the business date, {book.business_date}, or later"
        )
    found = read(request.policy)
    transaction.execute(
        insert(policies).values(
            book_id=book.book_id,
            effective_from=begins,
            policy=json_format.MessageToDict(message(found), preserving_proto_field_name=True),
            reason=request.reason,
            approval=request.approval,
        )
    )
    return found


def read(given: pb.ImpairmentPolicy) -> ImpairmentPolicy:
    """The policy asked for, defaults filled in. Raises InvalidFields, naming every field."""
    problems = [*_unreadable(given), *_wrong_counts(given)]
    if not problems:
        found = _policy(given)
        problems = [(field, why) for holds, field, why in _rules(found) if not holds]
    if problems:
        raise InvalidFields([(f"policy.{field}", why) for field, why in problems])
    return found


def message(policy: ImpairmentPolicy) -> pb.ImpairmentPolicy:
    """In the contract's words, every default written out."""

    def told(value: Any) -> Any:
        if isinstance(value, Decimal):
            return from_decimal(value)
        return [told(each) for each in value] if isinstance(value, tuple) else value

    return pb.ImpairmentPolicy(**{name: told(value) for name, value in asdict(policy).items()})


def _policy(given: pb.ImpairmentPolicy) -> ImpairmentPolicy:
    limits = tuple(given.class_limits) or DEFAULT.class_limits
    return ImpairmentPolicy(
        class_limits=(limits[0], limits[1], limits[2], limits[3]),
        stage2_dpd=given.stage2_dpd or DEFAULT.stage2_dpd,
        default_probability_12_months=_decimal(
            given.default_probability_12_months, DEFAULT.default_probability_12_months
        ),
        default_probability_by_year=_decimals(
            given.default_probability_by_year, DEFAULT.default_probability_by_year
        ),
        loss_given_default=_decimal(given.loss_given_default, DEFAULT.loss_given_default),
        discounted=given.discounted,
        credit_conversion=_decimal(given.credit_conversion, DEFAULT.credit_conversion),
        floors=_decimals(given.floors, DEFAULT.floors),
        observation_days=given.observation_days or DEFAULT.observation_days,
        min_allowance_ratio=_decimal(given.min_allowance_ratio, DEFAULT.min_allowance_ratio),
        min_coverage_ratio=_decimal(given.min_coverage_ratio, DEFAULT.min_coverage_ratio),
        bucket_limits=tuple(given.bucket_limits) or DEFAULT.bucket_limits,
    )


def _decimal(value: decimal_pb2.Decimal, default: Decimal) -> Decimal:
    return to_decimal(value) if value.value else default


def _decimals(
    values: Iterable[decimal_pb2.Decimal], default: tuple[Decimal, ...]
) -> tuple[Decimal, ...]:
    return tuple(to_decimal(each) for each in values) or default


RATIOS = (
    "default_probability_12_months",
    "loss_given_default",
    "credit_conversion",
    "min_allowance_ratio",
    "min_coverage_ratio",
)
LISTS = ("default_probability_by_year", "floors")


def _unreadable(given: pb.ImpairmentPolicy) -> list[tuple[str, str]]:
    """Texts that are no numbers."""
    values = [(name, getattr(given, name)) for name in RATIOS]
    values += [
        (f"{name}[{place}]", each)
        for name in LISTS
        for place, each in enumerate(getattr(given, name))
    ]
    listed = {name for name, _ in values if name.endswith("]")}
    return [
        (name, "must be a decimal: 0.02")
        for name, value in values
        if (value.value or name in listed) and not _is_decimal(value)
    ]


def _is_decimal(value: decimal_pb2.Decimal) -> bool:
    try:
        to_decimal(value)
    except ValueError:
        return False
    return True


def _wrong_counts(given: pb.ImpairmentPolicy) -> list[tuple[str, str]]:
    counts = (("class_limits", 4), ("floors", 5))
    return [
        (name, f"must have {count} values, or none")
        for name, count in counts
        if len(getattr(given, name)) not in (0, count)
    ]


def _rules(policy: ImpairmentPolicy) -> tuple[tuple[bool, str, str], ...]:
    """(whether it holds, the field, what would be right)."""
    usual = DEFAULT.class_limits
    limits = zip(policy.class_limits, usual, strict=True)
    by_year = policy.default_probability_by_year
    return (
        (_rising(policy.class_limits), "class_limits", "must rise"),
        (
            all(ours <= regulator for ours, regulator in limits),
            "class_limits",
            f"must be at most {', '.join(map(str, usual))} (金融资产风险分类办法)",
        ),
        (policy.stage2_dpd <= policy.class_limits[1], "stage2_dpd", "is past where class 3 begins"),
        *(
            (0 <= getattr(policy, name) <= 1, name, "must be from 0 to 1")
            for name in RATIOS
            if name != "min_coverage_ratio"
        ),
        (0 <= policy.min_coverage_ratio <= 10, "min_coverage_ratio", "must be from 0 to 10"),
        (all(each >= 0 for each in by_year), "default_probability_by_year", "must not be negative"),
        (sum(by_year) <= 1, "default_probability_by_year", "must add up to 1 at most"),
        (
            sum(by_year) >= policy.default_probability_12_months,
            "default_probability_by_year",
            "must add up to the probability of twelve months at least",
        ),
        (
            list(policy.floors) == sorted(policy.floors) and policy.floors[0] >= 0,
            "floors",
            "must not fall from class to class",
        ),
        (policy.floors[-1] <= 1, "floors", "must be at most 1"),
        (
            policy.observation_days >= DEFAULT.observation_days,
            "observation_days",
            f"must be at least {DEFAULT.observation_days} (金融资产风险分类办法)",
        ),
        (_rising(policy.bucket_limits), "bucket_limits", "must rise"),
    )


def _rising(numbers: tuple[int, ...]) -> bool:
    return all(left < right for left, right in pairwise(numbers))
