"""The tables of a plan: memory, compute and time of an edit, and memory of training the decomposer and of a job's phases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from common.progress import console
from experiments.reports.screen import show_table

UNITS = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))
FITS = {True: "yes", False: "no", None: "–"}
LEFT = ("class", "worst moment", "fits", "+ decomposer", "phase", "what is there")  # columns of words
SPEEDS = (("PFLOP", 1e15), ("TFLOP", 1e12), ("GFLOP", 1e9), ("MFLOP", 1e6))


def print_plan(plan: Mapping[str, Any]) -> None:
    """Print the tables of a plan."""
    editor, gpu, assumed = plan["editor"], plan["gpu"], plan["assumed"]
    tokens = editor["tokens"]
    console.print(f"[bold]{editor['name']}[/] at scale={plan['scale']}: {editor['checkpoint']} ({editor['pipeline']})")
    if editor["licence"]:
        console.print(f"licence: {editor['licence']}", markup=False)
    console.print(
        f"one edit: {editor['grid'][0]} x {editor['grid'][1]} pixels, {editor['steps']} steps of {editor['branches']} forward(s)"
        f"\ntokens: {tokens['result']} of the result, {tokens['reference']} of the reference, "
        f"{' and '.join(map(str, tokens['text']))} of text\n",
        markup=False,
    )
    for table in (components(editor), compute_table(editor), offload_table(editor, gpu)):
        show_table(table)
    if plan["decomposer"]:
        print_decomposer(plan)
    if plan.get("step"):
        show_table(step(plan))
    if plan["phases"]:
        show_table(phases(plan))
    console.print(
        f"assumed: {assumed['mfu']:.0%} of the peak is reached (mfu), {assumed['host_gb_s']:.0f} GB/s between main memory and GPU "
        f"(host_gb_s), {size(assumed['reserve'])} for CUDA itself, an instruction of {assumed['instruction_tokens']} tokens. "
        "Attention without a score matrix in memory; kernel launches not counted, which is what a tiny model spends its time on. "
        "A step's shares of the peak were measured once, on an H100 with a 3B model (experiments/preflight/step_time.py); that of "
        "decoding by vLLM and by the CUDA graphs of rollouts=hf is assumed.\n"
        f"{gpu['name']}: {gpu['bf16'] / 1e12:.0f} TFLOP/s bf16, {gpu['fp32'] / 1e12:.0f} fp32, {gpu['bandwidth'] / 1e12:.2f} TB/s, "
        f"{gpu['memory']} GiB ({gpu['source']}).",
        markup=False,
    )


def print_decomposer(plan: Mapping[str, Any]) -> None:
    """What is said of the decomposer, and the table of its training."""
    decomposer, lengths = plan["decomposer"], plan["decomposer"]["tokens"]
    console.print(
        f"{decomposer['name']}: {count(decomposer['parameters'])} parameters, {size(decomposer['weights'])}; sequences of "
        f"{lengths['picture']} + {lengths['request']} + {lengths['answer']} tokens (picture, request, answer), "
        f"{decomposer['sequences']} at once in rollouts. engine=torch keeps all in {decomposer['dtype']}; ZeRO: 16-bit weights and "
        "gradients, fp32 weights and moments in the optimizer",
        markup=False,
    )
    for line in notes(decomposer, plan["gpu"]):
        console.print(line, markup=False)
    console.print()
    show_table(training(plan))


def notes(decomposer: Mapping[str, Any], gpu: Mapping[str, Any]) -> list[str]:
    """What a table of the training does not say by itself."""
    kept = decomposer["output_layer"]["kept"]
    lines = [f"activations hold {size(kept)} that the output layer keeps for the backward pass"] if kept else []
    if slot := decomposer["adapter_slot"]:
        lines.append(f"all holds {size(slot)} of vLLM's slot for adapters, too (rollouts.adapters=merged needs none)")
    if decomposer["dtype"] == "float32":
        lines.append(
            f"float32: TF32 is off in training and in vLLM, so that products run at {gpu['fp32'] / 1e12:.0f} TFLOP/s at most "
            f"(bfloat16: {gpu['bf16'] / 1e12:.0f})"
        )
    return lines


def components(editor: Mapping[str, Any]) -> Table:
    types = editor["dtype"] + (
        "" if editor["quantization"] == "none" else f" and {editor['quantization']} (approximate)"
    )
    table = _table(f"Memory of the weights, {types}", "component", "class", "parameters", "bytes")
    for name, part in editor["components"].items():
        table.add_row(name, part["class"], count(part["parameters"]), size(part["bytes"]))
    parameters, whole = (sum(part[key] for part in editor["components"].values()) for key in ("parameters", "bytes"))
    table.add_row("all", "", count(parameters), size(whole), style="bold")
    return table


def compute_table(editor: Mapping[str, Any]) -> Table:
    title = f"Compute of one edit, and memory besides the weights for {editor['batch_size']} at a time"
    table = _table(title, "phase", "compute", "share", "activations")
    for phase, memory in editor["activations"].items():
        flops = editor["flops"][phase]
        table.add_row(phase, work(flops), f"{flops / editor['flops']['edit']:.1%}", size(memory))
        if phase == "text encoding" and editor["kv_cache"]:
            table.add_row("  keys and values of one prompt", "", "", size(editor["kv_cache"]), style="dim")
        if phase == "denoising":
            table.add_row("  one forward of the transformer", work(editor["flops"]["forward"]), "", "", style="dim")
    table.add_row("one edit", work(editor["flops"]["edit"]), "", "", style="bold")
    return table


def offload_table(editor: Mapping[str, Any], gpu: Mapping[str, Any]) -> Table:
    table = _table(
        f"On one {gpu['name']}", "offload", "GPU memory", "worst moment", "fits", "+ decomposer", "time per edit"
    )
    for offload, row in editor["offload"].items():
        fits, beside = (FITS[row[key]] for key in ("fits", "fits_beside_decomposer"))
        table.add_row(offload, size(row["total"]), row["phase"], fits, beside, seconds(row["seconds_per_edit"]))
    return table


def training(plan: Mapping[str, Any]) -> Table:
    d = plan["decomposer"]
    title = f"Training {d['name']} by GRPO: memory on each {plan['gpu']['name']}"
    heads = ("weights", "gradients", "optimizer", "reference")
    table = _table(title, "", *heads, "activations", "KV cache", "all", "fits")
    for name, row in d["training"].items():
        memory = [size(row[head]) for head in heads]
        fits = "yes" if row["fits"] else "no"
        table.add_row(name, *memory, size(d["activations"]), size(d["kv_cache"]), size(row["total"]), fits)
    return table


def step(plan: Mapping[str, Any]) -> Table:
    """Seconds of a GRPO step, at best and to be expected."""
    found, shape = plan["step"], plan["step"]["shape"]
    title = (
        f"One GRPO step on one {plan['gpu']['name']}: {shape['prompts']} prompts of {shape['prompt']} tokens x {shape['answers']} "
        f"answers of {shape['answer']}, rollouts={found['rollouts']}"
    )
    table = _table(title, "part", "at best", "expected", "share reached")
    limit, expected = dict(found["limit_s"]), dict(found["expected_s"])
    for name, least in limit.items():
        table.add_row(name, seconds(least), seconds(expected[name]), f"{least / expected[name]:.0%}" if least else "–")
    least, whole = sum(limit.values()), sum(expected.values())
    table.add_row("all", seconds(least), seconds(whole), f"{least / whole:.0%}", style="bold")
    return table


def phases(plan: Mapping[str, Any]) -> Table:
    title = f"The job's phases: memory on each {plan['gpu']['name']}"
    table = _table(title, "stage", "phase", "GPUs", "what is there", "all", "fits")
    for row in plan["phases"]:
        there = "\n".join(f"{name} {size(held)}" for name, held in row["held"].items() if held)
        table.add_row(
            row["stage"], row["phase"], str(row["gpus"]), there, size(row["total"]), "yes" if row["fits"] else "no"
        )
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1))
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="left" if other in LEFT else "right")
    return table


def size(value: float) -> str:
    """Bytes in the largest unit that gives 1 or more."""
    unit, step = next(((u, s) for u, s in UNITS if value >= s), ("B", 1))
    return f"{value / step:.1f} {unit}" if value else "–"


def work(value: float) -> str:
    """FLOPs in the largest unit that gives 1 or more."""
    unit, step = next(((u, s) for u, s in SPEEDS if value >= s), ("FLOP", 1.0))
    return f"{value / step:.1f} {unit}"


def count(value: float) -> str:
    """Parameters in millions or billions."""
    return f"{value / 1e9:.2f} B" if value >= 1e9 else f"{value / 1e6:.2f} M"


def seconds(value: float) -> str:
    if value >= 1:
        return f"{value:.1f} s"
    return f"{value * 1e3:.0f} ms" if value >= 0.01 else f"{value * 1e3:.2g} ms"


__all__ = [
    "components",
    "compute_table",
    "count",
    "notes",
    "offload_table",
    "phases",
    "print_plan",
    "seconds",
    "size",
    "step",
    "training",
    "work",
]
