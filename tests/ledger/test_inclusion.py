"""VerifyEntry: an entry's way through the chain to an anchor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import grpc
import pytest
from ledger import chain_page
from ledger.chain_story import ENTRIES, tell
from ledger.ledger_case import LedgerUnderTest

from support import refusal
from tael.ledger.v1 import ledger_pb2 as pb
from tael.ledger.v1 import proof_pb2 as pr


@pytest.fixture(scope="module")
def story(new_book: Callable[..., LedgerUnderTest]) -> LedgerUnderTest:
    """A book in which everything happened."""
    book = new_book()
    tell(book)
    return book


def verified(
    book: LedgerUnderTest, sequence: int, anchor: pb.Anchor | None = None
) -> pr.VerifyEntryResponse:
    """What VerifyEntry answers."""
    return book.proof.VerifyEntry(
        pr.VerifyEntryRequest(book_id=book.book_id, sequence=sequence, anchor=anchor)
    )


def anchors(book: LedgerUnderTest) -> list[pb.Anchor]:
    """Each batch's."""
    return [pb.Anchor(sequence=s, digest=d) for s, d in chain_page.recomputed(book)]


def test_every_entry_leads_to_the_head_by_the_digests_given(story: LedgerUnderTest) -> None:
    contents, heads = chain_page.contents(story), anchors(story)
    for sequence in range(1, ENTRIES + 1):
        answer = verified(story, sequence)
        assert (answer.included, answer.message, answer.anchor) == (True, "", heads[-1])
        assert answer.content_digest == contents[answer.batch_number - 1]
        digest = answer.previous_digest
        for content in (answer.content_digest, *answer.later_content_digests):
            digest = hashlib.sha256(digest + content).digest()
        assert digest == answer.anchor.digest


def test_an_entry_is_held_against_every_anchor_at_or_after_it(story: LedgerUnderTest) -> None:
    number = verified(story, 4).batch_number
    for place, anchor in enumerate(anchors(story), 1):
        answer = verified(story, 4, anchor)
        assert answer.included == (place >= number)
        assert len(answer.later_content_digests) == max(0, place - number)
    assert "before the entry's batch" in verified(story, 4, anchors(story)[0]).message


def test_an_anchor_of_another_chain_includes_nothing(story: LedgerUnderTest) -> None:
    answer = verified(story, 2, pb.Anchor(sequence=ENTRIES, digest=bytes(32)))
    assert not answer.included
    assert answer.message == f"no batch ends at entry {ENTRIES} with {bytes(32).hex()}"


def test_an_entry_that_never_was_is_not_found(story: LedgerUnderTest) -> None:
    with pytest.raises(grpc.RpcError) as error:
        verified(story, 99)
    assert refusal(error.value) == ("NOT_FOUND", "RESOURCE_NOT_FOUND")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE line SET debit = debit * 2, credit = credit * 2", "as its rows are, lead to"),
        ("UPDATE entry SET narrative = 'other'", "as its rows are, lead to"),
        ("DELETE FROM entry", "should have entry 2 and has not"),
        ("DELETE FROM line", "as its rows are, lead to"),
    ],
)
def test_an_entry_that_was_changed_is_not_included_and_its_neighbours_are(
    book: LedgerUnderTest, statement: str, said: str
) -> None:
    for principal in (100, 200, 300):
        anchor = book.post("LOAN_DISBURSED", principal=principal).anchor
    book.house.sql(
        f"SET LOCAL session_replication_role = replica; {statement} "
        f"WHERE book_id = '{book.book_id}' AND sequence = 2",
        "ledger",
        write=True,
    )
    changed = verified(book, 2, anchor)
    assert not changed.included
    assert said in changed.message
    assert verified(book, 1, anchor).included
    assert verified(book, 3, anchor).included


def test_an_entry_whose_batch_is_gone_is_in_no_batch(book: LedgerUnderTest) -> None:
    for principal in (100, 200, 300):
        book.post("LOAN_DISBURSED", principal=principal)
    book.house.sql(
        "SET LOCAL session_replication_role = replica; DELETE FROM posting_batch "
        f"WHERE book_id = '{book.book_id}' AND first_sequence = 2",
        "ledger",
        write=True,
    )
    answer = verified(book, 2)
    assert (answer.included, answer.message) == (False, "no batch has entry 2")
