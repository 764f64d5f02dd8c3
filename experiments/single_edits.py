"""`python -m experiments.single_edits`: what editors do with explicit single edits, per action, and a picture of them.

The instructions are what a user would call plain ("remove the red star"), on held-out scenes: what the editor itself can do,
with no team before it. Settings are each editor's own at its scale. Writes scores.json, scores.md and edits.png into `out`.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from rich import box
from rich.table import Table

from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from common.errors import BadInput
from common.means import Mean, mean
from common.progress import bar, console
from conf.schema import RunConfig
from experiments.build.device import use_threads
from experiments.build.editors import make_editor
from experiments.runs.cli import compose, typed
from experiments.runs.libraries import quiet_libraries
from judges.sandbox import SandboxJudge

USAGE = "python -m experiments.single_edits [editors=qwen,flux_kontext] [samples=400] [out=outputs/single_edits]"
SEED, SINGLE = 7, (1.0, 0, 0, 0, 0)  # lengths of requests: one edit each
ZOOM, GAP, TEXT = 2, 6, 14  # of the picture that is made, in pixels

Scores = dict[str, float]


def main(argv: Sequence[str]) -> None:
    options = {"editors": "qwen,flux_kontext", "samples": "400", "out": "outputs/single_edits"}
    for word in argv:
        key, equals, value = word.partition("=")
        if not equals or key not in options:
            raise BadInput(f"cannot read '{word}'; usage: {USAGE}")
        options[key] = value
    if not options["samples"].isdigit() or int(options["samples"]) < 1:
        raise BadInput(f"samples={options['samples']} is no number of samples; usage: {USAGE}")
    quiet_libraries(False)
    samples, out = held_out(int(options["samples"])), Path(options["out"])
    found: dict[str, list[Scores]] = {}
    pictures: dict[str, list[Image.Image]] = {}
    for name in options["editors"].split(","):
        config: RunConfig = typed(compose("run", [f"editor={name}"]))
        use_threads(config.engine)
        pictures[name] = edit(config, samples, name)
        found[name] = judge(samples, pictures[name])
    table = by_action(samples, found)
    show(table, list(found))
    out.mkdir(parents=True, exist_ok=True)
    (out / "scores.json").write_text(json.dumps({"n": len(samples), "editors": found_means(table)}, indent=1) + "\n")
    (out / "scores.md").write_text(markdown(table, list(found)), encoding="utf-8")
    one_each = list({sample.gold[0].action: i for i, sample in reversed(list(enumerate(samples)))}.values())
    sheet(samples, pictures, sorted(one_each)).save(out / "edits.png")
    console.print(f"written: {out / 'scores.json'}, scores.md, edits.png")


def held_out(count: int) -> list[SandboxSample]:
    """Test scenes and wordings; one explicit edit each."""
    bench = SandboxBenchmark("test", SEED, kinds={"direct": 1.0}, lengths=SINGLE)
    return [bench.sample(i) for i in range(count)]


def edit(config: RunConfig, samples: Sequence[SandboxSample], name: str) -> list[Image.Image]:
    editor, done = make_editor(config.editor, config.engine), []
    with bar(name, len(samples)) as progress:
        for k in range(0, len(samples), 32):
            part = samples[k : k + 32]
            done += editor.edit([s.image for s in part], [s.request for s in part], range(k, k + len(part)))
            progress.update(len(done))
    return done


def judge(samples: Sequence[SandboxSample], edited: Sequence[Image.Image]) -> list[Scores]:
    """One verdict each; a sandbox picture can always be judged."""
    judge = SandboxJudge()
    return [dict(judge.judge(s.image, after, s.gold).scores) for s, after in zip(samples, edited, strict=True)]


ByAction = dict[str, dict[str, dict[str, Mean]]]  # action (or "all") -> editor -> aspect -> mean


def by_action(samples: Sequence[SandboxSample], found: Mapping[str, Sequence[Scores]]) -> ByAction:
    groups: dict[str, list[int]] = defaultdict(list)
    for i, sample in enumerate(samples):
        groups["all"].append(i)
        groups[sample.gold[0].action].append(i)
    return {
        action: {name: {a: mean([rows[i][a] for i in chosen]) for a in rows[0]} for name, rows in found.items()}
        for action, chosen in sorted(groups.items(), key=lambda item: (item[0] != "all", item[0]))
    }


def found_means(table: ByAction) -> dict[str, Any]:
    return {
        name: {
            action: {a: round(m.value, 3) for a, m in row[name].items()} | {"n": row[name]["overall"].n}
            for action, row in table.items()
        }
        for name in table["all"]
    }


def show(table: ByAction, editors: Sequence[str]) -> None:
    shown = Table(box=box.SIMPLE_HEAD, title="Explicit single edits, held out: overall 0–10, mean and 95 % interval")
    for name in ("action", "n", *editors):
        shown.add_column(name, justify="left" if name == "action" else "right")
    for action, row in table.items():
        cells = [f"{m.value:.2f}  {m.low:.2f}–{m.high:.2f}" for m in (row[e]["overall"] for e in editors)]
        shown.add_row(action, str(row[editors[0]]["overall"].n), *cells, style="bold" if action == "all" else None)
    console.print(shown)


def markdown(table: ByAction, editors: Sequence[str]) -> str:
    """Overall per action, and the aspects over all."""
    lines = [f"| explicit single edits | n | {' | '.join(editors)} |", f"|---|---|{'---|' * len(editors)}"]
    for action, row in table.items():
        if action == "all":
            for aspect in row[editors[0]]:
                cells = [f"{m.value:.2f} [{m.low:.2f}, {m.high:.2f}]" for m in (row[e][aspect] for e in editors)]
                lines.append(f"| all: {aspect.replace('_', ' ')} | {row[editors[0]][aspect].n} | {' | '.join(cells)} |")
        else:
            cells = [f"{row[e]['overall'].value:.2f}" for e in editors]
            lines.append(f"| {action} | {row[editors[0]]['overall'].n} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def sheet(
    samples: Sequence[SandboxSample], pictures: Mapping[str, Sequence[Image.Image]], chosen: Sequence[int]
) -> Image.Image:
    """Two samples a row: the source, what each editor made of it, and what was wanted; the instruction above."""
    side, names = 64 * ZOOM, ["source", *pictures, "wanted"]
    width, height = len(names) * (side + GAP) + 3 * GAP, side + 2 * TEXT + 2 * GAP
    canvas = Image.new("RGB", (2 * width, (len(chosen) + 1) // 2 * height + GAP), "white")
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    for place, i in enumerate(chosen):
        left, top = place % 2 * width + GAP, place // 2 * height + GAP
        draw.text((left, top), samples[i].request, "black", font)
        shown = [samples[i].image, *(made[i] for made in pictures.values()), samples[i].target]
        for k, (name, picture) in enumerate(zip(names, shown, strict=True)):
            x = left + k * (side + GAP)
            canvas.paste(picture.resize((side, side), Image.Resampling.NEAREST), (x, top + TEXT + 2))
            draw.text((x, top + TEXT + 2 + side), name, "gray", font)
    return canvas


if __name__ == "__main__":
    from experiments.runs.cli import plain_command

    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
