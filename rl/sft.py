"""Supervised fine-tuning: cross-entropy on the answer's tokens.

Batches are a function of the step, so a resumed run is the same run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from agents.backends.attention import use_grouped_attention
from agents.backends.base import Request, fingerprint
from agents.backends.vlm import VLM, Encoded, collate
from common.errors import BadData, BadInput
from common.jsonl import Journal
from common.signals import StopWish
from rl.checkpoint import Checkpoints

CHUNK = 1024  # tokens whose logits exist at a time


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
    optimizer: str = "adamw"  # adamw | muon (Muon on hidden matrices, AdamW on the rest)

    def __post_init__(self) -> None:
        if self.optimizer not in ("adamw", "muon"):
            raise BadInput(f"unknown optimizer '{self.optimizer}'; choose adamw or muon")
        if self.steps < 0 or self.batch_size < 1 or self.micro_batch_size < 1:
            raise BadInput(f"sft needs steps >= 0 and batch sizes >= 1, not {self}")

    def lr_at(self, step: int) -> float:
        """Linear warm-up, then cosine decay to `final_lr_share`."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * (
            self.final_lr_share + (1 - self.final_lr_share) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        )


@dataclass(frozen=True)
class SFTExample:
    """A prompt and the answer to learn, as text."""

    request: Request
    answer: str


def answer_ids(vlm: VLM, answer: str) -> list[int]:
    """The answer's tokens with the end token."""
    return [*vlm.tokenizer(answer, add_special_tokens=False)["input_ids"], vlm.eos_id]


def answer_loss(vlm: VLM, prompts: Sequence[Encoded], answers: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy of the answers' tokens and the number predicted right; logits exist only at answer positions, and
    only for `CHUNK` of them at a time: at a vocabulary of 152,000 all of a batch would be gigabytes."""
    batch = {k: v for k, v in collate(vlm, prompts, answers).items() if v is not None}
    hidden = vlm.model.model(**batch, use_cache=False).last_hidden_state  # [B, T, D]
    rows = torch.cat([torch.full((len(a),), b) for b, a in enumerate(answers)])
    cols = torch.cat([torch.arange(len(p) - 1, len(p) - 1 + len(a)) for p, a in zip(prompts, answers, strict=True)])
    target = torch.tensor([t for a in answers for t in a], device=hidden.device)
    pieces = list(zip(hidden[rows, cols].split(CHUNK), target.split(CHUNK), strict=True))
    if len(pieces) == 1:
        return _answer_loss(vlm, *pieces[0])
    parts = [checkpoint(_answer_loss, vlm, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]
    losses, right = zip(*parts, strict=True)
    return torch.stack(losses).sum(), torch.stack(right).sum()


def _answer_loss(vlm: VLM, hidden_ND: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
    logits = vlm.model.lm_head(hidden_ND).float()
    return torch.nn.functional.cross_entropy(logits, target_N, reduction="sum"), (logits.argmax(-1) == target_N).sum()


class Optimizers:
    """The optimisers of one training as one: AdamW alone, or Muon (Jordan et al. 2024; learning rates matched to AdamW's as
    in arXiv 2502.16982) on the hidden matrices with AdamW on embeddings, norms and biases. A convolution's kernel is the
    matrix of its output channels."""

    def __init__(self, named: Mapping[str, Tensor], config: SFTConfig) -> None:
        hidden = {
            n
            for n, p in named.items()
            if config.optimizer == "muon" and p.ndim >= 2 and "embed" not in n and "lm_head" not in n
        }
        rest = [p for n, p in named.items() if n not in hidden]
        groups = [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=True)
        ]
        self.matrices = [(named[n], torch.nn.Parameter(named[n].detach().flatten(1))) for n in sorted(hidden)]  # views
        if hidden:
            self.parts.append(
                torch.optim.Muon(
                    [view for _, view in self.matrices],
                    lr=config.lr,
                    weight_decay=config.weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            )

    def step(self, lr: float) -> None:
        """One update of all parts at this learning rate; the gradients are cleared."""
        for parameter, view in self.matrices:
            view.grad = None if parameter.grad is None else parameter.grad.flatten(1)
            parameter.grad = None
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, state: Sequence[dict[str, Any]]) -> None:
        for part, value in zip(self.parts, state, strict=True):
            part.load_state_dict(value)


def train_step(vlm: VLM, optimizer: Optimizers, config: SFTConfig, step: int, batch: Sequence[SFTExample]) -> dict:
    """One update on one batch; returns its metrics. The loss is divided by the whole batch's token count."""
    start = time.perf_counter()
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
    optimizer.step(config.lr_at(step))
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
    use_grouped_attention(model)
    model.model.visual.requires_grad_(config.vision)
    learning = {n: p for n, p in model.named_parameters() if p.requires_grad}
    optimizer = Optimizers(learning, config)
    identity = asdict(config) | {"betas": list(config.betas), "origin": fingerprint(model.named_parameters()).checksum}
    checkpoints, journal = (
        Checkpoints(out / f"checkpoints-{name}", config.keep_checkpoints),
        Journal(out / f"{name}.jsonl"),
    )
    done = 0
    if (found := checkpoints.latest()) is not None:
        done, state = found
        if state["identity"] != identity:
            raise BadData(
                f"{checkpoints.folder} holds another training (other settings or start); choose another folder"
            )
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
