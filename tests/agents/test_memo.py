"""Values live exactly as long as what they belong to."""

import copy
import gc

from PIL import Image

from agents.backends.base import ModelRequest
from agents.backends.memo import Memo
from agents.backends.vlm import VLM


class Thing:
    def __eq__(self, other: object) -> bool:
        return True  # equality must not matter

    __hash__ = None  # type: ignore[assignment]


def test_each_key_is_computed_once_and_together_with_the_other_missing_ones() -> None:
    memo: Memo[Thing, int] = Memo()
    calls: list[int] = []

    def make(missing: list[Thing]) -> list[int]:
        calls.append(len(missing))
        return [id(x) for x in missing]

    a, b, c = Thing(), Thing(), Thing()
    assert memo.many([a, b, a], make) == [id(a), id(b), id(a)] and calls == [2]
    assert memo.many([c, b], make) == [id(c), id(b)] and calls == [2, 1]
    assert memo.many([a], make, stamp=1) == [id(a)] and calls == [2, 1, 1]  # another stamp: all is stale
    assert memo.many([a], make, stamp=1) == [id(a)] and calls == [2, 1, 1]
    assert copy.deepcopy(memo).many([a], make) == [id(a)] and calls == [2, 1, 1, 1]


def test_nothing_outlives_its_key() -> None:
    memo: Memo[Thing, object] = Memo()
    for n in range(50):  # the same address comes again and again
        key = Thing()
        assert memo.many([key], lambda missing, n=n: [n] * len(missing)) == [n]
        del key
    gc.collect()
    assert not memo._held


def test_a_request_is_encoded_once_while_it_lives(tiny_vlm: VLM) -> None:
    request = ModelRequest("add a hat", (Image.new("RGB", (64, 64), "red"),))
    again = ModelRequest(request.text, request.images)
    one, same, other = tiny_vlm.encode([request, request, again])
    assert one is same is tiny_vlm.encode([request])[0] and other is not one
    assert other.input_ids.equal(one.input_ids)
