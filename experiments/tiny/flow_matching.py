"""Recipe: flow matching for editors, the velocity from the picture to noise given source and instruction (arXiv 2210.02747)."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from conf.schema import FlowMatchingConfig
from editors.conditioning import Conditioning
from experiments.tiny.autoencoder import to_tensor
from experiments.tiny.edit_pairs import EditPairs
from experiments.tiny.editor_model import EMPTY, LENGTHS, SIDE, TinyEditor
from experiments.tiny.moving_average import MovingAverage
from experiments.tiny.readout import BlockOutputs, SceneReadout, readout_loss
from experiments.tiny.updates import clip, named_parameters
from rl.clock import Clock
from rl.config import SFTConfig
from rl.engine.optimizers import Optimizers
from rl.loop import StepResult
from rl.schedule import Trapezoid

CHANGED_WEIGHT = 8.0  # added to a token's loss where source and result differ: most of an edited picture is a copy


def token_weights(source_BNC: Tensor, result_BNC: Tensor, threshold: float = 0.1) -> Tensor:
    """[B, N, 1]: a token that changes weighs 1 + CHANGED_WEIGHT times one that stays; the mean over each picture is 1, so that
    a small edit teaches as much as one of the whole picture."""
    changed = (source_BNC - result_BNC).abs().amax(-1, keepdim=True) > threshold
    weights = 1 + CHANGED_WEIGHT * changed.float()
    return weights / weights.mean(1, keepdim=True)


def interpolate(result_BNC: Tensor, noise_BNC: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
    """(x_t, v): x_t = (1 - t) x_0 + t eps and its velocity eps - x_0; t=1 is noise."""
    t = t_B[:, None, None]
    return (1 - t) * result_BNC + t * noise_BNC, noise_BNC - result_BNC


def logit_normal(count: int, generator: torch.Generator, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Times in (0, 1) (arXiv 2403.03206, section 3.1). A mean above 0 draws more of them near the noise: what an
    instruction means is decided there, later the picture itself shows it."""
    return torch.sigmoid(mean + std * torch.randn(count, generator=generator))


def flow_matching_loss(velocity_BNC: Tensor, target_BNC: Tensor, weights_BN1: Tensor) -> Tensor:
    """Weighted mean square error."""
    return ((velocity_BNC - target_BNC).square() * weights_BN1).mean()


class FlowMatching:
    """Flow matching with classifier-free dropout of the instruction, read-outs of the scene inside the transformer, and a
    moving average of the weights, as an algorithm for `rl.loop.run_loop`. Trains `editor.trained` in place; `average` is
    what is worth keeping."""

    def __init__(self, editor: TinyEditor, pairs: EditPairs, config: FlowMatchingConfig, seed: int) -> None:
        self.editor, self.pairs, self.config, self.seed = editor, pairs, config, seed
        self.named = named_parameters(editor.trained)
        self.average = MovingAverage(self.named, config.ema)
        settings = SFTConfig(steps=config.steps, lr=config.lr, weight_decay=config.weight_decay, optimizer="muon")
        self.optimizer = Optimizers({_role(n): p for n, p in self.named.items()}, settings)
        self.schedule = Trapezoid(config.lr, config.warmup, config.decay_share, config.steps)
        torch.manual_seed(seed)
        width = editor.model.pipe.transformer.inner_dim
        self.readouts = torch.nn.ModuleDict({"early": SceneReadout(width), "late": SceneReadout(width)})
        self.readouts.to(editor.model.device)
        self.readout_optimizer = Optimizers(named_parameters({"embed": self.readouts}), settings)

    def step(self, k: int, clock: Clock) -> StepResult:
        """One update on `batch_size` pairs. Pairs, dropout, times and noise are functions of k."""
        start, config, model = time.perf_counter(), self.config, self.editor.model
        batch = self.pairs.batch(k, config.batch_size)
        generator = torch.Generator().manual_seed(self.seed * 10**7 + k)
        rng = Random(f"flow/{self.seed}/{k}")
        with torch.no_grad():
            source, result = (
                model.pack(model.encode_pixels(to_tensor(pictures).to(model.device)))
                for pictures in ([p.before for p in batch], [p.after for p in batch])
            )
        instructions = [EMPTY if rng.random() < config.dropout else p.instruction for p in batch]
        complete = [text == p.instruction for text, p in zip(instructions, batch, strict=True)]  # not dropped out
        length = self.editor.text_length(instructions, LENGTHS[rng.random() < config.long_share])
        text = model.encode_text([Image.fromarray(p.before) for p in batch], instructions, length)
        t = logit_normal(len(batch), generator, config.time_mean, config.time_std).to(model.device)
        noise = torch.randn(result.shape, generator=generator).to(model.device)
        x, target = interpolate(result, noise, t)
        with BlockOutputs(*self.editor.readout_blocks) as outputs:
            velocity = model.velocity(Conditioning((SIDE, SIDE), source, text), x, t)
        loss = flow_matching_loss(velocity, target, token_weights(source, result))
        n = source.shape[1]  # of a block's picture tokens the first n are the result's, the others the source's
        before, after = ([p.scenes[i] for p in batch] for i in (0, 1))
        seen = readout_loss(self.readouts["early"](outputs.early[:, n:]), before, before, [True] * len(batch))
        meant = readout_loss(self.readouts["late"](outputs.late[:, :n]), after, before, complete)
        share = config.readout_weight * (1 - k / config.steps)  # first what to draw, then how
        (loss + share * (seen + meant)).backward()
        norm = clip(self.named.values(), config.max_grad_norm)
        lr = self.schedule.lr_at(k)
        self.optimizer.step(lr)
        self.readout_optimizer.step(lr)
        self.average.update()
        metrics = {
            "flow/loss": float(loss.detach()),
            "flow/grad_norm": norm,
            "flow/pairs_per_s": len(batch) / (time.perf_counter() - start),
            "flow/seen": float(seen.detach()),
            "flow/meant": float(meant.detach()),
        }
        return StepResult(metrics)

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": torch.nn.ModuleDict(self.editor.trained).state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "readouts": self.readouts.state_dict(),
            "readout_optimizer": self.readout_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        torch.nn.ModuleDict(self.editor.trained).load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.readouts.load_state_dict(state["readouts"])
        self.readout_optimizer.load_state_dict(state["readout_optimizer"])


def _role(name: str) -> str:
    """Muon is for hidden matrices: tables of words and the last layer are marked as embeddings."""
    return f"embed.{name}" if any(part in name for part in ("shared", "proj_out", "position")) else name


__all__ = ["FlowMatching", "flow_matching_loss", "interpolate", "logit_normal", "token_weights"]
