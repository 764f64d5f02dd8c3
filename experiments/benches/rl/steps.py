"""Whole GRPO steps, ours against TRL's: two processes that take turns, and the proof that they do the same work."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from agents.backends.vlm import load_vlm
from common.errors import RunFailed
from experiments.benches.rl.lockstep import Child, in_turns, row
from experiments.benches.rl.our_step import sample, to_request
from experiments.benches.rl.trl_step import reward
from experiments.benches.rl.work import Shape, write_settings
from rl.policies.text import TextBatch, TextPolicy
from rl.prefix import grow

HERE = Path(__file__).parent
WARM_UP = 2  # steps of each side that do not count
TOLERANCE = 0.01  # relative, of entropy and gradient norm: two implementations in fp32
WORK = ("completions", "prompt_tokens", "answer_tokens")
# What is tried for TRL before it is measured: how many sequences pass at once, and which cache generation uses.
CANDIDATES = [{"batch": b, "cache": c} for b, c in ((512, None), (16, None), (512, "static"))]


@dataclass
class Side:
    """A child and what its steps said."""

    child: Child
    messages: list[dict[str, Any]]

    def __call__(self) -> float:
        self.messages.append(self.child.step())
        return self.messages[-1]["seconds"]


def compare_steps(
    shape: Shape,
    checkpoint: Path,
    folder: Path,
    python: Path,
    threads: int,
    repeats: int,
    candidates: Sequence[dict[str, Any]] = CANDIDATES,
    weights: str = "trained",
    say: Callable[[str], None] = print,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the measure, everything else that was seen). Raises RunFailed where the two sides' work differs."""
    common = {"threads": threads, "lr": 1e-6, "frozen_vision": True, "candidates": list(candidates)}
    path = write_settings(shape, checkpoint, folder, weights, **common, out=str((folder / "run").absolute()))
    quiet = {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    commands = {
        "ours": [sys.executable, "-m", "experiments.benches.rl.our_step", str(path)],
        "TRL": [str(python), str(HERE / "trl_step.py"), str(path)],
    }
    with (
        Child("ours", commands["ours"], folder / "ours.log", quiet) as mine,
        Child("TRL", commands["TRL"], folder / "trl.log", quiet) as theirs,
    ):
        sides = [Side(mine, []), Side(theirs, [])]
        started = [side.child.hear() for side in sides]
        for _ in range(WARM_UP):
            for side in sides:
                side()
        times = in_turns(sides, repeats)
    ours, peer = (side.messages for side in sides)
    same_work(ours, peer)
    proof = same_numbers(json.loads(path.read_text()), peer[0]["first"])
    measure = row(times[0], times[1], "steps/s")
    details = {
        "shape": vars(shape),
        "threads": threads,
        "started": dict(zip(commands, started, strict=True)),
        "work": {k: ours[-1][k] for k in WORK},
        "taught": sum(m["taught"] for m in ours) / len(ours),
        "distinct": distinct_share(peer[0]["first"]["answers"], shape.group),
        "prompt_to_answer": ours[-1]["prompt_tokens"] / ours[-1]["answer_tokens"],
        "reward": {n: sum(m["reward"] for m in ms) / len(ms) for n, ms in (("ours", ours), ("TRL", peer))},
        "proof": proof,
        "cpu_seconds": {n: median(m["cpu_seconds"] for m in ms[WARM_UP:]) for n, ms in (("ours", ours), ("TRL", peer))},
        "phases": ours[-1]["phases"],
        "memory": ours[-1]["memory"],
        "peak_mib": {n: ms[-1]["peak_mib"] for n, ms in (("ours", ours), ("TRL", peer))},
    }
    describe(details, say)
    return measure, details


def same_work(ours: Sequence[dict[str, Any]], peer: Sequence[dict[str, Any]]) -> None:
    """Raises RunFailed where a step of one side had more to do than the same step of the other."""
    if skipped := [n for n, mine in enumerate(ours, 1) if mine["skipped"]]:
        raise RunFailed(f"steps {skipped} of this side updated nothing; a step without an update is no step")
    for step, (mine, theirs) in enumerate(zip(ours, peer, strict=True), 1):
        if odd := [k for k in WORK if mine[k] != theirs[k]]:
            seen = ", ".join(f"{k} {mine[k]} here and {theirs[k]:g} at TRL" for k in odd)
            raise RunFailed(f"step {step}: {seen}; step rates of different work cannot be compared")


def same_numbers(settings: dict[str, Any], first: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What TRL says about its own first batch beside what this code computes for that batch from the start weights: rewards,
    mean entropy (nats) and the gradient's norm, into which weights, pictures, text, precision and loss all enter.

    Raises RunFailed where they differ.
    """
    vlm = load_vlm(settings["model"])
    vlm.banned_ids = ()  # TRL's log-probabilities know no bans
    answers, G = first["answers"], settings["group"]
    texts = vlm.tokenizer.batch_decode(answers, skip_special_tokens=True)
    rewards = torch.tensor([reward(text) for text in texts], dtype=torch.float64).view(-1, G)
    advantage = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)  # TRL's constant
    lines = Path(settings["rows"]).read_text().splitlines()[: settings["prompts"]]
    prompts = vlm.encode([to_request(sample(json.loads(line))) for line in lines])
    policy = TextPolicy(vlm, frozen_vision=settings["frozen_vision"])
    stats = policy(TextBatch([p for p in prompts for _ in range(G)], answers))
    tokens = int(stats.mask_BT.sum())
    (-(stats.logp_BT * advantage.view(-1, 1).float()).sum() / tokens).backward()
    gradients = [p.grad.norm() for p in vlm.model.parameters() if p.grad is not None]
    proof = {
        "reward": {"ours": float(rewards.mean()), "TRL": sum(first["rewards"]) / len(first["rewards"])},
        "entropy": {"ours": float(stats.entropy_BT.sum() / tokens), "TRL": first["entropy"]},
        "gradient norm": {"ours": float(torch.stack(gradients).norm()), "TRL": float(first["grad_norm"])},
    }
    for name, both in proof.items():
        if not abs(both["ours"] - both["TRL"]) <= TOLERANCE * abs(both["TRL"]):
            raise RunFailed(
                f"{name} of TRL's first batch: {both['TRL']:.6g} there, {both['ours']:.6g} here; not the same step"
            )
    return proof


def distinct_share(answers: Sequence[Sequence[int]], group: int) -> float:
    """Share of the answers' tokens that are left when equal beginnings within a group count once: what this code computes."""
    trees = [grow(answers[start : start + group]) for start in range(0, len(answers), group)]
    return sum(len(t.target) for t in trees) / sum(map(len, answers))


def describe(details: dict[str, Any], say: Callable[[str], None]) -> None:
    trl = details["started"]["TRL"]
    say("  TRL: " + ", ".join(f"{k} {v}" for k, v in trl["versions"].items()))
    say(f"  its settings: {trl['options']}; fp32, fused AdamW, no gradient checkpointing, no reference model, eager")
    if len(trl["tried"]) > 1:
        tried = (f"{t['options']} {t['error'] or format(t['seconds'], '.2f') + ' s'}" for t in trl["tried"])
        say("  tried, the second step of each: " + "; ".join(tried))
    work = ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in details["work"].items())
    say(f"  every step, both sides: {work} (prompt:answer {details['prompt_to_answer']:.1f}:1)")
    say(
        f"  of these, what this code need not compute: {details['work']['completions'] - details['taught']:.1f} completions "
        f"without an advantage; in TRL's first batch {1 - details['distinct']:.0%} of the answers' tokens, as equal beginnings"
    )
    proof = "; ".join(f"{k} {v['TRL']:.5g} / {v['ours']:.5g}" for k, v in details["proof"].items())
    say(f"  TRL's first batch, its numbers / ours: {proof}")
    say("  mean reward over all steps: " + ", ".join(f"{k} {v:.3f}" for k, v in details["reward"].items()))
    cpu = ", ".join(f"{k} {v:.2f}" for k, v in details["cpu_seconds"].items())
    say(f"  processor seconds of a step, over {details['threads']} threads: {cpu}")
    say("  our phases (s): " + ", ".join(f"{k} {v:.2f}" for k, v in details["phases"].items()))
    say("  memory of our phases (MiB): " + ", ".join(f"{k} {v:.0f}" for k, v in details["memory"].items()))
    say("  most memory in a step (MiB): " + ", ".join(f"{k} {v or 0:.0f}" for k, v in details["peak_mib"].items()))


__all__ = ["CANDIDATES", "compare_steps", "same_numbers", "same_work"]
