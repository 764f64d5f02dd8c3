"""The check on the share of invalid verdicts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from judges.invalid import invalid_share_error, too_many_invalid


@given(invalid=st.integers(0, 50), valid=st.integers(0, 50), share=st.floats(0, 1))
def test_the_message_exists_exactly_where_the_share_is_exceeded(invalid: int, valid: int, share: float) -> None:
    rows = [{"valid": True, "reason": ""}] * valid + [{"valid": False, "reason": f"no {k}"} for k in range(invalid)]
    message = invalid_share_error("arm agents", rows, len(rows), share, "Try again.")
    assert (message is not None) == too_many_invalid(invalid, len(rows), share) == (invalid > share * len(rows))
    if message is not None:
        assert f"{invalid} of {len(rows)} verdicts are invalid" in message and "says: no 0." in message
        assert message.startswith("arm agents: ") and message.endswith("Try again.")


def test_missing_verdicts_count_in_the_total() -> None:
    rows = [{"valid": False, "reason": "refused"}]
    assert invalid_share_error("gpt4o", rows, 1, 0.5, "") and not invalid_share_error("gpt4o", rows, 2, 0.5, "")
