"""Every key of every configuration, typed, with what it means. The yaml files only choose values.

Every command has its root, listed in ROOTS. An unknown key or a value of the wrong type is
refused when the configuration is composed. Nothing heavy is imported here: `--help` must be quick.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from rl.parts import GRPO


@dataclass
class Needs:
    """What a machine must have for this scale; checked before anything starts. 0 means no demand."""

    gpus: int = 0
    gpu_memory_gib: float = 0.0  # per GPU
    memory_gib: float = 0.0
    disk_gib: float = 0.0  # free, where outputs/ lies


@dataclass
class ScaleConfig:
    """Sizes and data; never code paths."""

    name: str = MISSING
    image_size: int = 64  # side of a sandbox picture, pixels
    test_samples: int = 200  # samples never trained on: decomposition before/after, and the three arms
    test_seed: int = 0  # which part of the test split; the same for every run, so that runs can be compared
    chunk: int = 25  # samples evaluated and saved at a time; part of a run's identity (it fixes batch composition)
    strips: int = 12  # before/after strips in the report
    editor_calls: int | None = None  # of the editor alone on a sample; null: as many as the team made there; 0: off
    needs: Needs = field(default_factory=Needs)


@dataclass
class DecomposerConfig:
    name: str = MISSING
    checkpoint: str = MISSING  # folder with config.json, *.safetensors, tokenizer, image processor
    source: str = ""  # how to get the checkpoint, said when it is missing
    prompt: str = MISSING  # a file of agents/prompts without .txt, or a path
    dtype: str = "float32"
    max_new_tokens: int = 96  # of one decomposition
    temperature: float = 0.0  # when evaluating; 0 is greedy
    max_request_chars: int = 1000  # a longer request is cut, with a note
    parameters: float = 0.0  # how many, for the memory check; 0: not checked


@dataclass
class SequencerConfig:
    name: str = MISSING  # rules | vlm
    prompt: str = ""  # of the vlm sequencer
    max_new_tokens: int = 256


@dataclass
class ApiConfig:
    """How an editor behind a paid HTTP interface is asked (editors/api.py)."""

    model: str = ""  # the service's own name
    base_url: str = ""
    key_env: str = ""  # the environment variable that holds the key
    timeout_s: float = 180.0  # of one whole exchange
    tries: int = 5  # per edit, the first included
    concurrency: int = 4  # requests under way at a time
    cache: str = ""  # folder; what was paid for is kept there
    parameters: dict[str, Any] = field(default_factory=dict)  # further fields of the request, as the service names them
    organization: str = ""  # gpt_image only


@dataclass
class EditorConfig:
    """What changes the pixels. A scale chooses the values of `qwen` and `flux_kontext`: conf/editor/<name>/<scale>.yaml."""

    name: str = MISSING
    kind: str = "sandbox"  # what runs it: sandbox | qwen | flux_kontext | nano_banana | gpt_image
    pipeline: str = ""  # class of the diffusers pipeline; another one in the folder is refused
    checkpoint: str = ""  # folder of the pipeline, or a Hub id (owner/name) in the local Hub cache
    source: str = ""  # how to get the checkpoint, said when it is missing
    licence: str = ""  # of the checkpoint or service
    parameters: float = 0.0  # of all its models, for the memory check; 0: not checked
    largest: float = 0.0  # parameters of its largest model: with offload=model that one alone is on the GPU
    steps: int = 8
    true_cfg: float = 1.0  # classifier-free guidance: above 1 every step has a second forward
    negative_prompt: str | None = " "  # guidance leads away from it; one blank is none in particular
    guidance: float | None = None  # input of models that were distilled with guidance (published FLUX)
    area: int = 4096  # pixels of the working grid; pictures are brought there and back
    multiple: int = 0  # of the grid's sides, pixels; 0: the smallest that the model takes
    batch_size: int = 8  # pictures edited together
    max_sequence_length: int = 512  # tokens to which FLUX pads an instruction
    condition_area: int | None = (
        None  # pixels of the picture that Qwen Plus shows its text encoder; null: its own 384 x 384
    )
    vision_positions: bool = False  # two-dimensional positions in Qwen's text encoder, which diffusers 0.42 leaves out
    dtype: str = "float32"  # float32 | bfloat16 | float16
    offload: str = "none"  # none | model | sequential: what waits in main memory while it is not needed
    device_map: str | None = None  # balanced: spread over all GPUs
    lora: str | None = None  # file, folder or Hub id
    lora_weight_name: str | None = None  # the file in it
    lora_scale: float = 1.0
    lightning: bool = False  # the schedule of the Lightning LoRAs; with them, 4 or 8 steps and true_cfg=1
    cache_threshold: float = 0.0  # above 0: FirstBlockCache, an approximation; never in one arm of a comparison alone
    vae_tiling: bool = False  # less memory, seams; refused where a reward looks at the picture
    compile: bool = False
    allow_download: bool = False
    api: ApiConfig = field(default_factory=ApiConfig)


@dataclass
class RewardWeights:
    """Relative weights of the components (normalised to sum 1). Any of them can be set: reward.weights.action=0.5"""

    format: float = 0.0
    action: float = 0.0
    subject: float = 0.0
    goal: float = 0.0
    linked: float = 0.0
    soft: float = 0.0
    exact: float = 0.0
    outcome: float = 0.0


@dataclass
class RewardConfig:
    name: str = MISSING
    weights: RewardWeights = field(default_factory=RewardWeights)


@dataclass
class ExecutionConfig:
    name: str = MISSING  # single | multi


@dataclass
class RolloutsConfig:
    name: str = MISSING  # hf | vllm | auto
    batch_size: int = 128  # sequences generated together
    # of vllm alone:
    max_tokens: int = 4096  # of a prompt and its answer together; a longer one is refused
    cache_gib: float = 0.25  # memory for keys and values
    sleep: bool = False  # hand the GPU's memory to the trainer between rollouts; nothing on a CPU
    process: str = "inside"  # inside: the trainer's process | separate: one of its own, started again when it dies
    sync_limit_s: float = 300.0  # a weight sync in which nothing happens for so long has failed
    call_limit_s: float = 1800.0  # process=separate: one that answers later than this counts as dead


@dataclass
class EngineConfig:
    name: str = MISSING  # torch | deepspeed
    device: str = "auto"  # auto | cpu | cuda
    threads: int = 1  # of torch in each process, fixed: another number gives other last bits
    stage: int = (
        0  # deepspeed, ZeRO: 0 nothing is sharded, 1 moments and fp32 weights, 2 gradients too, 3 all weights too
    )
    offload_optimizer: bool = False  # deepspeed: moments and fp32 weights in main memory
    gather_mib: int = 256  # deepspeed, stage 3: weights that are whole at a time when rollouts get them
    timeout_s: float = 1800.0  # deepspeed: a process that waits longer for another one fails instead of hanging


@dataclass
class LauncherConfig:
    """How many processes train. All other phases of a run have one."""

    name: str = "local"  # local | torchrun | slurm (torchrun in jobs of a cluster)
    processes: int = 1  # on this machine
    nodes: int = 1  # machines that train together, with a shared folder for the run; the others are started by hand
    rendezvous: str = ""  # host:port of this machine, where the others find it
    restarts: int = 0  # how often a training that lost a process starts again by itself, from its last checkpoint


@dataclass
class JudgeConfig:
    """Who scores edited pictures. `rubric` is the protocol (judges/rubrics/), everything below it how a model is asked."""

    name: str = MISSING
    kind: str = "sandbox"  # sandbox | chat (an OpenAI-compatible service) | vlm (a local model) | rrm
    keys: list[str] = field(default_factory=list)  # environment variables it cannot work without
    max_invalid_share: float = 0.02  # of verdicts; above it the run fails instead of reporting a biased mean
    rubric: str | None = (
        None  # paper | viescore | gedit | imgedit | editscore | complex_edit | rise; null: the benchmark's
    )
    model: str = ""  # pinned, dated name where the service has one; a folder or Hub id for kind=vlm and rrm
    base_url: str = ""
    repeats: int | None = None  # passes over all questions; null: the rubric's own
    temperature: float | None = None  # null: the rubric's own
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int = 0
    structured: bool = True  # send the JSON schema where the service offers structured output
    extra: dict[str, Any] = field(default_factory=dict)  # further fields of the request, as the service names them
    concurrency: int = 16  # requests under way at a time
    requests_per_minute: float = 0.0  # 0: no limit of our own
    tokens_per_minute: float = 0.0
    timeout_s: float = 120.0  # of one whole exchange
    tries: int = 6  # per question, the first included
    price_in: float = 0.0  # dollars per million tokens
    price_out: float = 0.0
    cache: str = ""  # folder; a reply that was paid for is kept there. Empty: ${paths.outputs}/cache/judge
    dtype: str = "bfloat16"  # kind=vlm and rrm
    source: str = ""  # how to get the checkpoint, said when it is missing


@dataclass
class BenchmarkConfig:
    name: str = MISSING
    path: str | None = None  # folder with the data, where the benchmark has any; null: the Hub, or its cache
    max_edits: int = 5
    train_share: float = 1.0  # share of a training batch from this benchmark; the rest is sandbox
    # of the public benchmarks (benchmarks/catalogue.py):
    hub: str = ""  # Hub id
    revision: str | None = None  # commit of the Hub data set
    split: str = ""
    config: str = ""  # configuration of the Hub data set, where it has several
    samples: int | None = None  # units taken from the whole, by the seed; null: all
    seed: int = 0
    protocol: str = ""  # of those with several, e.g. single | multi
    language: str = "all"  # gedit: en | cn | all
    text: str = ""  # psr: original | simplified
    complexity: list[int] = field(default_factory=list)  # complex_edit: of 1 to 8; empty: all


@dataclass
class MetricsConfig:
    """What is measured on edited pictures without a judge (judges/metrics/names.py); weights are never fetched."""

    name: str = MISSING  # none | basic | full
    names: list[str] = field(default_factory=list)  # e.g. l1, l1@source, clip_dir; drift is added to any of them
    clip: str = "openai/clip-vit-base-patch32"  # folder or Hub id, likewise dino
    dino: str = "facebook/dino-vits16"  # facebook/dinov2-small: DINOv2
    lpips: str = "alex"  # alex | vgg | squeeze
    device: str = "auto"  # auto | cpu | cuda


@dataclass
class TrackerConfig:
    name: str = MISSING  # jsonl | wandb (metrics.jsonl is written always)
    project: str = "imageedit-r1"
    entity: str | None = None
    mode: str = "auto"  # wandb: auto (online with a key, else offline) | online | offline
    group: str | None = None  # set to the sweep's id by itself


@dataclass
class PathsConfig:
    outputs: str = "outputs"
    assets: str = "assets"


MAIN_JOB = (
    "experiments.runs.training.Supervised",
    "experiments.runs.evaluating.DecompositionsBefore",
    "experiments.runs.training.GRPO",
    "experiments.runs.evaluating.DecompositionsAfter",
    "experiments.runs.evaluating.Arms",
    "experiments.runs.evaluating.Results",
)


@dataclass
class RunConfig:
    """`python -m experiments.run`"""

    name: str = "main"  # first part of the output folder's name
    seed: int = 0
    force: bool = False  # start anew where a run of this identity exists (the old folder is moved aside)
    verbose: bool = False
    experiment: str = MISSING
    job: list[str] = field(default_factory=lambda: list(MAIN_JOB))  # class paths of the stages, in order
    stages: list[str] | None = None  # names of those that are run; null: all of them. What is done is not done again
    objective: str | None = None  # dotted key of results.json that a sweep optimises; null: what the stages declare
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    decomposer: DecomposerConfig = field(default_factory=DecomposerConfig)
    sequencer: SequencerConfig = field(default_factory=SequencerConfig)
    editor: EditorConfig = field(default_factory=EditorConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    algo: GRPO = field(default_factory=GRPO)
    rollouts: RolloutsConfig = field(default_factory=RolloutsConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    launcher: LauncherConfig = field(default_factory=LauncherConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class EvaluateConfig:
    """`python -m experiments.evaluate`: arms and judges on any benchmark, or a finished run's decompositions. With a run the
    parts come from it, and what is given here replaces them."""

    run: str = "none"  # the run's folder; none: the configured decomposer as it is, with scale, editor, ... from here
    out: str = MISSING  # folder; further benchmarks, judges and arms with the same out are added to its table
    arms: Any = "none"  # all | none (what is there is judged; of a run alone decompositions) | editor,agents,agents_rl
    pictures: str = ""  # folder of pictures edited elsewhere, <id>.png; an arm with the folder's name
    label: str = ""  # before the arms' names, so that several editors or runs stand in one table
    samples: int | None = None  # at most so many units; all of a data set, or the scale's test_samples of the sandbox
    part: str = "all"  # mice_text, prepared: all | train | test (the run's held-out part)
    editor_calls: int | None = (
        None  # arms=all of a run: as scale.editor_calls; null: as the run had it, on public benchmarks 0
    )
    chunk: int | None = (
        None  # units edited together and saved at a time; they decide the last bits of a picture. null: as a
    )
    # run has it (scale.chunk) where a run can be trained on the benchmark, 8 elsewhere
    shard: int = 0  # which part of the work this process does ...
    shards: int = 1  # ... of so many; all parts write to the same out, and the last one to end reports
    budget: float | None = (
        None  # dollars for a judge's calls on a benchmark, over all starts; it stops before it spends more
    )
    retry: bool = False  # do again what failed: edits without a picture, invalid verdicts (asked anew)
    gallery: int = 4  # best, worst and most disputed items on the page, so many of each
    verbose: bool = False
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)  # with arms=all the run's own, if none is given
    engine: EngineConfig = field(default_factory=EngineConfig)  # likewise
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    launcher: LauncherConfig = field(default_factory=LauncherConfig)  # in how many processes, each with its shard
    # of these an empty name means the run's own; a key alone (editor.steps=4) changes that key of it
    editor: EditorConfig = field(default_factory=lambda: EditorConfig(name=""))
    execution: ExecutionConfig = field(default_factory=lambda: ExecutionConfig(name=""))
    sequencer: SequencerConfig = field(default_factory=lambda: SequencerConfig(name=""))
    judge: JudgeConfig = field(default_factory=lambda: JudgeConfig(name=""))
    scale: ScaleConfig = field(default_factory=ScaleConfig)  # with run=none, likewise the next two
    decomposer: DecomposerConfig = field(default_factory=DecomposerConfig)
    rollouts: RolloutsConfig = field(default_factory=RolloutsConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)  # where the tiny checkpoints of an editor given here lie
    algo: dict[str, Any] = field(default_factory=dict)  # a scale's training numbers, which nothing here uses


@dataclass
class EditConfig:
    """`python -m experiments.edit`: the team on one's own picture."""

    image: str = MISSING
    instruction: str = MISSING
    out: str = "edited.png"
    run: str | None = None  # take the trained decomposer of this run; else the tiny one after its supervised start
    seed: int = 0
    verbose: bool = False
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    decomposer: DecomposerConfig = field(default_factory=DecomposerConfig)
    sequencer: SequencerConfig = field(default_factory=SequencerConfig)
    editor: EditorConfig = field(default_factory=EditorConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    rollouts: RolloutsConfig = field(default_factory=RolloutsConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)
    algo: dict[str, Any] = field(default_factory=dict)  # a scale's training numbers, which nothing here uses


@dataclass
class PlanConfig:
    """`python -m experiments.plan`: what an editor and the decomposer's training need, computed without any weights."""

    gpu: str = "h100"  # a name of experiments/preflight/gpus.py
    mfu: float = 0.4  # assumed share of the GPU's peak that is reached
    host_gb_s: float = 25.0  # assumed speed between main memory and GPU, for offloading
    gpus: int = 8  # that share the decomposer's training under ZeRO
    ratio: float = 1.0  # width / height of the picture
    instruction_tokens: int = 30
    request_tokens: int = 100  # of the decomposer's prompt, besides the picture
    out: str | None = None  # write the numbers to this file as well, as JSON
    verbose: bool = False
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    decomposer: DecomposerConfig = field(default_factory=DecomposerConfig)
    sequencer: SequencerConfig = field(default_factory=SequencerConfig)
    editor: EditorConfig = field(default_factory=EditorConfig)
    rollouts: RolloutsConfig = field(default_factory=RolloutsConfig)
    algo: GRPO = field(default_factory=GRPO)
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class VisionWarmupConfig:
    """First the vision tower alone learns to name what stands where (experiments/tiny/vision.py)."""

    steps: int = 2000
    batch_size: int = 64
    lr: float = 2e-3
    warmup: int = 200
    final_lr_share: float = 0.02  # the cosine decay of the learning rate ends at this share of lr
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    checkpoint_every: int = 250


@dataclass
class ColdStartConfig:
    """Then the whole model learns the format, the actions and copying, on part of the grammar (experiments/tiny/coldstart.py)."""

    steps: int = 5000
    batch_size: int = 32
    micro_batch_size: int = 16
    lr: float = 2e-3
    warmup: int = 100
    final_lr_share: float = 0.02
    second_steps: int = 1500  # of the second part, with longer and harder requests
    second_lr: float = 1e-3
    checkpoint_every: int = 250
    validate_every: int = 500
    validation_samples: int = 200


@dataclass
class AutoencoderConfig:
    """The VAE of a tiny diffusion editor (experiments/tiny/autoencoder.py)."""

    steps: int = 9000
    batch_size: int = 4
    lr: float = 4e-3
    warmup: int = 100
    decay_share: float = 0.4  # of the steps, in which the learning rate goes down to 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    latent_noise: float = 0.1  # standard deviation added to latents of unit scale: an editor's latents are never exact
    edge_weight: float = 0.5  # of the differences of neighbouring pixels
    scale_weight: float = 1e-4  # of the latents' mean square
    checkpoint_every: int = 250


@dataclass
class FlowMatchingConfig:
    """Flow matching of a tiny diffusion editor (experiments/tiny/flow_matching.py), and how it is judged."""

    steps: int = 12000
    batch_size: int = 32
    lr: float = 2e-3
    warmup: int = 200
    decay_share: float = 0.45
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    dropout: float = 0.1  # share of pairs without instruction, for classifier-free guidance
    long_share: float = 0.25  # of batches whose instructions FLUX pads to the full length
    time_mean: float = 1.5  # of the logits of flow matching's times: most are near the noise, where the edit is decided
    time_std: float = 1.5
    readout_weight: float = (
        0.1  # of the read-outs inside the model (experiments/tiny/readout.py); falls to 0 over the steps
    )
    ema: float = 0.998
    euler_steps: int = 8  # when judging
    checkpoint_every: int = 250
    validate_every: int = 1000
    validation_samples: int = 100
    test_samples: int = 400


@dataclass
class PretrainConfig:
    """`python -m experiments.pretrain`: the tiny models from nothing."""

    editor: EditorConfig | None = None  # editor=qwen or editor=flux_kontext: this one; none: the decomposer
    out: str = ""  # empty: its place under ${paths.assets}/tiny
    work: str = ""  # checkpoints and logs; the same command goes on from here. Empty: ${paths.outputs}/pretrain-<name>
    seed: int = 0
    verbose: bool = False
    vision: VisionWarmupConfig = field(default_factory=VisionWarmupConfig)
    start: ColdStartConfig = field(default_factory=ColdStartConfig)
    vae: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    flow: FlowMatchingConfig = field(default_factory=FlowMatchingConfig)
    decomposer: DecomposerConfig = field(default_factory=DecomposerConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class AgreementConfig:
    """`python -m experiments.agreement`: how well a judge agrees with people."""

    data: str = MISSING  # tiger | editscore | genai_bench | imagenhub | csv | sandbox (written for the purpose)
    out: str = MISSING  # verdicts, agreement.json, .md and .html
    path: str | None = None  # folder or file with the data; null: the Hub
    hub: str = ""  # Hub id in place of the set's own
    revision: str | None = None  # commit of the Hub data set
    split: str = ""
    subset: str = ""  # configuration of the Hub data set
    scores: str = "judge"  # judge: score every edit | csv: the columns score_a and score_b
    rubric: str = "paper"  # where judge.rubric names none; pairwise: shown both edits, in both orders
    samples: int | None = None  # at most so many requests, by the seed; null: all
    seed: int = 0  # of the sample, of the halves for epsilon, of intervals
    own: str = ""  # name (or part of it) of the model that judges, marked in the self-preference table
    budget: float | None = None  # dollars for the calls of this start; null: no limit
    verbose: bool = False
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class SourceConfig:
    """Where requests for training come from. It is read where its name is in `sources`."""

    path: str | None = None  # folder or file; null: the Hub, or its cache
    hub: str = ""  # Hub id
    revision: str | None = None  # commit of the Hub data set
    split: str = ""
    config: str = ""  # configuration of the Hub data set, where it has several
    samples: int | None = None  # so many of the whole, by the seed; null: all
    seed: int = 0
    text: str = ""  # psr, requests: original | simplified
    complexity: list[int] = field(default_factory=list)  # complex_edit: of 1 to 8; empty: all
    licence: str = ""  # psr, requests: written into every record; empty: what is known


@dataclass
class PrepareConfig:
    """`python -m experiments.prepare`: the decomposer's training set, kept apart from evaluation items."""

    out: str = MISSING  # folder of the set
    sources: list[str] = field(default_factory=list)  # some of psr, requests, mice, complex_edit
    avoid: list[str] = field(default_factory=list)  # evaluation sets: <benchmark>:<path>, <benchmark>, a file; or none
    near: float = 0.7  # Jaccard similarity of shingles from which a text is too near (benchmarks/near.py)
    pictures: str = "keep"  # none: text alone | keep: records name their pictures | send: the labeller sees them too
    budget: float | None = None  # dollars for the set's labels, over all starts; what is there by then is kept
    dry_run: bool = False  # only say what it would cost
    verbose: bool = False
    psr: SourceConfig = field(default_factory=SourceConfig)  # PSR's training requests
    requests: SourceConfig = field(default_factory=SourceConfig)  # any CSV, JSONL, folder or Hub data set of requests
    mice: SourceConfig = field(default_factory=SourceConfig)  # MICE-Bench's training sessions, which carry labels
    complex_edit: SourceConfig = field(default_factory=SourceConfig)  # then it is no evaluation set any more
    judge: JudgeConfig = field(default_factory=lambda: JudgeConfig(name=""))  # the labeller; its rubric is not used
    engine: EngineConfig = field(default_factory=EngineConfig)  # where a local labeller runs
    paths: PathsConfig = field(default_factory=PathsConfig)


ROOTS: dict[str, type] = {
    "run": RunConfig,
    "evaluate": EvaluateConfig,
    "edit": EditConfig,
    "plan": PlanConfig,
    "pretrain": PretrainConfig,
    "agreement": AgreementConfig,
    "prepare": PrepareConfig,
}


def register() -> None:
    """Put the roots into Hydra's store, where conf/<command>.yaml refers to them as `schema_<command>`."""
    store = ConfigStore.instance()
    for name, root in ROOTS.items():
        store.store(name=f"schema_{name}", node=root)
