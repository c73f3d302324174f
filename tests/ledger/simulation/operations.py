"""What a caller does, what it hears, and when the two are the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from tael.ledger.v1 import ledger_pb2 as pb

MessageT = TypeVar("MessageT", bound=Message)
STREAMS = frozenset({"RecordEventColumns", "PostColumns", "ImportOpeningBalances"})
UNFORETOLD = frozenset({"anchor", "digest", "committed_at", "account_name", "name", "message"})
"""Fields that the oracle does not predict; what is in them is checked elsewhere."""
STANDING = (
    pb.CreateAccountsResponse,
    pb.SetAccountLimitsResponse,
    pb.FreezeAccountResponse,
    pb.UnfreezeAccountResponse,
    pb.CloseAccountResponse,
)
"""Answers that tell accounts as they stand when they are read, whatever others did since."""
MOVING = (
    "debits_posted",
    "credits_posted",
    "balance",
    "debits_pending",
    "credits_pending",
    "state",
    "limits",
    "lines_posted",
)
"""What of an account moves."""
SYSTEM = "system"
"""Who gives no name: people may not post alone."""
Heard = Message | str
"""The answer, or the reason of a refusal."""


@dataclass(frozen=True)
class Operation:
    """A mutating rpc: one request, or the messages of a stream, header first."""

    rpc: str
    parts: tuple[Any, ...]
    caller: str = SYSTEM

    @property
    def request_id(self) -> str:
        """Of the request or the stream's header."""
        first = self.parts[0]
        return str(first.header.request_id if self.rpc in STREAMS else first.request_id)

    @property
    def key(self) -> tuple[str, str, str]:
        """Once means once for each of these."""
        return self.rpc, self.caller, self.request_id

    def content(self) -> tuple[bytes, ...]:
        """What is the same in a repetition."""
        return tuple(part.SerializeToString(deterministic=True) for part in self.parts)

    def __str__(self) -> str:
        return f"{self.rpc}({' | '.join(brief(part) for part in self.parts)})"


@dataclass(frozen=True)
class Accepted:
    """The answer foretold."""

    answer: Message
    refusals: tuple[frozenset[str], ...] = ()
    """Of the entries that PostEntries refuses: the reasons that hold, in order."""

    def __str__(self) -> str:
        return " ".join([brief(bare(self.answer)), *map(str, self.refusals)])


@dataclass(frozen=True)
class Refused:
    """A refusal, for one of the reasons that hold."""

    reasons: frozenset[str]


Foretold = Accepted | Refused


def admits(foretold: Foretold, heard: Heard) -> bool:
    """Whether what was heard is what was foretold."""
    if isinstance(foretold, Refused):
        return isinstance(heard, str) and heard in foretold.reasons
    if isinstance(heard, str):
        return False
    if isinstance(heard, pb.PostEntriesResponse) and isinstance(
        foretold.answer, pb.PostEntriesResponse
    ):
        if [one.entry for one in heard.refusals] != [o.entry for o in foretold.answer.refusals]:
            return False
        named = zip(heard.refusals, foretold.refusals, strict=True)
        return heard.sequences == foretold.answer.sequences and all(
            one.reason in reasons for one, reasons in named
        )
    return bare(heard) == bare(foretold.answer)


def bare(message: MessageT) -> MessageT:
    """A message without what is not foretold, its entries' lines in one order."""
    copy = type(message)()
    copy.CopyFrom(message)
    _strip(copy)
    if isinstance(copy, STANDING):
        accounts = copy.accounts if isinstance(copy, pb.CreateAccountsResponse) else [copy.account]
        for account in accounts:
            _clear(account, MOVING)
    return copy


def _strip(message: Message) -> None:
    for field, value in message.ListFields():
        if field.name in UNFORETOLD:
            message.ClearField(field.name)
        elif field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        elif isinstance(value, Message):
            _strip(value)
        else:
            for one in value:
                _strip(one)
    if isinstance(message, pb.Entry):
        lines = sorted(message.lines, key=lambda ln: (ln.account_number, ln.side, ln.amount))
        message.ClearField("lines")
        message.lines.extend(lines)


def _clear(message: Message, names: Iterable[str]) -> None:
    for name in names:
        message.ClearField(name)


def brief(message: Heard) -> str:
    """One line for people."""
    if isinstance(message, str):
        return message
    return text_format.MessageToString(message, as_one_line=True, as_utf8=True)
