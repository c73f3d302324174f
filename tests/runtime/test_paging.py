"""A page token means something to the list that gave it alone."""

from __future__ import annotations

import pytest

from tael_runtime.errors import InvalidArgument
from tael_runtime.paging import dated_key, number_key, text_and_date_key, text_key, token

STRANGE = (
    "!!",
    token("x", "y", "z"),
    token("\0"),
    token("a", "2026-02-30"),
    token("2026-02-30", 1),
)


@pytest.mark.parametrize("key", [text_key, number_key, dated_key, text_and_date_key])
def test_a_token_that_this_list_cannot_have_given_is_refused(key: object) -> None:
    assert callable(key)
    for strange in STRANGE:
        with pytest.raises(InvalidArgument, match="page_token"):
            key(strange)
    key("")
