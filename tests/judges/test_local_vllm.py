"""A local judge over vLLM: two pictures and a rubric go in, every edit ends in a verdict or its reason."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

if find_spec("vllm") is None:
    pytest.skip("vLLM is not installed (make extra-vllm)", allow_module_level=True)

from agents.backends.hf import HFBackend  # noqa: E402
from agents.backends.vllm import VLLMBackend  # noqa: E402
from agents.backends.vlm import load_vlm  # noqa: E402
from benchmarks.base import EditSample  # noqa: E402
from judges.llm import LLMJudge  # noqa: E402
from judges.local import LocalClient  # noqa: E402
from judges.question import JudgeSampling  # noqa: E402
from judges.rubrics import make_rubric  # noqa: E402

TINY = Path(__file__).parents[2] / "assets" / "tiny" / "decomposer"


@pytest.mark.slow
def test_a_decomposer_is_no_judge_and_says_so_for_every_edit() -> None:
    """The tiny model answers with a decomposition. In a process of its own, so that no engine is left in this one."""

    def load() -> VLLMBackend:
        return VLLMBackend(load_vlm(TINY), max_sequences=8, max_tokens=1024, cache_gib=1 / 8, separate=True)

    client = LocalClient(load, str(TINY), "the tiny weights", None, 4)
    judge = LLMJudge(client, make_rubric("paper"), JudgeSampling(max_tokens=48))
    red = Image.new("RGB", (64, 64), "red")
    samples = [EditSample(str(k), f"remove star {k}", ()) for k in range(3)]
    with ThreadPoolExecutor(3) as pool:
        verdicts = list(pool.map(lambda s: judge.judge(red, red, s), samples))
    assert all(not v.valid and "unreadable reply to aspects" in v.reason for v in verdicts)
    assert client.usage.calls == 2 * len(samples)  # each was asked once more
    assert all("<think>" in str(reply) for v in verdicts for reply in v.raw["replies"])


@pytest.mark.slow
def test_the_score_by_expectation_is_that_of_the_reference() -> None:
    """UniWorld's scorer over an engine in a process of its own, and over the reference in this one."""

    def engine() -> VLLMBackend:
        return VLLMBackend(load_vlm(TINY), max_sequences=8, max_tokens=1024, cache_gib=1 / 8, separate=True)

    def reference() -> HFBackend:
        return HFBackend(load_vlm(TINY))

    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "white")]
    overall = []
    for load in (engine, reference):
        judge = LLMJudge(LocalClient(load, str(TINY), "the tiny weights", None, 4), make_rubric("uniworld"))
        verdicts = [judge.judge(pictures[0], p, EditSample("s", "make it blue", ())) for p in pictures]
        overall.append([v.scores["overall"] for v in verdicts])
    assert overall[0] == pytest.approx(overall[1], abs=1e-4) and len(set(overall[1])) == 3
