"""From configuration to judge: every option, over a local service where one is asked; keys show nowhere."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from benchmarks.base import EditSample
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput, MissingFile
from conf.parts import part_values
from experiments.build.benchmarks import check_benchmark
from experiments.build.engines import TorchEngine
from experiments.build.judges import (
    JudgeTools,
    check_judge_of_run,
    make_judge,
    make_judge_of,
    own_rubric,
    rubric_of,
)
from experiments.evaluation.evaluator import open_evaluator
from experiments.evaluation.identities import judge_settings
from experiments.evaluation.rows import read_rows
from experiments.evaluation.shares import Share
from experiments.preflight.machine import missing_of
from experiments.runs import cli
from experiments.runs.cli import compose, typed
from experiments.runs.run import Run
from judges.base import ASPECTS
from judges.cache import ReplyCache
from judges.chat import ChatClient
from judges.llm import LLMJudge
from judges.question import JudgeSampling
from judges.rubrics import make_rubric
from tests.judges import chat_server as cs
from tests.judges.chat_server import ChatServer
from tests.judges.simple_rubric import SimpleRubric

KEY = "sk-judge-0123456789abcdef"
ENGINE = TorchEngine(device="cpu")
TINY = Path(__file__).parents[3] / "assets" / "tiny" / "decomposer"


def configured(name: str, *overrides: str) -> Any:
    return cli.typed(cli.compose("run", [f"judge={name}", *overrides])).judge


def judge_of(config: Any, folder: Path, rubric=None, budget=None):
    return make_judge_of(config, JudgeTools(lambda: rubric or SimpleRubric(), folder, lambda: "cpu", budget))


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8))


def test_the_sandbox_judge_sees_the_gold_edits(tmp_path):
    sample = SandboxBenchmark("test", seed=0, size=64).sample(0)
    verdict = judge_of(configured("sandbox"), tmp_path).judge(sample.image, sample.image, sample)
    assert verdict.valid and verdict.scores["request_fulfilled"] < 5 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["gpt4o", "gemini"])
def test_a_chat_judge_is_asked_as_its_configuration_says(name, tmp_path, monkeypatch):
    config = configured(name, "judge.temperature=0.5", "judge.max_tokens=33", "judge.seed=7")
    monkeypatch.setenv(config.keys[0], KEY)
    with ChatServer(key=KEY) as server:
        assert config.base_url.startswith("https://")
        config.base_url = server.url
        judge = judge_of(config, tmp_path)
        verdict = judge.judge(picture(1), picture(2), EditSample("1", "make it red", ()))
    assert verdict.valid and judge.concurrency == 32 and judge.usage.dollars > 0
    fields = server.calls[0].fields
    assert fields["model"] == config.model and (fields["temperature"], fields["max_tokens"]) == (0.5, 33)
    assert fields["response_format"]["type"] == "json_schema"
    if name == "gemini":
        assert fields["reasoning_effort"] == "none" and "seed" not in fields
    else:
        assert fields["seed"] == 7 and config.model == "gpt-4o-2024-11-20"


def test_the_protocols_own_sampling_stays_where_the_configuration_is_silent():
    protocols = JudgeSampling(temperature=0.7, top_p=0.9, top_k=20, max_tokens=512)
    assert configured("gpt4o").sampling(protocols) == protocols
    assert configured("gpt4o", "judge.top_p=1.0").sampling(protocols).top_p == 1.0


def test_a_missing_key_is_found_before_anything_starts(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("gpt4o", "gemini"):
        lines = missing_of(configured(name))
        assert len(lines) == 1 and f"judge={name}" in lines[0]
        judge = judge_of(configured(name), tmp_path)
        with pytest.raises(BadInput, match="_API_KEY"):
            judge.judge(picture(1), picture(2), EditSample("1", "make it red", ()))


def test_a_local_judge_loads_its_folder_and_asks_it(tmp_path):
    config = configured(
        "vlm", f"judge.model={TINY}", "judge.dtype=float32", "judge.max_tokens=8", "judge.concurrency=2"
    )
    judge = judge_of(config, tmp_path)
    verdict = judge.judge(picture(1), picture(2), EditSample("1", "make it red", ()))
    assert not verdict.valid and "unreadable" in verdict.reason and judge.usage.calls == 2 and judge.concurrency == 2
    assert len(ReplyCache(tmp_path)) == 2
    assert judge_of(config, tmp_path).judge(picture(1), picture(2), EditSample("1", "make it red", ())) == verdict


def test_a_judge_without_its_model_says_how_to_get_it(tmp_path):
    with pytest.raises(MissingFile, match=r"hf download Qwen/Qwen2.5-VL-7B-Instruct"):
        judge_of(configured("vlm", f"paths.assets={tmp_path}"), tmp_path)
    with pytest.raises(MissingFile, match=r"experiment=edit_r1.*judge.model="):
        judge_of(configured("rrm"), tmp_path)
    config = configured("rrm", f"judge.model={TINY}", "judge.dtype=float32")
    judge = judge_of(config, tmp_path)
    assert isinstance(judge, LLMJudge) and judge.name == "rrm"  # asked by its own protocol, whatever the benchmark
    forms = {form: rubric_of(configured("rrm", f"judge.form={form}"), "paper") for form in ("both", "score")}
    assert judge_settings(config, "rrm")["prompts"] == forms["both"].version  # of an evaluation
    assert {r.name for r in forms.values()} == {"rrm"} and forms["both"].version != forms["score"].version
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFile, match="no config.json"):
        judge_of(configured("vlm", f"judge.model={tmp_path / 'empty'}"), tmp_path)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["judge.kind=other"], "judge.kind"),
        (["judge.model=''"], "judge.model"),
        (["judge.repeats=0"], "judge.repeats=0"),
        (["judge.concurrency=0"], "concurrency"),
        (["judge.extra.messages=[]"], "messages"),
        (["judge.price_in=-1"], "price_in"),
    ],
)
def test_settings_that_cannot_work_are_said(overrides, words, tmp_path):
    with pytest.raises(BadInput, match=words):
        judge_of(configured("gpt4o", *overrides), tmp_path)


def test_the_key_is_in_nothing_that_is_written_or_logged(tmp_path, monkeypatch, caplog):
    """Whatever the service does with it: it quotes the key in errors of every kind and in good replies."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    config = configured("gpt4o", "judge.tries=2")
    script = {f"<{k}>": [step] for k, step in enumerate([cs.echo_key(400), cs.echo_key(429), cs.prose()])}
    script["<3>"] = [cs.echo_key(401)]
    handler = logging.StreamHandler(stream := io.StringIO())
    logging.getLogger().addHandler(handler)
    told = ""
    try:
        with (
            caplog.at_level(logging.DEBUG),
            ChatServer(script=script, reply=lambda call: f'{{"key": "{KEY}"}}') as server,
        ):
            config.base_url = server.url
            judge = judge_of(config, tmp_path)
            assert isinstance(judge, LLMJudge) and isinstance(judge.client, ChatClient)
            monkeypatch.setattr(judge.client._http, "_sleep", lambda s: None)
            for k in range(3):
                verdict = judge.judge(picture(1), picture(2), EditSample(str(k), f"request <{k}>", ()))
                told += repr(verdict) + json.dumps(verdict.raw)
            with pytest.raises(BadInput) as error:
                judge.judge(picture(1), picture(2), EditSample("3", "request <3>", ()))
    finally:
        logging.getLogger().removeHandler(handler)
    assert server.asked("<2>") == 2 and caplog.text
    told += str(error.value) + repr(vars(judge)) + repr(judge.client.settings)
    told += yaml.safe_dump(part_values(config))
    told += caplog.text + stream.getvalue() + "".join(p.read_text() for p in tmp_path.rglob("*") if p.is_file())
    assert "OPENAI_API_KEY" in told and KEY not in told and KEY[3:] not in told


def test_a_model_judges_the_arms_of_a_run_and_what_was_paid_for_is_asked_once(tmp_path: Path) -> None:
    words = ["judge=gpt4o", "judge.keys=[]", "judge.concurrency=4", f"paths.outputs={tmp_path}", "editor=sandbox"]
    words += ["scale.test_samples=5", "scale.chunk=2", "scale.strips=1", "engine.device=cpu"]
    with ChatServer() as service:
        config = typed(compose("run", [*words, f"judge.base_url={service.url}"]))
        for folder in ("first", "again"):
            spec = replace(Run(config, tmp_path / folder).spec(), arms=("editor",))
            open_evaluator(spec).work(Share())
        assert len(service.calls) == 5
    first, again = (
        list(read_rows(tmp_path / folder / "sandbox/verdicts/gpt4o-paper/editor").values())
        for folder in ("first", "again")
    )
    assert first == again and all(row["valid"] for row in first)
    assert set(first[0]["scores"]) == {*ASPECTS, "overall"}  # those of a run's tables


@pytest.mark.parametrize(("word", "said"), [("judge.rubric=gedit", "judge.rubric=gedit"), ("judge=none", "judge=none")])
def test_a_run_is_scored_by_the_papers_rubric_alone(word: str, said: str) -> None:
    config = typed(compose("run", ["judge=gpt4o", word]))
    with pytest.raises(BadInput, match=f"{said} cannot score a run.*experiments.evaluate"):
        make_judge(config.judge, config.engine, "outputs")


def test_a_benchmark_without_gold_is_not_trained_on() -> None:
    with pytest.raises(BadInput, match="benchmark=gedit is there to evaluate on: .*experiments.evaluate"):
        check_benchmark(typed(compose("run", ["benchmark=gedit"])).benchmark)


def test_uniworlds_scorer_is_a_judge_of_any_local_model(tmp_path):
    words = ("uniworld", f"judge.model={TINY}", "judge.dtype=float32")
    sample = EditSample("1", "make it red", ())
    verdict = judge_of(configured(*words), tmp_path, make_rubric("uniworld")).judge(picture(1), picture(2), sample)
    assert verdict.valid and set(verdict.scores) == {"overall"} and 0 < verdict.scores["overall"] < 10
    config = configured(*words, "judge.scoring=generated")
    generated = judge_of(config, tmp_path, make_rubric("uniworld")).judge(picture(1), picture(2), sample)
    assert not generated.valid and "unreadable reply to score" in generated.reason  # the tiny model answers nonsense
    with pytest.raises(BadInput, match="judge.repeats=4: the probabilities of a token are the same in every pass"):
        judge_of(configured(*words, "judge.repeats=4"), tmp_path, make_rubric("uniworld"))
    with pytest.raises(BadInput, match="judge.scoring=logits: the scores of the rubric paper are generated"):
        judge_of(configured(*words, "judge.scoring=logits"), tmp_path, make_rubric("paper"))
    with pytest.raises(BadInput, match="judge.scoring=loud is unknown"):
        configured(*words, "judge.scoring=loud")


@pytest.mark.parametrize("name", ["uniworld", "editscore"])
def test_a_published_judge_asks_by_its_own_protocol_unless_told_otherwise(name):
    assert rubric_of(configured(name), "paper").name == own_rubric(configured(name)) == name
    other = configured(name, "judge.rubric=viescore")
    assert rubric_of(other, "paper").name == own_rubric(other) == "viescore"
    with pytest.raises(BadInput, match=f"judge={name} cannot score a run"):
        check_judge_of_run(configured(name))


def test_editscores_lora_is_looked_for_beside_its_base(tmp_path):
    config = configured("editscore", f"judge.model={TINY}", f"paths.assets={tmp_path}")
    (said,) = missing_of(config)
    assert "LoRA of judge=editscore" in said and "hf download EditScore/EditScore-7B" in said
    assert missing_of(configured("editscore", f"judge.model={TINY}", "judge.adapter=''")) == []
    (tmp_path / "EditScore-7B").mkdir()
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / "EditScore-7B" / file).write_text("{}")
    assert missing_of(config) == []
    with pytest.raises(BadInput, match="is a LoRA adapter and no whole model; give its base as judge.model"):
        judge_of(configured("editscore", f"judge.model={tmp_path / 'EditScore-7B'}"), tmp_path)
