"""GRPO (arXiv 2402.03300) and its variants on text: one loop. Losses are in `rl/losses.py`, batches in `rl/rollouts.py`.

Everything random is a function of (seed, step): a run that was killed and resumed ends bit for bit like one that was not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.backends.base import Backend, Sampling, fingerprint
from common.errors import BadInput, RunFailed
from common.jsonl import Journal, read_jsonl
from common.signals import StopWish
from rl.ahead import Ahead, Drawn
from rl.checkpoint import Checkpoints, rng_state, set_rng_state
from rl.clock import Clock
from rl.drift import drift_metrics, drift_sample, drift_sums
from rl.engine.base import Engine, Evaluate, StepInfo
from rl.losses import LossConfig, LossInputs, LossOutputs, batch_normaliser, merge_metrics, policy_loss
from rl.microbatch import micro_batches
from rl.policies.text import TextBatch
from rl.rollouts import Collector, Encode, Group, RewardFn, Samples, ToRequest, counter_seed, describe

logger = logging.getLogger(__name__)
# What may change between a checkpoint and its resumption; all else defines the run.
FREE = ("steps", "checkpoint_every", "keep_checkpoints", "micro_batch_size", "micro_batch_tokens", "shared_prefix",
        "kl_log_sequences", "max_missing_steps")  # fmt: skip


@dataclass(frozen=True)
class GRPOConfig:
    """The numbers of a run. Sizes count sequences unless they say otherwise; `loss` holds variant, clips, KL and weights.

    The optimiser's numbers (lr, warm-up, decay, betas, clipping) live here so that one object defines a run; build the engine
    with `optimizer()`.
    """

    steps: int = 100
    prompts_per_step: int = 16
    group_size: int = 8
    updates_per_batch: int = 1  # passes over the whole batch, one optimiser step each
    micro_batch_size: int = 32
    micro_batch_tokens: int = 0  # at most so many tokens in one forward, prompts included; 0: no such limit
    shared_prefix: bool = True  # keep groups together, as a policy that shares prefixes wants them
    lr: float = 1e-6
    warmup_steps: int = 0
    decay_share: float = 0.0  # share of the updates at the end in which lr goes linearly to 0
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    max_grad_norm: float = 1.0
    loss: LossConfig = field(default_factory=LossConfig)
    dynamic_sampling: bool = False
    max_tries: int = 4  # draws of a step's groups under dynamic sampling, the first included
    max_offpolicy_steps: int = 0  # how many steps old the weights of a batch's rollouts are (rl/ahead.py); 0: none
    kl_log_sequences: int = (
        16  # completions per step whose KL to the start is logged; 0 and kl_coef=0: no reference is kept
    )
    mask_truncated: bool = False  # DAPO's overlong filtering: an answer cut by max_new_tokens carries no gradient
    temperature: float = 1.0
    top_p: float = 1.0  # any other value is refused: it would bias every ratio
    top_k: int = -1
    max_new_tokens: int = 256
    checkpoint_every: int = 10
    keep_checkpoints: int = 2
    max_missing_steps: int = 3  # consecutive steps without a single usable reward before the run fails
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "prompts_per_step", "group_size", "updates_per_batch", "micro_batch_size", "max_tries",
                     "max_new_tokens", "checkpoint_every", "keep_checkpoints", "max_missing_steps"):  # fmt: skip
            if (value := getattr(self, name)) < 1:
                raise BadInput(f"{name} must be at least 1, not {value}")
        for name in ("micro_batch_tokens", "kl_log_sequences", "max_offpolicy_steps"):
            if (value := getattr(self, name)) < 0:
                raise BadInput(f"{name} must be 0 (off) or more, not {value}")
        if self.max_offpolicy_steps and self.loss.tis_cap is None:
            raise BadInput(
                f"max_offpolicy_steps={self.max_offpolicy_steps} trains on answers of older weights; they need the truncated "
                "importance weights that tis_cap turns on"
            )
        if self.group_size < 2:
            raise BadInput("group_size must be at least 2: a group of one has no advantage")
        sampling = Sampling(self.max_new_tokens, self.temperature, self.top_p, self.top_k)
        if not sampling.untruncated:
            raise BadInput(
                f"training rollouts need temperature > 0, top_p=1 and top_k=-1, not {self.temperature}, {self.top_p}, "
                f"{self.top_k}: a truncated distribution makes every importance ratio wrong"
            )

    def optimizer(self) -> dict[str, Any]:
        """Keyword arguments of the engines."""
        names = ("lr", "betas", "weight_decay", "warmup_steps", "decay_share", "max_grad_norm")
        return {name: getattr(self, name) for name in names} | {"updates": self.steps * self.updates_per_batch}

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must agree on to be continued."""
        values = {k: v for k, v in asdict(self).items() if k not in FREE}
        end = {"decays_to": self.steps} if self.decay_share else {}  # a longer run would have had another schedule
        return values | {"betas": list(self.betas)} | end


@dataclass(frozen=True)
class GRPOState:
    """Where a run ended: completed steps, the last step's metrics, checksum of the weights."""

    step: int
    metrics: dict[str, float]
    checksum: str


def train_grpo(
    config: GRPOConfig,
    engine: Engine[TextBatch],
    backend: Backend,
    encode: Encode,
    samples: Samples,
    to_request: ToRequest,
    reward: RewardFn,
    out_dir: str | Path,
    log: Callable[[dict[str, float]], None] | None = None,
    progress: Callable[[int, int, Mapping[str, float]], None] | None = None,
) -> GRPOState:
    """Train until `config.steps`, going on from `out_dir/checkpoints` where there are any.

    `samples(step, j)` and `reward` must be pure functions (a reward gets one seed per completion). Writes `metrics.jsonl`,
    `samples.jsonl` and `checkpoints/`; `log` gets each step's metrics too. The engine must hold the start weights, from which
    the KL of every step is measured (`kl/k1..k3` on `kl_log_sequences` completions; `kl/mean` over all where it is trained on).
    SIGINT and SIGTERM save the last completed step and raise KeyboardInterrupt. Raises BadInput when the folder holds
    another run, RunFailed after `max_missing_steps` steps without a usable reward, SaveFailed when the disk refuses.
    """
    out, first = Path(out_dir), engine.rank == 0
    origin = fingerprint(engine.named_parameters()).checksum
    watched = config.loss.kl_coef > 0 or config.kl_log_sequences > 0
    reference = engine.frozen_copy() if watched else None  # the run's start: no checkpoint is loaded yet
    if engine.world_size > config.prompts_per_step:
        raise BadInput(f"{engine.world_size} ranks cannot share {config.prompts_per_step} prompts per step")
    checkpoints = Checkpoints(out / "checkpoints", config.keep_checkpoints)
    done, missing_steps, drawn_before = _resume(config, engine, checkpoints, origin)
    saved = done
    journals = [Journal(out / "metrics.jsonl"), Journal(out / "samples.jsonl")] if first else []
    for journal in journals:
        journal.cut_after(done)
    backend.sync(engine.named_parameters())
    collector = Collector(
        backend, samples, to_request, reward, encode,
        Sampling(config.max_new_tokens, config.temperature), config.prompts_per_step, config.group_size,
        normalise_std=config.loss.variant != "dr_grpo", tries=config.max_tries if config.dynamic_sampling else 1,
        seed=config.seed, slots=range(engine.rank, config.prompts_per_step, engine.world_size),
    )  # fmt: skip
    watched_here = -(-config.kl_log_sequences // engine.world_size)
    clock = Clock()
    ahead = Ahead(collector, config.max_offpolicy_steps, config.steps) if config.max_offpolicy_steps else None
    if ahead:
        ahead.start(done, drawn_before, engine.named_parameters)

    def save() -> None:
        nonlocal saved
        with clock("checkpoint"):
            state = {"engine": engine.state_dict(), "rng": rng_state(), "step": done, "missing_steps": missing_steps,
                     "origin": origin, "identity": config.identity(),
                     "ahead": engine.all_gather(ahead.state()) if ahead else None}  # fmt: skip
            if first:
                for journal in journals:
                    journal.flush()
                checkpoints.save(done, state)
            engine.all_gather(done)  # nobody goes on, or leaves, before it is written
        saved = done

    def leave_if_asked() -> None:
        if any(engine.all_gather(stop.wanted)):
            if saved != done:
                save()
            raise KeyboardInterrupt(f"stopped after step {done}; the same command goes on from there")

    metrics: dict[str, float] = _last_row(journals[0]) if journals else {}
    with StopWish() as stop, closing(ahead) if ahead else nullcontext():
        while done < config.steps:
            torch.manual_seed(counter_seed(config.seed, done))
            beside: dict[str, float] = {}  # seconds of what ran while something else did
            lag = 0
            if ahead:
                with clock("wait"):
                    batch = ahead.take(done)
                groups, drawn, beside, lag = batch.groups, batch.drawn, batch.seconds, batch.lag
                with clock("sync"):
                    ahead.refresh(done, engine.named_parameters)
            else:
                groups, drawn = collector.collect(done, clock)
                leave_if_asked()  # weights are still those of step `done`
            rows = [row for g in drawn for row in g.rows(done + 1)]
            drift: dict[str, float] = {}
            if reference is not None:
                with clock("logprob"):
                    drift = drift_sums(drift_sample(drawn, watched_here, done), reference)
            gathered = engine.all_gather((rows, [not g.spread for g in drawn], _teachers(groups, config), drift))
            everything = sorted((row for part in gathered for row in part[0]), key=lambda row: (row["j"], row["g"]))
            metrics = {"step": done + 1} | describe(everything, [s for part in gathered for s in part[1]])
            metrics["groups/drawn"] = sum(len(part[1]) for part in gathered)
            metrics |= drift_metrics([part[3] for part in gathered], config.loss.kl_estimator)

            usable = any(row["reward"] is not None for row in everything)
            missing_steps = 0 if usable else missing_steps + 1
            metrics["update/missing_steps"] = missing_steps
            if teachers := sum(part[2] for part in gathered):
                info, outputs = _update(config, engine, groups, reference if config.loss.kl_coef > 0 else None, clock)
                metrics |= merge_metrics([o for part in engine.all_gather(outputs) for o in part])
                metrics |= {"grad_norm": info.grad_norm, "lr": info.lr, "update/skipped": float(info.skipped)}
                if ahead is None:
                    with clock("sync"):
                        report = backend.sync(engine.named_parameters())
                        metrics["sync/parameters"] = report.names
            else:
                metrics["update/skipped"] = 1.0
            metrics |= {"update/sequences": teachers, "rollout/steps_old": lag}
            done += 1
            metrics |= clock.read(sum(row["tokens"] for row in everything), beside)
            if first:
                journals[1].append(everything)
                journals[0].append([metrics])
            if log is not None:
                log(metrics)
            if progress is not None:
                progress(done, config.steps, metrics)
            if missing_steps >= config.max_missing_steps:
                raise RunFailed(
                    f"step {done}: no reward could be computed in {missing_steps} consecutive steps; see the components "
                    f"in {out / 'samples.jsonl'}. The checkpoint of step {saved} is intact"
                )
            if done % config.checkpoint_every == 0 or done == config.steps:
                save()
            leave_if_asked()
    return GRPOState(done, metrics, fingerprint(engine.named_parameters()).checksum)


def _counts(group: Group, g: int, config: GRPOConfig) -> bool:
    """Whether a completion belongs to the loss at all: its reward is there, and it was not cut off where that disqualifies."""
    cut = config.mask_truncated and group.completions[g].finish_reason == "length"
    return bool(group.present_G[g]) and not cut


def _pulls(group: Group, g: int, config: GRPOConfig) -> bool:
    """Whether it can have a gradient: without a KL term an advantage of 0 has none, and its forward is saved."""
    return _counts(group, g, config) and (config.loss.kl_coef > 0 or float(group.advantage_G[g]) != 0)


def _teachers(groups: list[Group], config: GRPOConfig) -> int:
    return sum(_pulls(group, g, config) for group in groups for g in range(config.group_size))


def _update(
    config: GRPOConfig,
    engine: Engine[TextBatch],
    groups: list[Group],
    reference: Evaluate[TextBatch] | None,
    clock: Clock,
) -> tuple[StepInfo, list[LossOutputs]]:
    """`updates_per_batch` optimiser steps. The first pass's own detached log-probs are the old ones: the weights are still
    those of the rollouts, so no forward of their own is spent on them, and its ratio is exactly 1."""
    places = [(group, g) for group in groups for g in range(config.group_size)]
    lengths = [len(p.completions[g].token_ids) for p, g in places if _counts(p, g, config)]
    share = batch_normaliser(config.loss.over, lengths, config.max_new_tokens)
    normaliser = sum(engine.all_gather(share))
    chosen = [(p, g) for p, g in places if _pulls(p, g, config)]
    micro = micro_batches(chosen, config.micro_batch_size, config.micro_batch_tokens, config.shared_prefix)
    turns = max(engine.all_gather(len(micro)))  # sharded engines communicate in every backward: all ranks take as many
    idle = turns - len(micro)
    micro += [places[:1]] * idle
    batches = [TextBatch([p.prompt for p, _ in m], [p.completions[g].token_ids for p, g in m]) for m in micro]
    refs: list[Tensor | None] = [None] * len(micro)
    if reference is not None:
        with clock("logprob"):
            refs[: turns - idle] = [reference(batch).logp_BT for batch in batches[: turns - idle]]
    old: list[Tensor] = []
    outputs: list[LossOutputs] = []
    with clock("train"):
        for _ in range(config.updates_per_batch):
            for k, (m, batch) in enumerate(zip(micro, batches, strict=True)):
                stats = engine.forward(batch)
                if k >= turns - idle:
                    engine.backward(stats.logp_BT.sum() * 0.0)
                    continue
                if len(old) == k:
                    old.append(stats.logp_BT.detach())
                rollout_BT = torch.zeros_like(old[k]).masked_scatter(
                    stats.mask_BT, old[k].new_tensor([x for p, g in m for x in p.completions[g].logprobs])
                )
                advantage_B = torch.stack([p.advantage_G[g] for p, g in m]).to(old[k].device)
                result = policy_loss(
                    LossInputs(stats.logp_BT, old[k], advantage_B, stats.mask_BT, normaliser, rollout_BT, refs[k],
                               stats.entropy_BT), config.loss)  # fmt: skip
                engine.backward(result.loss)
                outputs.append(LossOutputs(result.loss.detach(), result.sums, result.maxima))
            info = engine.step()
    return info, outputs


def _resume(
    config: GRPOConfig, engine: Engine[TextBatch], checkpoints: Checkpoints, origin: str
) -> tuple[int, int, Drawn]:
    """(completed steps, steps without reward so far, answers drawn ahead) of the newest whole checkpoint, its state loaded."""
    found = checkpoints.latest()
    if len(seen := set(engine.all_gather(found and found[0]))) > 1:
        raise RunFailed(
            f"ranks see different newest checkpoints in {checkpoints.folder} ({seen}): is it a shared folder?"
        )
    if found is None:
        return 0, 0, {}
    _, state = found
    mine = config.identity()
    if odd := sorted(k for k in mine.keys() | state["identity"].keys() if mine.get(k) != state["identity"].get(k)):
        raise BadInput(
            f"{checkpoints.folder} belongs to a run with other values of {', '.join(odd)}; choose another folder"
        )
    if state["origin"] != origin:
        raise BadInput(f"{checkpoints.folder} belongs to a run that started from other weights; choose another folder")
    engine.load_state_dict(state["engine"])
    set_rng_state(state["rng"])
    logger.info("going on after step %d", state["step"])
    ranks = state.get("ahead") or []
    mine_ahead = ranks[engine.rank] if len(ranks) == engine.world_size else {}
    if ranks and not mine_ahead:
        logger.warning("answers drawn ahead by %d ranks are drawn anew by %d", len(ranks), engine.world_size)
    return state["step"], state["missing_steps"], mine_ahead


def _last_row(journal: Journal) -> dict[str, float]:
    rows = read_jsonl(journal.path) if journal.path.exists() else []
    return rows[-1] if rows else {}


__all__ = ["GRPOConfig", "GRPOState", "train_grpo"]
