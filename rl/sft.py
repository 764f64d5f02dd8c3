"""Supervised fine-tuning: cross-entropy on the answer's tokens. Batches are a function of the step, so a resumed run is the same run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.backends.base import Request, fingerprint
from agents.backends.vlm import VLM, Encoded, collate
from benchmarks.errors import BadData, BadInput
from rl.checkpoint import Checkpoints
from rl.journal import Journal
from rl.signals import StopWish


@dataclass(frozen=True)
class SFTConfig:
    steps: int
    batch_size: int = 64  # examples in one update
    micro_batch_size: int = 16  # examples in one forward pass; does not change the update
    lr: float = 1e-3
    warmup: int = 100
    final_lr_share: float = 0.1  # cosine decay ends at this share of lr
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    max_grad_norm: float = 1.0
    checkpoint_every: int = 200
    keep_checkpoints: int = 2
    vision: bool = True  # whether the vision tower learns too

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch_size < 1 or self.micro_batch_size < 1:
            raise BadInput(f"sft needs steps >= 0 and batch sizes >= 1, not {self}")

    def lr_at(self, step: int) -> float:
        """Linear warm-up, then cosine decay to `final_lr_share`."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * (self.final_lr_share + (1 - self.final_lr_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@dataclass(frozen=True)
class SFTExample:
    """A prompt and the answer to learn, as text."""

    request: Request
    answer: str


def answer_ids(vlm: VLM, answer: str) -> list[int]:
    """The answer's tokens with the end token."""
    return [*vlm.tokenizer(answer, add_special_tokens=False)["input_ids"], vlm.eos_id]


def answer_loss(vlm: VLM, prompts: Sequence[Encoded], answers: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of the answers' tokens and the number predicted right; logits exist only at answer positions."""
    batch = {k: v for k, v in collate(vlm, prompts, answers).items() if v is not None}
    hidden = vlm.model.model(**batch, use_cache=False).last_hidden_state  # [B, T, D]
    rows = torch.cat([torch.full((len(a),), b) for b, a in enumerate(answers)])
    cols = torch.cat([torch.arange(len(p) - 1, len(p) - 1 + len(a)) for p, a in zip(prompts, answers, strict=True)])
    target = torch.tensor([t for a in answers for t in a], device=hidden.device)
    logits = vlm.model.lm_head(hidden[rows, cols]).float()
    return torch.nn.functional.cross_entropy(logits, target, reduction="sum"), (logits.argmax(-1) == target).sum()


def train_step(vlm: VLM, optimizer: torch.optim.Optimizer, config: SFTConfig, step: int, batch: Sequence[SFTExample]) -> dict:
    """One update on one batch; returns its metrics. The loss is divided by the whole batch's token count."""
    start = time.perf_counter()
    for group in optimizer.param_groups:
        group["lr"] = config.lr_at(step)
    prompts = vlm.encode([e.request for e in batch])
    answers = [answer_ids(vlm, e.answer) for e in batch]
    tokens = sum(map(len, answers))
    order = sorted(range(len(batch)), key=lambda i: len(prompts[i]) + len(answers[i]))  # little padding
    loss_sum, right = 0.0, 0
    for k in range(0, len(order), config.micro_batch_size):
        rows = order[k : k + config.micro_batch_size]
        loss, hits = answer_loss(vlm, [prompts[i] for i in rows], [answers[i] for i in rows])
        (loss / tokens).backward()
        loss_sum, right = loss_sum + float(loss.detach()), right + int(hits)
    learning = [p for p in vlm.model.parameters() if p.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(learning, config.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - start
    return {
        "step": step,
        "sft/loss": loss_sum / tokens,
        "sft/token_accuracy": right / tokens,
        "sft/grad_norm": float(norm),
        "sft/lr": config.lr_at(step),
        "sft/examples_per_s": len(batch) / seconds,
    }


def train_sft(
    config: SFTConfig,
    vlm: VLM,
    examples: Callable[[int], Sequence[SFTExample]],
    out_dir: str | Path,
    log: Callable[[dict[str, float]], None] | None = None,
    progress: Callable[[int, int, Mapping[str, float]], None] | None = None,
    name: str = "sft",
) -> int:
    """Train `vlm.model` in place until `config.steps`; returns the steps done.

    `examples(step)` must be a pure function. Writes `<name>.jsonl` and `checkpoints-<name>/` under `out_dir` and goes on from
    there. SIGINT and SIGTERM save the last completed step and raise KeyboardInterrupt. Raises BadData when the folder holds
    the training of another start or configuration, SaveFailed when the disk refuses.
    """
    out = Path(out_dir)
    model = vlm.model
    model.model.visual.requires_grad_(config.vision)
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in learning.values() if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in learning.values() if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=config.lr,
        betas=config.betas,
        fused=True,
    )
    identity = asdict(config) | {"betas": list(config.betas), "origin": fingerprint(model.named_parameters()).checksum}
    checkpoints, journal = Checkpoints(out / f"checkpoints-{name}", config.keep_checkpoints), Journal(out / f"{name}.jsonl")
    done = 0
    if (found := checkpoints.latest()) is not None:
        done, state = found
        if state["identity"] != identity:
            raise BadData(f"{checkpoints.folder} holds another training (other settings or start); choose another folder")
        with torch.no_grad():
            for n, p in learning.items():
                p.copy_(state["weights"][n])
        optimizer.load_state_dict(state["optimizer"])
    journal.cut_after(done)
    saved = done

    def save() -> None:
        nonlocal saved
        if saved == done:
            return
        journal.flush()
        weights: dict[str, Any] = {n: p.detach() for n, p in learning.items()}
        checkpoints.save(done, {"weights": weights, "optimizer": optimizer.state_dict(), "identity": identity})
        saved = done

    model.train()
    try:
        with StopWish() as stop:
            while done < config.steps:
                metrics = train_step(vlm, optimizer, config, done, examples(done))
                done += 1
                metrics["step"] = done
                journal.append([metrics])
                if log is not None:
                    log(metrics)
                if progress is not None:
                    progress(done, config.steps, metrics)
                if done % config.checkpoint_every == 0 or done == config.steps:
                    save()
                if stop.wanted:
                    save()
                    raise KeyboardInterrupt(f"stopped after step {done}; the same command goes on from there")
    finally:
        model.eval()
        model.requires_grad_(True)
    return done
