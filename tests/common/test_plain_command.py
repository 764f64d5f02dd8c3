"""How a command without a configuration of its own ends."""

from __future__ import annotations

import pytest

from common.plain_command import plain_command


@pytest.mark.parametrize(("given", "said"), [((), "stopped"), (("saved in a",), "saved in a")])
def test_an_interrupted_command_says_so(given: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main(words: list[str]) -> None:
        raise KeyboardInterrupt(*given)

    with pytest.raises(SystemExit) as end:
        plain_command(main, [], "", names_needed=False)
    assert end.value.code == 130 and capsys.readouterr().err.strip() == said
