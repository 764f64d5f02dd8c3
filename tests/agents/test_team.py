"""The editing agent and the whole team: calls, seeds, batches, traces on disk, replay."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from agents.backends.base import Completion, Sampling
from agents.decomposer import Decomposer, clean_request
from agents.editing import Call, EditingAgent, call_seed
from agents.plan import write_decomposition
from agents.sequencer import RulesSequencer
from agents.team import Team
from agents.traces import Trace, replay
from benchmarks.base import ACTIONS, Decomposition, Edit, EditSample
from benchmarks.goals import Goal, goal_of
from common.errors import BadData, BadInput, MissingFile, RunFailed, SaveFailed
from common.filenames import folder_name
from editors.outcomes import EditsFailed, Outcome
from experiments.evaluation.makers import trace_row

SIZE = (5, 4)


class HashEditor:
    """Pictures that depend on every pixel, the instruction and the seed, so that any mix-up shows."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def edit(self, images, instructions, seeds):
        self.batches.append(list(instructions))
        rows = zip(images, instructions, seeds, strict=True)
        return [self.one(*row) for row in rows]

    def one(self, image, instruction, seed):
        noise = np.random.default_rng([seed, *instruction.encode()]).integers(0, 256, (*SIZE[::-1], 3))
        return Image.fromarray(((np.asarray(image) + noise) % 256).astype(np.uint8))


class Says:
    """A decomposer model that always answers the same."""

    def __init__(self, text: str) -> None:
        self.text = text

    def generate(self, requests, n, sampling):
        return [[Completion((1,), (0.0,), self.text, "stop")] for _ in requests]


class Echo:
    """A decomposer model that removes every word it is told; "?" makes it babble."""

    def generate(self, requests, n, sampling):
        texts = []
        for request in requests:
            edits = [Edit("remove", word) for word in request.text.split()]
            texts.append("hm" if "?" in request.text else write_decomposition(Decomposition.of(edits)))
        return [[Completion((1,), (0.0,), text, "stop")] for text in texts]


def samples(*requests: str) -> list[EditSample]:
    rng = np.random.default_rng(0)
    pictures = [Image.fromarray(rng.integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)) for _ in requests]
    return [EditSample(f"a/{k}", r, (), picture=p) for k, (r, p) in enumerate(zip(requests, pictures, strict=True))]


def team(execution: str = "multi", editor: HashEditor | None = None) -> Team:
    decomposer = Decomposer(Echo(), "{request}", Sampling(8, temperature=0.0))
    return Team(decomposer, RulesSequencer(), EditingAgent(editor or HashEditor(), execution))


def flat(batches):
    return [trace for batch in batches for trace in batch]


def test_single_joins_and_multi_goes_step_by_step():
    editor = HashEditor()
    images = [s.image for s in samples("x", "y")]
    plans = [("remove the a", "remove the b"), ("remove the c",)]
    single = EditingAgent(editor, "single").run(["0", "1"], images, plans)
    assert [len(e.calls) for e in single] == [1, 1] and editor.batches == [
        ["remove the a; remove the b", "remove the c"]
    ]
    editor.batches.clear()
    multi = EditingAgent(editor, "multi").run(["0", "1"], images, plans, seed=3)
    assert editor.batches == [["remove the a", "remove the c"], ["remove the b"]]  # a batch for each round
    first = editor.one(images[0], "remove the a", call_seed(3, "0", 0))
    assert multi[0].pictures[1] == editor.one(first, "remove the b", call_seed(3, "0", 1))


@pytest.mark.parametrize("action", [*ACTIONS, "sharpen"])
@pytest.mark.parametrize("goal", ["none", "None", " NONE. ", ""])
def test_no_editor_is_told_to_change_something_to_none(action, goal):
    """Where the goal may be absent it is left out; where it is needed the editor gets the request as the user said it."""
    lists = f"<action>remove; {action}</action><subject>moon; star</subject><goal>none; {goal}</goal>"
    for execution in ("single", "multi"):
        editor = HashEditor()
        decomposer = Decomposer(Says(f"<think></think>{lists}"), "{request}", Sampling(8, temperature=0.0))
        team_ = Team(decomposer, RulesSequencer(), EditingAgent(editor, execution))
        (trace,) = flat(team_.run(samples("make the star pop")))
        told = [text for batch in editor.batches for text in batch]
        assert told and not any("none" in text.casefold() or text.endswith((" to", " the", " with a")) for text in told)
        planned = goal.strip() and goal_of(action) is not Goal.NEEDED
        assert trace.source == ("rules" if planned else "request")
        assert planned or told == ["make the star pop"]


def test_seeds_are_fixed_for_all_time():
    assert call_seed(0, "a/0", 0) == 2073345686
    assert len({call_seed(s, i, k) for s in range(5) for i in ("a", "b") for k in range(5)}) == 50


def test_bad_agents_are_refused():
    with pytest.raises(BadInput, match="unknown execution"):
        EditingAgent(HashEditor(), "both")
    with pytest.raises(BadInput, match="no sub-request"):
        EditingAgent(HashEditor()).run(["0"], [Image.new("RGB", SIZE)], [()])

    class Lazy:
        def edit(self, images, instructions, seeds):
            return images[:-1]

    with pytest.raises(RunFailed, match="1 pictures and gave back 0"):
        EditingAgent(Lazy()).run(["0"], [Image.new("RGB", SIZE)], [("x",)])


def test_a_refused_call_ends_one_sample_and_no_other(tmp_path):
    class Prudish(HashEditor):
        """Like a service with a content filter: it does what it may, and reports the rest."""

        def edit(self, images, instructions, seeds):
            done = super().edit(images, instructions, seeds)
            outcomes = [
                Outcome(None, True, "nudity", 1, False) if "tree" in text else Outcome(image, False, "", 1, False)
                for text, image in zip(instructions, done, strict=True)
            ]
            if any(o.image is None for o in outcomes):
                raise EditsFailed(outcomes)
            return done

    editor = Prudish()
    work = samples("moon tree star", "moon star", "tree")
    first, second, third = flat(team(editor=editor).run(work))
    assert [len(batch) for batch in editor.batches] == [3, 2]  # the first sample never gets to its star
    assert first.failure == "call 2: refused by the content filter: nudity" and len(first.pictures) == 2
    assert third.failure.startswith("call 1: refused") and len(third.pictures) == 1
    assert second.failure == "" and second == flat(team().run(work[1:2]))[0]
    first.save(tmp_path)
    assert Trace.load(tmp_path) == first


def test_results_do_not_depend_on_the_batch():
    work = samples("a b", "c", "d e f", "g ?")
    together = flat(team().run(work, seed=5, batch_size=4))
    assert together == flat(team().run(work, seed=5, batch_size=1))
    assert together[2:3] == flat(team().run(work[2:3], seed=5))
    assert together != flat(team().run(work, seed=6))


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_samples_with_seeds_of_their_own_share_a_batch(batch_size):
    work, seeds = samples("a b", "c", "d e f", "g ?"), [5, 6, 5, 0]
    alone = [trace for one, seed in zip(work, seeds, strict=True) for trace in flat(team().run([one], seed))]
    assert flat(team().run(work, seeds, batch_size)) == alone
    plans = [trace.sub_requests for trace in alone]
    given = [
        trace
        for one, plan, seed in zip(work, plans, seeds, strict=True)
        for trace in flat(team().carry_out([one], [plan], seed))
    ]
    assert flat(team().carry_out(work, plans, seeds, batch_size)) == given
    with pytest.raises(BadInput, match="4 samples need one seed, or one each, and 3 are given"):
        team().run(work, seeds[:3])


def test_results_come_batch_by_batch():
    editor, seen = HashEditor(), []
    runs = team("single", editor).run(samples("a", "b", "c"), batch_size=2, progress=lambda *n: seen.append(n))
    assert editor.batches == []
    assert len(next(runs)) == 2 and len(editor.batches) == 1
    assert len(next(runs)) == 1 and seen == [(2, 3)]
    assert next(runs, None) is None and seen == [(2, 3), (3, 3)]


def test_a_trace_tells_everything():
    good, bad = flat(team().run(samples("moon tree", "what ?"), seed=1))
    assert good.source == "rules" and good.sub_requests == ("remove the moon", "remove the tree")
    assert good.calls[1] == Call("remove the tree", call_seed(1, "a/0", 1))
    assert len(good.pictures) == len(good.digests) == 3 and good.result is good.pictures[2]
    assert set(good.timings) == {"decompose", "sequence", "edit"}
    assert bad.text == "hm" and bad.decomposition is None and bad.error
    assert bad.source == "request" and bad.sub_requests == ("what ?",) and "raw request" in bad.notes[0]


def test_the_editor_alone_gets_the_raw_request():
    trace = flat(Team(None, RulesSequencer(), EditingAgent(HashEditor())).run(samples(" make  it\nnice ")))[0]
    assert trace.text is None and trace.error is None and trace.sub_requests == ("make it nice",)


@pytest.mark.parametrize("limit", [50, 3000])
def test_every_arm_reads_as_much_of_a_request_and_a_cut_is_recorded(limit, tmp_path):
    """The decomposer, the editor alone, and the editor where a decomposition is malformed ("?")."""
    request = "please remove the star ? " * 60 + "LAST"
    decomposer = Decomposer(Echo(), "{request}", Sampling(8, temperature=0.0), limit)
    alone = Team(None, RulesSequencer(), EditingAgent(HashEditor()), limit)
    fallen = Team(decomposer, RulesSequencer(), EditingAgent(HashEditor()))
    for arm in (alone, fallen):
        (trace,) = flat(arm.run(samples(request)))
        assert trace.source == "request" and len(trace.calls) == 1
        told = trace.calls[0].instruction
        assert told == clean_request(request, limit)[0] and ("LAST" in told) == (limit == 3000)
        assert trace.cut == (limit == 50) and ("was cut to" in " ".join(trace.notes)) == (limit == 50)
        assert trace_row(trace)["cut"] == trace.cut
        assert Trace.load(trace.save(tmp_path / "t").parent).cut == trace.cut
    assert ("LAST" in decomposer.request(samples(request)[0]).text) == (limit == 3000)


def test_saved_loaded_and_replayed(tmp_path):
    for trace in flat(team().run(samples("moon tree", "what ? 星 \ud800"), seed=2)):
        folder = tmp_path / folder_name(trace.sample_id)
        assert trace.save(folder) == folder / "trace.json"
        loaded = Trace.load(folder)
        assert loaded == trace and loaded.timings == trace.timings
        assert [np.asarray(p).tolist() for p in loaded.pictures] == [np.asarray(p).tolist() for p in trace.pictures]
        again = replay(loaded, HashEditor())
        assert [np.asarray(p).tolist() for p in again] == [np.asarray(p).tolist() for p in trace.pictures]
        light = Trace.load(folder, pictures=False)
        assert light == trace
        with pytest.raises(BadInput, match="without its pictures"):
            replay(light, HashEditor())


def test_a_damaged_trace_is_named(tmp_path):
    trace = flat(team().run(samples("moon")))[0]
    trace.save(tmp_path)
    Image.new("RGB", SIZE).save(tmp_path / "1.png")
    with pytest.raises(BadData, match=r"1\.png"):
        Trace.load(tmp_path)
    (tmp_path / "1.png").write_bytes(b"no picture")
    with pytest.raises(BadData, match="cannot be read"):
        Trace.load(tmp_path)
    (tmp_path / "1.png").unlink()
    with pytest.raises(MissingFile, match=r"1\.png"):
        Trace.load(tmp_path)
    raw = json.loads((tmp_path / "trace.json").read_text())
    for bad in ("{", "[]", json.dumps({k: v for k, v in raw.items() if k != "calls"})):
        (tmp_path / "trace.json").write_text(bad)
        with pytest.raises(BadData, match="not a trace"):
            Trace.load(tmp_path)
    with pytest.raises(MissingFile, match="no trace"):
        Trace.load(tmp_path / "other")


def test_a_full_disk_leaves_no_half_trace(tmp_path, monkeypatch):
    trace = flat(team().run(samples("moon")))[0]

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SaveFailed, match="No space left"):
        trace.save(tmp_path / "t")
    assert list((tmp_path / "t").iterdir()) == []


def test_what_cannot_be_run_is_said_before_anything_runs():
    with pytest.raises(BadInput, match="'a/1'.*empty"):
        team().run(samples("moon", " \x00 "))
    with pytest.raises(BadInput, match="batch_size"):
        team().run(samples("moon"), batch_size=0)
    with pytest.raises(BadInput, match="no picture"):
        next(team().run([EditSample("t", "moon", ())]))


def test_folder_names_are_safe_and_distinct():
    ids = ["a/0", "a_0", "../x", "..", "", "é", "x" * 200, "x" * 201]
    names = [folder_name(i) for i in ids]
    assert len(set(names)) == len(ids)
    assert all(n and "/" not in n and n not in (".", "..") and len(n) < 100 for n in names)
