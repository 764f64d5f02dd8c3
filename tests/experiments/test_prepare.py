"""`prepare`: the same set in whatever order and however often it was interrupted; nothing of an evaluation set in it."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agents.decomposer import build_request
from benchmarks.avoid import VARIANTS
from benchmarks.base import Edit
from benchmarks.labels import MANIFEST, RECORDS, read_records
from benchmarks.mice import MiceText
from benchmarks.mice_records import ENV
from benchmarks.near import jaccard
from benchmarks.prepared import PreparedBenchmark
from common.errors import BadData, BadInput, MissingFile, RunFailed
from conf.schema import PrepareConfig
from experiments.build.benchmarks import held_out_samples, train_samples
from experiments.build.judges import SandboxJudge
from experiments.prepare import main
from experiments.runs.cli import compose, typed
from experiments.training_data.checks import check
from experiments.training_data.labelling import JOURNAL
from experiments.training_data.preparation import Preparation
from tests.labeller import Labeller

REQUESTS = [(f"r{i:02}", f"please take thing number {i} out") for i in range(40)]


def csv(file: Path, rows: list[tuple[str, str]], head: str = "id,instruction") -> Path:
    file.write_text(head + "\n" + "".join(f'{i},"{t}"\n' for i, t in rows))
    return file


def config(tmp_path: Path, *more: str, source: str = "requests", file: Path | None = None) -> PrepareConfig:
    path = file or csv(tmp_path / "requests.csv", REQUESTS)
    judge = [
        "judge.name=test",
        "judge._target_=experiments.build.judges.ChatJudge",
        "judge.model=careful-1",
        "judge.base_url=http://localhost:1/v1",
    ]
    if not any(word.startswith("avoid=") for word in more):
        more = (*more, "avoid=[none]")
    words = [f"out={tmp_path / 'set'}", f"sources=[{source}]", f"{source}.path={path}", "near=0.99", *judge, *more]
    return typed(compose("prepare", words))


def work(config: PrepareConfig, client: Any) -> dict[str, Any]:
    """Run it; returns the manifest."""
    Preparation(config, Path(config.out), client).run()
    return json.loads((Path(config.out) / MANIFEST).read_text())


def records(folder: Path) -> str:
    return (folder / RECORDS).read_text()


def test_the_whole_way(tmp_path: Path) -> None:
    rows = [
        *REQUESTS,
        ("thanks", "thank you all"),
        ("odd", "take odd out"),
        ("bad", "take bad out"),
        ("same", REQUESTS[0][1]),
    ]
    client = Labeller(
        {"take odd out": ["hm", "hm"], "take bad out": ["hm", '{"actions":["Add"],"subjects":["x"],"goals":["y"]}']}
    )
    manifest = work(config(tmp_path, file=csv(tmp_path / "r.csv", rows)), client)
    made = {r.id: r for r in read_records(tmp_path / "set")}
    assert manifest["records"] == len(made) == 42
    assert made["requests-r07"].edits == (Edit("Delete", "thing number 7"),)
    assert made["requests-r07"].gold == (Edit("remove", "thing number 7"),)
    assert made["requests-bad"].edits == (Edit("Add", "x", "y"),)
    assert made["requests-r07"].labels == {
        "by": "model",
        "model": "careful-1",
        "prompt": manifest["asked"]["labels"]["prompt"],
    }
    assert {r["id"]: r["reason"] for r in manifest["left_out_items"]} == {
        "requests-thanks": "asks for no edit",
        "requests-odd": "unreadable reply",
    }
    assert manifest["left_out"] == {"requests: asks for no edit": 1, "requests: unreadable reply": 1}
    assert client.asked[REQUESTS[0][1]] == 1  # two ids, one question
    assert manifest["cost"]["calls"] == client.usage.calls == 40 + 1 + 2 + 2
    assert manifest["cost"]["dollars"] == pytest.approx(0.45)
    assert sum(manifest["parts"].values()) == 42 and manifest["actions"] == {"remove": 41, "add": 1}


def test_the_order_of_the_input_does_not_matter(tmp_path: Path) -> None:
    shuffled = random.Random(3).sample(REQUESTS, len(REQUESTS))
    for name, rows in (("one", REQUESTS), ("other", shuffled)):
        (tmp_path / name).mkdir()
        work(config(tmp_path / name, file=csv(tmp_path / name / "requests.csv", rows)), Labeller())
    assert records(tmp_path / "one" / "set") == records(tmp_path / "other" / "set")


class Stop(Exception):
    pass


@pytest.mark.parametrize("at", [1, 7, 39])
def test_interrupted_and_resumed_is_the_same(at: int, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    work(config(tmp_path / "whole"), Labeller())

    def stop(calls: int) -> None:
        if calls >= at:
            raise Stop

    with pytest.raises(Stop):
        work(config(tmp_path), Labeller(after=stop))
    journal = tmp_path / "set" / JOURNAL
    kept = 0
    if journal.is_file():
        kept = len(journal.read_text().splitlines())
        with journal.open("a") as f:
            f.write('{"key": "torn')  # as a kill leaves it
    client = Labeller()
    manifest = work(config(tmp_path), client)
    assert client.usage.calls == len(REQUESTS) - kept and kept < len(REQUESTS)
    assert records(tmp_path / "set") == records(tmp_path / "whole" / "set")
    assert manifest["cost"]["calls"] == len(REQUESTS)  # of all processes together
    client = Labeller()
    work(config(tmp_path), client)
    assert client.usage.calls == 0


def test_a_budget_stops_cleanly_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="stopped at 12 of 40 labels.*the same command goes on"):
        work(config(tmp_path), Labeller(budget=0.12))
    assert not (tmp_path / "set" / RECORDS).exists()  # nothing partial is shown as a set
    client = Labeller(budget=0.28)
    assert work(config(tmp_path), client)["records"] == 40
    assert client.usage.calls == 28


def test_a_service_that_is_down_is_no_property_of_the_requests(tmp_path: Path) -> None:
    down = Labeller({text: [None] for _, text in REQUESTS[:3]})
    with pytest.raises(RunFailed, match="no reply to 3 of 40"):
        work(config(tmp_path), down)
    manifest = work(config(tmp_path, "judge.max_invalid_share=0.1"), down)
    assert manifest["records"] == 37 and manifest["left_out"] == {"requests: no reply": 3}
    client = Labeller()
    assert work(config(tmp_path), client)["records"] == 40
    assert client.usage.calls == 3  # those alone are asked again


def test_no_evaluation_item_is_labelled_or_kept(tmp_path: Path) -> None:
    held = csv(tmp_path / "held.csv", [("r05", "something else"), ("zz", "Please, take thing number 9 out!")])
    client = Labeller()
    manifest = work(config(tmp_path, f"avoid=[{held}]"), client)
    assert not {f"requests-{i}" for i in ("r05", "r09")} & {r.id for r in read_records(tmp_path / "set")}
    assert {d["id"]: (d["by"], d["near_to"]) for d in manifest["too_near"]} == {
        "requests-r05": ("id", "r05"),
        "requests-r09": ("text", "Please, take thing number 9 out!"),
    }
    assert client.asked[REQUESTS[5][1]] == client.asked[REQUESTS[9][1]] == 0
    assert manifest["avoided"] == [{"name": str(held), "texts": 2, "ids": 2, "missing": []}]


def test_nothing_in_training_is_near_to_what_is_held_out(tmp_path: Path) -> None:
    manifest = work(config(tmp_path, "near=0.8"), Labeller())
    made = list(read_records(tmp_path / "set"))
    train, held = ([r.request for r in made if (r.part == "train") == t] for t in (True, False))
    assert held and manifest["too_near"] and len(made) + len(manifest["too_near"]) == 40
    assert all(jaccard(t, h) < 0.8 for t in train for h in held)


def test_a_dry_run_asks_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = Labeller()
    Preparation(
        config(tmp_path, "dry_run=true", "judge.price_in=1", "judge.price_out=2"), tmp_path / "set", client
    ).run()
    said = capsys.readouterr().out
    assert "labels: 40 requests, about " in said and "about $0.0" in said and "nothing was asked" in said
    assert client.usage.calls == 0 and not (tmp_path / "set").exists()


def test_the_cost_is_said_before_the_first_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    work(config(tmp_path), Labeller(after=lambda calls: said.append(capsys.readouterr().out) if calls == 1 else None))
    assert "labels: 40 requests" in said[0]


def test_mistakes_are_named_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = config(tmp_path)
    for change, says in (
        ({"sources": []}, "sources="),
        ({"sources": ["prs"]}, "no 'prs'"),
        ({"judge": None}, "carry no labels"),
        ({"pictures": "all"}, "none, keep or send"),
        ({"near": 0.0}, "near="),
        ({"avoid": []}, "name what is evaluated"),
        ({"sources": ["psr"], "avoid": ["realedit"]}, "without psr among avoid"),
    ):
        with pytest.raises(BadInput, match=says):
            check(replace(good, **change))
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    keyed = replace(good, judge=replace(good.judge, keys=["NO_SUCH_KEY"]))
    with pytest.raises(MissingFile, match="NO_SUCH_KEY"):
        check(keyed)
    check(replace(keyed, dry_run=True))
    for avoid in (["realedit", "psr:there"], ["held_out.csv"], ["none"]):
        check(replace(good, sources=["psr"], avoid=avoid))
    check(replace(good, sources=["mice"], avoid=[]))  # its own published test is always kept apart
    with pytest.raises(BadInput, match="judge=sandbox asks no model"):
        main(replace(good, judge=SandboxJudge()))
    with pytest.raises(BadInput, match="judge.name is given, but no judge is chosen"):
        typed(compose("prepare", [f"out={tmp_path}", "sources=[mice]", "judge.name=test"]))


def test_a_folder_holds_one_set(tmp_path: Path) -> None:
    work(config(tmp_path), Labeller())
    with pytest.raises(BadInput, match="holds another set \\(other near\\)"):
        work(config(tmp_path, "near=0.5"), Labeller())
    work(config(tmp_path, "budget=3", "judge.concurrency=2"), Labeller())  # speed and money do not change the set


def test_nothing_left_is_an_error_with_its_reasons(tmp_path: Path) -> None:
    file = csv(tmp_path / "thanks.csv", [("a", "thank you"), ("b", "well done")])
    with pytest.raises(BadData, match="2 × requests: asks for no edit"):
        work(config(tmp_path, file=file), Labeller())


def test_a_prepared_set_trains_and_tests(tmp_path: Path) -> None:
    work(config(tmp_path), Labeller())
    run = typed(compose("run", ["benchmark=prepared", f"benchmark.path={tmp_path / 'set'}"]))
    samples = train_samples(run.benchmark, 64, seed=0)
    drawn = [samples(i) for i in range(50)]
    own = {s.id for s in PreparedBenchmark(tmp_path / "set", "train")}
    assert {s.id for s in drawn} <= own and samples(3) == samples(3)
    assert all(s.gold[0].action == "remove" and build_request("{history}{request}", s).text for s in drawn)
    tested = held_out_samples(run.benchmark, 64, None, 0)
    assert tested and not {s.id for s in tested} & own
    mixed = typed(
        compose("run", ["benchmark=prepared", f"benchmark.path={tmp_path / 'set'}", "benchmark.train_share=0.5"])
    )
    kinds = [s.id in own for s in map(train_samples(mixed.benchmark, 64, seed=0), range(60))]
    assert any(kinds) and not all(kinds)  # the rest is sandbox


def test_a_picture_that_is_missing_or_damaged_costs_its_record_alone(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    rows = [(f"r{name}", f"take {name} out", f"{name}.png") for name in ("good", "bad", "gone")]
    file = tmp_path / "r.csv"
    file.write_text("id,instruction,image\n" + "".join(",".join(r) + "\n" for r in rows))
    manifest = work(config(tmp_path, "pictures=send", file=file), Labeller())
    assert [r.id for r in read_records(tmp_path / "set")] == ["requests-rgood"]
    assert manifest["left_out"] == {"requests: its picture cannot be read": 1, "requests: its picture is not there": 1}
    assert manifest["with_picture"] == 1


def complex_edit(folder: Path, split: str = "test_real") -> str:
    """Complex-Edit as it is published: two pictures with two instructions each."""
    import datasets

    said = [
        ("Remove the cat.", "Change the background to a beach.", "Put a beach behind and drop the cat."),
        ("Add a bright moon.", "Change the color of the moon to red.", "Add a bright red moon."),
    ]
    rows = [
        {
            "image": Image.new("RGB", (6, 6 + k)),
            "edit": {
                "sequence": [{"name": "x", "instruction": one}, {"name": "y", "instruction": two}],
                "compound": [{"compound_instruction": one}, {"compound_instruction": both}],
            },
        }
        for k, (one, two, both) in enumerate(said)
    ]
    folder.mkdir(exist_ok=True)
    made = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
    made.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return str(folder)


def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_complex_edit_carries_labels_where_they_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(monkeypatch, tmp_path)
    path = complex_edit(tmp_path / "ce")
    words = [f"out={tmp_path / 'set'}", "sources=[complex_edit]", f"complex_edit.path={path}"]
    words += ["complex_edit.complexity=[1,2]", "near=1.0"]
    manifest = work(typed(compose("prepare", words)), None)
    made = {r.id.removeprefix("complex_edit-real/"): r for r in read_records(tmp_path / "set")}
    assert set(made) == {"0000/c1", "0000/c2", "0001/c1"}  # the moon is one edit in its compound, two in its sequence
    assert made["0000/c2"].request == "Put a beach behind and drop the cat."
    assert made["0000/c2"].gold == (Edit("remove", "cat"), Edit("background", "background", "beach"))
    (left,) = manifest["left_out_items"]
    assert left["id"].endswith("0001/c2") and "no judge" in left["reason"]
    assert manifest["sources"]["complex_edit"]["sequences_not_read"] == {"a step about an earlier": 1}
    assert "test_syn" in manifest["sources"]["complex_edit"]["missing"][0]
    assert made["0000/c1"].picture == made["0000/c2"].picture != made["0001/c1"].picture  # one copy for each picture
    sizes = {s.id: s.image.size for s in PreparedBenchmark(tmp_path / "set", "all") if s.image is not None}
    assert sizes["complex_edit-real/0001/c1"] == (6, 7) and len(sizes) == 3

    client = Labeller({"Add a bright red moon.": ['{"actions":["Add"],"subjects":["bright red moon"],"goals":[null]}']})
    judge = [
        "judge.name=test",
        "judge._target_=experiments.build.judges.ChatJudge",
        "judge.model=careful-1",
        f"out={tmp_path / 'labelled'}",
    ]
    assert work(typed(compose("prepare", [*words[1:], *judge])), client)["by_label"] == {"data": 3, "model": 1}
    assert client.usage.calls == 1


def test_evaluation_sets_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    published(monkeypatch, tmp_path)
    texts = [
        ("r05", "words of another kind", "x"),
        ("zz", "PLEASE take thing number 9 out", "take thing number 11 out"),
    ]
    rows = [
        {"post_id": i, "instruction": a, "simplified_instruction": b, "source_image": Image.new("RGB", (4, 4))}
        for i, a, b in texts
    ]
    (tmp_path / "psr").mkdir()
    data = datasets.Dataset.from_list(rows).cast_column("source_image", datasets.Image())
    data.to_parquet(str(tmp_path / "psr" / "test-00000-of-00001.parquet"))
    train = csv(tmp_path / "train.csv", REQUESTS, "post_id,instruction")
    manifest = work(
        config(tmp_path, f"avoid=[psr:{tmp_path / 'psr'}]", "near=0.75", source="psr", file=train), Labeller()
    )
    gone = {d["id"]: d["of"] for d in manifest["too_near"] if d["of"] == "psr"}
    assert gone.keys() >= {"psr-r05", "psr-r09", "psr-r11"}  # by id, by the original and by the simplified wording
    for record in read_records(tmp_path / "set"):
        assert all(jaccard(record.request, t) < 0.75 for _, *both in texts for t in both)
    with pytest.raises(BadData, match="no request is left"):
        complex_path = complex_edit(tmp_path / "ce")
        words = [f"out={tmp_path / 'none'}", "sources=[complex_edit]", f"complex_edit.path={complex_path}"]
        words += ["complex_edit.complexity=[1,2]", f"avoid=[complex_edit:{complex_path}]"]
        typed_config = typed(compose("prepare", words))
        monkeypatch.setitem(VARIANTS, "complex_edit", ({"split": "test_real", "complexity": [1, 2]},))  # two of eight
        work(typed_config, None)


@pytest.mark.skipif(not os.environ.get(ENV), reason=f"{ENV} is not set")
def test_real_sessions_need_no_model(tmp_path: Path) -> None:
    words = [f"out={tmp_path / 'set'}", "sources=[mice]"]
    manifest = work(typed(compose("prepare", words)), None)
    assert (
        manifest["records"] > 7000
        and manifest["cost"]["calls"] == 0
        and manifest["by_label"] == {"data": manifest["records"]}
    )
    train = {s.id.removeprefix("mice-") for s in PreparedBenchmark(tmp_path / "set", "train")}
    tested = {s.id for s in MiceText(split="test")}
    assert not train & tested
    assert {s.id.removeprefix("mice-") for s in PreparedBenchmark(tmp_path / "set", "test")} == tested
