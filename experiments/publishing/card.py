"""The model card of a published part: README.md with the head that the Hub reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.version import version
from experiments.publishing.numbers import Number
from experiments.publishing.origins import Origin
from experiments.publishing.parts import TrainedPart

PAPERS = {
    "decomposer": "https://arxiv.org/abs/2603.08059",
    "rrm": "https://arxiv.org/abs/2604.27505",
    "intent": "https://arxiv.org/abs/2606.05950",
    "editor": "https://arxiv.org/abs/2604.27505",
}
WHAT = {
    "decomposer": (
        "A **decomposer**: it reads a picture and a request, and writes what is to be done as actions, subjects and goals "
        "(`<think>…</think><action>…</action><subject>…</subject><goal>…</goal>`, items separated by `;`)."
    ),
    "rrm": (
        "A **reasoning reward model** of image edits: it reads the picture before, the picture after and the request, reasons "
        "about evaluation points, and ends in a score."
    ),
    "intent": (
        "A **writer of intents**: it reads the earlier turns of an editing session, the next one and the picture, and writes an "
        "instruction that means the same by itself."
    ),
    "editor": "An **image editor**: picture and instruction in, edited picture out.",
}
LANGUAGE = """# pip install transformers torch pillow torchvision (the processor's part for videos imports the last one)
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.image_utils import load_image

folder = "{folder}"{remark}
model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.{dtype})
processor = AutoProcessor.from_pretrained(folder)

content = [{pictures}, {{"type": "text", "text": {text}}}]
inputs = processor.apply_chat_template(
    [{{"role": "user", "content": content}}], add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
)
with torch.inference_mode():
    out = model.generate(**inputs, max_new_tokens={tokens}, do_sample=False)
answer = processor.batch_decode(out[:, inputs["input_ids"].shape[1]:], skip_special_tokens=True)[0]
print(answer)
"""
EDITOR = """import torch
from diffusers import DiffusionPipeline
from diffusers.utils import load_image

pipe = DiffusionPipeline.from_pretrained("{folder}", dtype=torch.{dtype}){remark}
picture = pipe(
    image=load_image("picture.png"), prompt="remove the red star", {settings},
    generator=torch.Generator().manual_seed(0),
).images[0]
picture.save("edited.png")
"""


@dataclass(frozen=True)
class CardFacts:
    """What the card says. `shown_as` is the folder or id that the example loads, `command` the one that made the run (None
    where no command line says it all)."""

    title: str
    part: TrainedPart
    config: Any
    origin: Origin
    numbers: Sequence[Number]
    command: str | None
    shown_as: str


def card_text(facts: CardFacts) -> str:
    """README.md, its head included."""
    sections = [
        f"# {facts.title}",
        WHAT[facts.part.kind],
        _limits(facts),
        "## How to load it",
        _loading(facts),
        "## How it was trained",
        _training(facts),
        "## Scores",
        _scores(facts.numbers),
        "## Licence",
        _licence(facts.origin),
    ]
    return f"---\n{_head(facts)}\n---\n\n" + "\n\n".join(text for text in sections if text) + "\n"


def _head(facts: CardFacts) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    editor = facts.part.kind == "editor"
    task = "image-to-image" if editor else "image-text-to-text"
    benchmark = facts.config.benchmark.name
    data = ModelCardData(
        language="en",
        license=facts.origin.licence,
        license_name=facts.origin.licence_name or None,
        base_model=facts.origin.model or None,
        library_name="diffusers" if editor else "transformers",
        pipeline_tag=task,
        tags=["image-editing", "reinforcement-learning", facts.part.kind, facts.config.algo.name, "imageedit-r1"],
        model_name=facts.title,
        eval_results=[
            EvalResult(
                task_type=task,
                dataset_type=benchmark,
                dataset_name=benchmark,
                metric_type=number.label,
                metric_name=number.label,
                metric_value=number.value,
            )
            for number in facts.numbers
        ]
        or None,
    )
    return data.to_yaml().strip()


def _limits(facts: CardFacts) -> str:
    part = _configured(facts)
    if not getattr(part, "sandbox_only", facts.origin.model == ""):
        return ""
    return (
        "It is a tiny model that knows the *sandbox* alone: procedural pictures of 64 × 64 pixels with coloured shapes, and "
        "requests about them. It is of no use on photographs."
    )


def _configured(facts: CardFacts) -> Any:
    c = facts.config
    return {"decomposer": c.decomposer, "rrm": c.rrm, "intent": c.intent, "editor": c.editor}[facts.part.kind]


def _loading(facts: CardFacts) -> str:
    remark = "" if "/" in facts.shown_as else "  # this folder, or the model's id on the Hub"
    part = _configured(facts)
    if facts.part.kind == "editor":
        guided = {"true_cfg_scale": part.true_cfg, "negative_prompt": part.negative_prompt} if part.true_cfg > 1 else {}
        distilled = {} if part.guidance is None else {"guidance_scale": part.guidance}
        side = int(part.area**0.5)
        sized = {"height": side, "width": side}
        settings = {"num_inference_steps": part.steps, **guided, **distilled, **sized}
        if facts.config.editor.name == "flux_kontext":
            settings |= {"max_area": part.area, "max_sequence_length": part.max_sequence_length, "_auto_resize": False}
        words = ", ".join(f"{key}={value!r}" for key, value in settings.items())
        code = EDITOR.format(folder=facts.shown_as, remark=remark, dtype=part.dtype, settings=words)
        note = (
            "With diffusers alone, at the settings of its evaluation. `editor.checkpoint=<folder>` uses it in this project, which "
            "also brings pictures to the working grid and back."
        )
    else:
        pictures = ["before.png", "after.png"] if facts.part.kind == "rrm" else ["picture.png"]
        shown = ", ".join(f'{{"type": "image", "image": load_image("{p}")}}' for p in pictures)
        values = {
            "dtype": part.dtype,
            "pictures": shown,
            "text": '"remove the red star"',
            "tokens": part.max_new_tokens,
        }
        code = LANGUAGE.format(folder=facts.shown_as, remark=remark, **values)
        keys = {"decomposer": "decomposer.checkpoint", "rrm": "rrm.checkpoint", "intent": "intent.checkpoint"}
        note = (
            "With transformers alone. `prompt.txt` is the text that it was trained with: the request stands where it says "
            "`{request}`, the other marks stand for earlier turns and notes and may be left empty. "
            f"`{keys[facts.part.kind]}=<folder>` uses it in this project."
        )
    return f"{note} The processors of these models need torchvision beside torch.\n\n```python\n{code}```"


def _training(facts: CardFacts) -> str:
    c, base = facts.config, facts.origin.model
    begun = (
        f"[{base}](https://huggingface.co/{base})" if base else "a tiny model that this project trained from nothing"
    )
    lines = [f"- Base: {begun}.", f"- Data: {_data(c)}.", f"- {_how(facts)}"]
    lines.append(
        f"- Paper: {PAPERS[facts.part.kind]}; code: ImageEdit-R1, version {version()}, an independent implementation."
    )
    if facts.command:
        lines.append(f"- The command that made it:\n\n```\n{facts.command}\n```")
    else:
        lines.append("- No single command line says its configuration; `training.yaml` has all of it.")
    return "\n".join(lines)


def _data(config: Any) -> str:
    if config.benchmark.name == "sandbox":
        return "the sandbox, procedural scenes whose edits have exact answers; training and test samples do not overlap"
    return f"`benchmark={config.benchmark.name}`"


def _how(facts: CardFacts) -> str:
    c, kind, name = facts.config, facts.part.kind, facts.part.name
    if kind == "rrm":
        rl = "" if facts.part.arm != "gcpo" else f", then GCPO for {c.rrm.gcpo.steps} steps"
        return f"A supervised cold start of {c.rrm.sft.steps} steps{rl}; seed {c.seed}."
    if kind == "intent" and not name.startswith("sessions/"):
        return f"Supervised training for {c.intent.sft.steps} steps on the benchmark's own intents; seed {c.seed}."
    if name == "start":
        return f"Supervised training for {c.algo.sft.steps} steps; seed {c.seed}."
    arm = f", arm `{facts.part.arm}`" if facts.part.arm else ""
    return f"`algo={c.algo.name}` with `reward={c.reward.name}` for {c.algo.steps} steps{arm}; seed {c.seed}."


def _scores(numbers: Sequence[Number]) -> str:
    if not numbers:
        return "The run has not evaluated this part."
    rows = ["| measure | value | 95 % interval | n |", "|---|---|---|---|"]
    for number in numbers:
        interval = "" if number.low is None or number.high is None else f"{_round(number.low)} to {_round(number.high)}"
        star = "*" if number.rough and interval else ""
        rows.append(f"| {number.label} | {_round(number.value)} | {interval}{star} | {number.n or ''} |")
    rough = (
        "\n\n`*`: a rough interval, because few values differ."
        if any(n.rough and n.low is not None for n in numbers)
        else ""
    )
    return "From `results.json`, on samples that were never trained on.\n\n" + "\n".join(rows) + rough


def _round(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def _licence(origin: Origin) -> str:
    name = origin.licence_name or origin.licence
    of = f", that of [{origin.model}](https://huggingface.co/{origin.model})" if origin.model else ""
    return f"{name}{of}. It holds for these weights too."


__all__ = ["CardFacts", "PAPERS", "card_text"]
