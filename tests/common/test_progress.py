"""What a log shows of a phase that runs on."""

from __future__ import annotations

import pytest

from common import progress


def test_no_time_is_promised_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(progress, "say", said.append)
    monkeypatch.setattr(progress, "QUIET_S", -1.0)
    bar = progress.Bar("pictures", 10, 4, None)
    bar.update(4)
    bar.update(7)
    assert said[0].strip() == "pictures 4/10" and "7/10 · " in said[1] and said[1].endswith(" left")
