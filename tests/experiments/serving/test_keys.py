"""Keys of clients, and what the server needs before it starts."""

from __future__ import annotations

import pytest

from common.errors import BadInput, MissingFile
from experiments import serve
from experiments.runs.cli import compose, typed
from experiments.serving.keys import Keys


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEYS", " first, second,")
    keys = Keys.from_environment("SOME_KEYS")
    assert keys and "first" not in repr(vars(keys))
    assert [keys.admit(f"Bearer {k}") for k in ("first", "second", "third", "", "first,second")] == [True] * 2 + [
        False
    ] * 3
    assert not keys.admit(None) and not keys.admit("first") and not keys.admit("Basic first")
    assert not keys.admit("Bearer f\xefrst\udc80")


def test_without_keys_everybody_may() -> None:
    assert not Keys.from_environment("") and Keys().admit(None)


@pytest.mark.parametrize("value", ["", " , ", "two words", "gr\u00fcn"])
def test_a_variable_without_usable_keys_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEYS", value)
    with pytest.raises(BadInput, match="SOME_KEYS"):
        Keys.from_environment("SOME_KEYS")


def test_a_package_that_is_missing_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "PACKAGES", ("json", "no_such_package"))
    with pytest.raises(MissingFile, match=r"package\(s\) no_such_package: make extra-apps"):
        serve.main(typed(compose("serve", [])))
