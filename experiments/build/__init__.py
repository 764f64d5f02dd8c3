"""The one place where a configuration becomes objects. Everything past it is typed and knows nothing of Hydra.

To add a part: write the class, a yaml in its group, and a line here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from agents.backends.base import Backend, Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, load_vlm
from agents.decomposer import Decomposer, load_prompt
from agents.editing import EditingAgent
from agents.sequencer import RulesSequencer, Sequencer
from agents.vlm_sequencer import VLMSequencer
from benchmarks.base import EditSample
from benchmarks.mice import MiceText
from benchmarks.prepared import Prepared
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import BadInput
from conf.schema import (
    AlgoConfig,
    ApiConfig,
    BenchmarkConfig,
    DecomposerConfig,
    EditorConfig,
    EngineConfig,
    JudgeConfig,
    LauncherConfig,
    RewardConfig,
    RolloutsConfig,
    RunConfig,
    SequencerConfig,
)
from editors.onednn import use_onednn
from experiments.preflight.machine import chosen_rollouts
from judges.base import Verdict
from rewards.compose import RewardSpec
from rewards.outcome import OutcomeReward
from rl.engine.base import Engine
from rl.engine.torch import TorchEngine
from rl.grpo import GRPOConfig
from rl.losses import LossConfig
from rl.policies.lora import Lora
from rl.policies.text import TextBatch, TextPolicy
from rl.rollouts import RewardFn
from rl.sft import SFTConfig

if TYPE_CHECKING:
    from editors.base import Editor
    from editors.flow import FlowSettings

TRAINED_ON = ("sandbox", "mice_text", "prepared")  # benchmarks with gold decompositions
JudgePictures = Callable[[Sequence[EditSample], Sequence[Image.Image]], list[Verdict]]


def use_threads(config: EngineConfig) -> None:
    """Fix torch's threads: another number sums in another order and ends in other last bits."""
    if config.threads < 1:
        raise BadInput(f"engine.threads must be at least 1, not {config.threads}")
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)  # subnormal numbers are slow on many CPUs


def device_of(config: EngineConfig) -> str:
    if config.device not in ("auto", "cpu", "cuda"):
        raise BadInput(f"engine.device={config.device} is unknown; choose auto, cpu or cuda")
    return ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device


def make_vlm(config: DecomposerConfig, engine: EngineConfig, checkpoint: str | Path | None = None) -> VLM:
    """The decomposer's model, from its own checkpoint or from another folder of the same kind."""
    if config.dtype not in ("float32", "bfloat16", "float16"):
        raise BadInput(f"decomposer.dtype={config.dtype} is unknown; choose float32, bfloat16 or float16")
    return load_vlm(checkpoint or config.checkpoint, config.dtype, device_of(engine))


def make_backend(config: RolloutsConfig, vlm: VLM) -> Backend:
    match chosen_rollouts(config, vlm.model.device.type):
        case "hf":
            return HFBackend(vlm, config.batch_size)
        case "vllm":
            from agents.backends.vllm import VLLMBackend

            if config.process not in ("inside", "separate"):
                raise BadInput(f"rollouts.process={config.process} is unknown; choose inside or separate")
            return VLLMBackend(
                vlm,
                max_sequences=config.batch_size,
                max_tokens=config.max_tokens,
                cache_gib=config.cache_gib,
                sleep=config.sleep,
                separate=config.process == "separate",
                sync_limit_s=config.sync_limit_s,
                call_limit_s=config.call_limit_s,
            )
    raise BadInput(f"rollouts={config.name} has no backend here; choose hf, vllm or auto")


def make_decomposer(config: DecomposerConfig, backend: Backend) -> Decomposer:
    sampling = Sampling(config.max_new_tokens, config.temperature)
    return Decomposer(backend, load_prompt(config.prompt), sampling, config.max_request_chars)


def make_sequencer(config: SequencerConfig, backend: Callable[[], Backend]) -> Sequencer:
    """`backend` gives the untrained backbone, and is only called where a model is needed."""
    match config.name:
        case "rules":
            return RulesSequencer()
        case "vlm":
            return VLMSequencer(backend(), load_prompt(config.prompt), Sampling(config.max_new_tokens, 0.0))
    raise BadInput(f"sequencer={config.name} is unknown; choose rules or vlm")


def make_editor(config: EditorConfig, engine: EngineConfig | None = None, reward_path: bool = False) -> Editor:
    """`reward_path`: a score of its pictures trains something, so that what would mislead a judge is refused."""
    match config.kind:  # an editor's libraries are only imported where it is chosen
        case "sandbox":
            from editors.sandbox import SandboxEditor

            return SandboxEditor()
        case "qwen" | "flux_kontext":
            return _flow_editor(config, engine or EngineConfig(), reward_path)
        case "nano_banana":
            from editors import nano_banana

            return nano_banana.NanoBananaEditor(nano_banana.settings(**_api_settings(config.api)))
        case "gpt_image":
            from editors import gpt_image

            return gpt_image.GptImageEditor(gpt_image.settings(**_api_settings(config.api)))
    raise BadInput(
        f"editor.kind={config.kind} is unknown; choose sandbox, qwen, flux_kontext, nano_banana or gpt_image"
    )


def flow_settings(config: EditorConfig) -> FlowSettings:
    """Raises BadInput for settings that contradict each other."""
    from editors.flow import FlowSettings

    return FlowSettings(
        steps=config.steps,
        area=config.area,
        true_cfg=config.true_cfg,
        guidance=config.guidance,
        negative_prompt=config.negative_prompt,
        batch_size=config.batch_size,
        max_sequence_length=config.max_sequence_length,
        multiple=config.multiple,
    )


def _flow_editor(config: EditorConfig, engine: EngineConfig, reward_path: bool) -> Editor:
    from editors.fast_gelu import use_fast_gelu
    from editors.flow import FlowModel
    from editors.flow_editor import FlowEditor
    from editors.loading import LoadOptions, load_pipeline

    settings = flow_settings(config)
    options = LoadOptions(
        dtype=config.dtype,
        device=device_of(engine),
        offload=config.offload,
        device_map=config.device_map,
        lora=config.lora,
        lora_weight_name=config.lora_weight_name,
        lora_scale=config.lora_scale,
        lightning=config.lightning,
        cache_threshold=config.cache_threshold,
        vae_tiling=config.vae_tiling,
        compile=config.compile,
        allow_download=config.allow_download,
    )
    pipe = load_pipeline(config.checkpoint, config.kind, options)
    if not config.compile:  # a compiler chooses its own kernels
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                use_onednn(part)
                use_fast_gelu(part)
    model: FlowModel
    if config.kind == "qwen":
        from editors.qwen import QwenModel

        model = QwenModel(pipe, settings, config.vision_positions, config.condition_area)
    else:
        from editors.flux_cpu import lean_on_cpu
        from editors.flux_kontext import KontextModel

        if options.device == "cpu" and not config.compile and config.cache_threshold == 0:
            lean_on_cpu(pipe.transformer)
        model = KontextModel(pipe, settings)
    return FlowEditor(model, reward_path=reward_path)


def _api_settings(config: ApiConfig) -> dict[str, Any]:
    given = {k: v for k, v in vars(config).items() if v not in ("", {})}  # what is empty keeps the provider's default
    return given | ({"cache": Path(config.cache)} if config.cache else {})


def make_judge(config: JudgeConfig, engine: EngineConfig, outputs: str) -> JudgePictures:
    """A function from samples and their edited pictures to verdicts. Raises BadInput for a judge that cannot score a run."""
    if config.kind != "sandbox":
        from experiments.build.judges import judge_of_run

        return judge_of_run(config, engine, Path(outputs))
    from judges.sandbox import SandboxJudge

    judge = SandboxJudge()
    return lambda samples, images: [
        judge.judge(_picture(s), after, s.gold) for s, after in zip(samples, images, strict=True)
    ]


def make_reward(config: RewardConfig) -> RewardSpec:
    return RewardSpec.from_weights({k: float(v) for k, v in vars(config.weights).items()})


def reward_function(spec: RewardSpec, config: RunConfig, sequencer: Sequencer) -> RewardFn:
    """What GRPO calls; the picture is only made and judged where the reward asks for it."""
    outcome = None
    if spec.needs_outcome:
        editing = EditingAgent(make_editor(config.editor, config.engine, reward_path=True), config.execution.name)
        outcome = OutcomeReward(sequencer, editing, make_judge(config.judge, config.engine, config.paths.outputs))
    return lambda samples, texts, seeds: spec.score_batch(samples, texts, seeds, outcome)


def grpo_config(algo: AlgoConfig, max_new_tokens: int, seed: int) -> GRPOConfig:
    loss = LossConfig(
        variant=algo.variant,
        clip_low=algo.clip_low,
        clip_high=algo.clip_high,
        dual_clip=algo.dual_clip,
        kl_coef=algo.kl_coef,
        kl_estimator=algo.kl_estimator,
        tis_cap=algo.tis_cap,
        tis_level=algo.tis_level,
    )
    return GRPOConfig(
        steps=algo.steps,
        prompts_per_step=algo.prompts_per_step,
        group_size=algo.group_size,
        updates_per_batch=algo.updates_per_batch,
        micro_batch_size=algo.micro_batch_size,
        micro_batch_tokens=algo.micro_batch_tokens,
        shared_prefix=algo.shared_prefix,
        kl_log_sequences=algo.kl_log_sequences,
        max_offpolicy_steps=algo.max_offpolicy_steps,
        lr=algo.lr,
        warmup_steps=algo.warmup_steps,
        decay_share=algo.decay_share,
        weight_decay=algo.weight_decay,
        betas=_pair(algo.betas),
        max_grad_norm=algo.max_grad_norm,
        loss=loss,
        dynamic_sampling=algo.dynamic_sampling,
        max_tries=algo.max_tries,
        mask_truncated=algo.mask_truncated,
        temperature=algo.temperature,
        max_new_tokens=max_new_tokens,
        checkpoint_every=algo.checkpoint_every,
        seed=seed,
    )


def sft_config(algo: AlgoConfig) -> SFTConfig:
    return SFTConfig(
        steps=algo.sft.steps,
        batch_size=algo.sft.batch_size,
        micro_batch_size=min(algo.micro_batch_size, algo.sft.batch_size),
        lr=algo.sft.lr,
        warmup=algo.sft.warmup,
        optimizer=algo.sft.optimizer,
    )


def make_engine(
    algo: AlgoConfig, engine: EngineConfig, config: GRPOConfig, load: Callable[[], VLM]
) -> tuple[Engine[TextBatch], VLM]:
    """The engine, and the model that rollouts use: the one under training, or one of their own where that is sharded
    or has adapters. `load` reads the start weights."""

    loaded: list[VLM] = []  # the model under training is the first one

    def policy() -> TextPolicy:
        loaded.append(load())
        return TextPolicy(
            loaded[-1],
            config.temperature,
            frozen_vision=algo.frozen_vision,
            gradient_checkpointing=algo.gradient_checkpointing,
            shared_prefix=algo.shared_prefix,
            lora=adapters,
            vision_cache_mib=algo.vision_cache_mib,
        )

    adapters = lora(algo)
    own = (
        engine.stage == 3 or adapters is not None or algo.max_offpolicy_steps > 0
    )  # whole weights, merged or older ones
    match engine.name:
        case "torch":
            single = TorchEngine(policy(), **config.optimizer())
            return single, load() if own else loaded[0]
        case "deepspeed":
            from rl.engine.deepspeed import DeepSpeedEngine

            sharded = DeepSpeedEngine(
                policy,
                engine.stage,
                engine.offload_optimizer,
                engine.gather_mib << 20,
                engine.timeout_s,
                **config.optimizer(),
            )
            return sharded, load() if own else loaded[0]
    raise BadInput(f"engine={engine.name} is unknown; choose torch or deepspeed")


def lora(algo: AlgoConfig) -> Lora | None:
    """None where whole matrices are trained."""
    return None if algo.lora.rank == 0 else Lora(algo.lora.rank, algo.lora.alpha)


def check_engine(engine: EngineConfig, launcher: LauncherConfig, algo: AlgoConfig, dtype: str = "float32") -> None:
    """Refuse settings of engine and launcher that contradict each other, before anything is loaded."""
    if engine.name == "torch" and (engine.stage or engine.offload_optimizer):
        raise BadInput("engine.stage and engine.offload_optimizer belong to engine=deepspeed")
    if engine.stage not in (0, 1, 2, 3):
        raise BadInput(f"engine.stage={engine.stage}: ZeRO has the stages 0, 1, 2 and 3")
    if engine.offload_optimizer and engine.stage == 0:
        raise BadInput("engine.offload_optimizer needs engine.stage 1, 2 or 3: stage 0 shards nothing")
    if engine.name == "deepspeed" and (dtype == "float16" or (dtype == "bfloat16" and engine.stage == 0)):
        raise BadInput(
            f"decomposer.dtype={dtype}: engine=deepspeed trains float32, or bfloat16 at engine.stage 1, 2 or 3"
        )
    if engine.gather_mib < 1 or not engine.timeout_s > 0:
        raise BadInput(f"engine.gather_mib={engine.gather_mib}, engine.timeout_s={engine.timeout_s} must be positive")
    if launcher.processes < 1 or launcher.restarts < 0:
        raise BadInput(f"launcher.processes={launcher.processes} must be 1 or more, launcher.restarts 0 or more")
    if launcher.name == "local" and launcher.processes > 1:
        raise BadInput("launcher=local is one process; for more use launcher=torchrun")
    if launcher.name != "local" and engine.name != "deepspeed":
        raise BadInput(f"engine={engine.name} is one process; launcher={launcher.name} needs engine=deepspeed")
    host, _, port = launcher.rendezvous.rpartition(":")
    if launcher.nodes < 1 or (launcher.nodes > 1) != bool(host and port.isdigit()):
        raise BadInput(
            f"launcher.nodes={launcher.nodes}, launcher.rendezvous='{launcher.rendezvous}': several machines need both, "
            "the latter as host:port of this one"
        )
    if launcher.nodes > 1 and (launcher.name != "torchrun" or launcher.restarts):
        raise BadInput(
            "several machines need launcher=torchrun and launcher.restarts=0: the same command goes on instead"
        )
    if launcher.processes * launcher.nodes > algo.prompts_per_step:
        raise BadInput(
            f"{launcher.processes} processes on {launcher.nodes} machines cannot share "
            f"algo.prompts_per_step={algo.prompts_per_step}"
        )


@dataclass(frozen=True)
class TrainSamples:
    """Training samples by counter: the benchmark's own, and sandbox ones where its share is below 1."""

    sandbox: SandboxBenchmark
    real: Sequence[EditSample] | None
    share: float
    seed: int

    def __call__(self, index: int) -> EditSample:
        rng = Random(f"train/{self.seed}/{index}")
        if self.real is not None and rng.random() < self.share:
            return self.real[rng.randrange(len(self.real))]
        return self.sandbox.sample(index)


def train_samples(benchmark: BenchmarkConfig, image_size: int, seed: int) -> TrainSamples:
    """Counter-based: sample `index` is a function of (seed, index)."""
    sandbox = SandboxBenchmark("train", seed=seed, size=image_size, max_edits=benchmark.max_edits)
    real: Sequence[EditSample] | None = None
    if benchmark.name == "mice_text":
        real = MiceText(benchmark.path, "train")
    elif benchmark.name == "prepared":
        real = Prepared(benchmark.path, "train")
    return TrainSamples(sandbox, real, benchmark.train_share, seed)


def test_samples(
    benchmark: BenchmarkConfig, image_size: int, count: int | None, seed: int, part: str = "test"
) -> list[EditSample]:
    """`count` samples never trained on, spread evenly over the part where there are more; all of it for None. Raises
    BadInput as `check_benchmark`."""
    check_benchmark(benchmark)
    match benchmark.name:
        case "sandbox":
            sandbox = SandboxBenchmark("test", seed=seed, size=image_size, max_edits=benchmark.max_edits)
            return [sandbox.sample(i) for i in range(200 if count is None else count)]
        case "mice_text" | "prepared":
            kind = MiceText if benchmark.name == "mice_text" else Prepared
            data: Sequence[EditSample] = kind(benchmark.path, part)
            n = len(data) if count is None else min(count, len(data))
            return [data[i * len(data) // n] for i in range(n)]
    raise AssertionError(benchmark.name)  # check_benchmark


def check_benchmark(config: BenchmarkConfig) -> None:
    """BadInput for a benchmark that a run cannot train on."""
    if config.name not in TRAINED_ON:
        raise BadInput(
            f"benchmark={config.name} is there to evaluate on: `python -m experiments.evaluate run=<run> "
            f"benchmark={config.name} …`; a run trains on {', '.join(TRAINED_ON[:-1])} or {TRAINED_ON[-1]}"
        )


def _picture(sample: EditSample) -> Image.Image:
    if sample.image is None:
        raise BadInput(f"sample {sample.id!r} has no picture, so nothing can be judged on it")
    return sample.image


def _pair(betas: Sequence[float]) -> tuple[float, float]:
    if len(betas) != 2:
        raise BadInput(f"algo.betas needs two numbers, not {list(betas)}")
    return float(betas[0]), float(betas[1])
