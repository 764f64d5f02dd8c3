"""What changes the pixels. An editor's libraries are only imported where it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from common.errors import BadInput
from common.parts import CHECKPOINT, Content, Machine, Part, incidental
from common.ranges import number
from conf.parts import build
from editors.settings import APPROXIMATE_ATTENTION, FlowSettings, Forwards
from experiments.build.device import device_of
from experiments.build.editor_speed import check_speed, speed_of
from experiments.preflight import diffusion, services

if TYPE_CHECKING:
    from editors.base import Editor
    from editors.flow import FlowModel

CACHE_THRESHOLD = 0.1  # of the first-block cache, where no other is given


@dataclass(frozen=True)
class EditorTools:
    """`reward_path`: a score of its pictures trains something, so that what would mislead a judge is refused. `edits`: how many
    will be asked for, 0 where that is not known."""

    device: Callable[[], str]
    reward_path: bool = False
    edits: int = 0


@dataclass
class SandboxEditor(Part):
    """Edits the sandbox's pixels by segmentation."""

    name: str = "sandbox"

    def build(self, tools: EditorTools) -> Editor:
        from editors.sandbox import SandboxEditor

        return SandboxEditor()


@dataclass
class DiffusionEditor(Part):
    """A pipeline of diffusers. A scale chooses the values of `qwen` and `flux_kontext`: conf/editor/<name>/<scale>.yaml."""

    name: str
    checkpoint: str = incidental()  # folder of the pipeline, or a Hub id (owner/name) in the local Hub cache
    pipeline: str = ""  # class of the diffusers pipeline; another one in the folder is refused
    source: str = incidental("")  # how to get the checkpoint, said when it is missing
    licence: str = incidental("")  # of the checkpoint
    parameters: float = number(0.0, 0, 1e13, defines=False)  # of all its models, for the memory check; 0: not checked
    # parameters of its largest model: with offload=model it alone is on the GPU
    largest: float = number(0.0, 0, 1e13, defines=False)
    steps: int = number(8, 1, 1000)
    true_cfg: float = number(1.0, 1, 100)  # classifier-free guidance: above 1 every step has a second forward
    negative_prompt: str | None = " "  # guidance leads away from it; one blank is none in particular
    guidance: float | None = number(None, 0, 100)  # input of models that were distilled with guidance (published FLUX)
    area: int = number(4096, 256, 2**26)  # pixels of the working grid; pictures are brought there and back
    multiple: int = number(0, 0, 1024)  # of the grid's sides, pixels; 0: the smallest that the model takes
    batch_size: int = number(8, 1, 10_000)  # pictures edited together
    max_sequence_length: int = number(
        512, 1, 100_000
    )  # tokens to which FLUX pads an instruction; a longer one gets more
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"  # of the weights
    offload: Literal["none", "model", "sequential"] = "none"  # what waits in main memory while it is not needed
    device_map: str | None = None  # balanced: spread over all GPUs
    lora: str | None = incidental(None)  # file, folder or Hub id; its bytes define the run
    lora_weight_name: str | None = None  # the file in it
    lora_scale: float = number(1.0, -100, 100)
    # approximations, marked in every table (docs/editors.md): weights in fewer bits, and steps that skip most blocks
    quantization: Literal["none", "int8", "fp8", "nf4"] = "none"
    cache: Literal["none", "first_block"] = (
        "none"  # first_block: steps in which the first block changes little skip the others
    )
    # relative change of the first block's output below which the others are skipped; null: 0.1
    cache_threshold: float | None = number(None, 0, 10, above=True)
    vae_tiling: bool = False  # less memory, seams; refused where a reward looks at the picture
    # how fast, and no picture beyond rounding; what `auto` stands for: docs/editors.md
    attention: Literal["auto", "native", "cudnn", "flash", "flash3", "sage"] = "auto"  # sage is an approximation
    compile: Literal["auto", True, False] = incidental("auto")  # the repeated blocks of the denoiser
    cfg_batch: Literal["auto", True, False] = incidental("auto")  # both branches of true_cfg in one forward
    pad_texts: Literal["auto", True, False] = incidental("auto")  # texts of different lengths share forwards, masked
    vae_channels_last: Literal["auto", True, False] = incidental("auto")  # layout of the autoencoder in memory
    allow_download: bool = incidental(False)  # fetch the checkpoint from the Hub where it is not in the cache
    sandbox_only: bool = incidental(False)  # trained on the sandbox alone: other pictures are refused (allow_tiny=true)

    kind: ClassVar[str] = ""  # of editors.checkpoint.CLASSES
    local_model = True
    has_pipeline = True
    lightning: ClassVar[bool] = False
    condition_area: ClassVar[int | None] = None
    masks_texts: ClassVar[bool] = False  # texts of different lengths can share a forward

    def __post_init__(self) -> None:
        self.flow_settings()
        check_speed(self)

    @property
    def approximations(self) -> tuple[str, ...]:  # type: ignore[override]
        """What makes its pictures approximate, in words for tables."""
        weights = {"none": ()}.get(self.quantization, (f"{self.quantization} weights",))
        cached = (f"first-block cache {self.threshold:g}",) if self.threshold else ()
        return (*weights, *cached, *(("sage attention",) if self.attention in APPROXIMATE_ATTENTION else ()))

    @property
    def threshold(self) -> float:
        """Of the first-block cache; 0: no cache."""
        return 0.0 if self.cache == "none" else self.cache_threshold or CACHE_THRESHOLD

    def flow_settings(self) -> FlowSettings:
        """Raises BadInput for settings that contradict each other."""
        return FlowSettings(
            steps=self.steps,
            area=self.area,
            true_cfg=self.true_cfg,
            guidance=self.guidance,
            negative_prompt=self.negative_prompt,
            batch_size=self.batch_size,
            max_sequence_length=self.max_sequence_length,
            multiple=self.multiple,
        )

    def missing(self, machine: Machine) -> Iterable[str]:
        return diffusion.missing_files(self)

    def missing_memory(self, machine: Machine, beside: float, device: str) -> Iterable[str]:
        return diffusion.missing_memory(self, machine, beside, device)

    def contents(self) -> Iterable[Content]:
        yield Content(self.checkpoint, CHECKPOINT, fetched=self.allow_download)
        if self.lora is not None:
            yield Content(self.lora, (self.lora_weight_name or "*.safetensors",), fetched=self.allow_download)

    def settings(self) -> Mapping[str, Any]:
        keys = ("checkpoint", "steps", "true_cfg", "guidance", "area", "dtype", "lora")
        approximate = {"approximate": list(self.approximations)} if self.approximations else {}
        return {key: getattr(self, key) for key in keys} | approximate

    def model(self, pipe: Any, forwards: Forwards | None = None) -> FlowModel:
        """The flow model over a loaded pipeline."""
        raise NotImplementedError

    def lean(self, pipe: Any) -> None:
        """Make the transformer cheaper on a CPU, without changing what it computes."""

    def build(self, tools: EditorTools) -> Editor:
        import torch

        from editors.fast_gelu import use_fast_gelu
        from editors.flow_editor import FlowEditor
        from editors.loading import LoadOptions, load_pipeline
        from editors.onednn import use_onednn

        device = tools.device()
        if tools.reward_path and self.approximations:
            words = ", ".join(self.approximations)
            raise BadInput(
                f"an editor that is trained, or whose pictures are rewards, must be exact; take out: {words}"
            )
        speed = speed_of(self, device, tools.edits, trained=tools.reward_path)
        options = LoadOptions(
            dtype=self.dtype,
            device=device,
            offload=self.offload,
            device_map=self.device_map,
            lora=self.lora,
            lora_weight_name=self.lora_weight_name,
            lora_scale=self.lora_scale,
            lightning=self.lightning,
            cache_threshold=self.threshold,
            vae_tiling=self.vae_tiling,
            vae_channels_last=speed.channels_last,
            compile=speed.compile,
            attention=speed.attention,
            masks=speed.forwards.padded and self.masks_texts,
            quantization=self.quantization,
            allow_download=self.allow_download,
        )
        pipe = load_pipeline(self.checkpoint, self.kind, options)
        if not speed.compile and self.quantization == "none":  # a compiler and quantised weights have their own kernels
            for component in pipe.components.values():
                if isinstance(component, torch.nn.Module):
                    use_onednn(component)
                    use_fast_gelu(component)
            if options.device == "cpu" and not self.threshold:
                self.lean(pipe)
        return FlowEditor(self.model(pipe, speed.forwards), reward_path=tools.reward_path)


@dataclass
class QwenEditor(DiffusionEditor):
    """Qwen-Image-Edit (arXiv 2508.02324) and the Plus line."""

    # pixels of the picture that Qwen Plus shows its text encoder; null: its own 384 x 384
    condition_area: int | None = number(None, 256, 2**26)  # type: ignore[misc]
    vision_positions: bool = False  # two-dimensional positions in the text encoder, which diffusers 0.42 leaves out
    lightning: bool = False  # type: ignore[misc]  # the schedule of the Lightning LoRAs; with them, 4 or 8 steps and true_cfg=1

    kind = "qwen"
    masks_texts = True

    def model(self, pipe: Any, forwards: Forwards | None = None) -> FlowModel:
        from editors.qwen import QwenModel

        return QwenModel(pipe, self.flow_settings(), self.vision_positions, self.condition_area, forwards)


@dataclass
class KontextEditor(DiffusionEditor):
    """FLUX.1 Kontext (arXiv 2506.15742)."""

    kind = "flux_kontext"

    def lean(self, pipe: Any) -> None:
        from editors.flux_cpu import use_cpu_blocks

        use_cpu_blocks(pipe.transformer)

    def model(self, pipe: Any, forwards: Forwards | None = None) -> FlowModel:
        from editors.flux_kontext import KontextModel

        return KontextModel(pipe, self.flow_settings(), forwards)


@dataclass
class ApiOptions:
    """How an editor behind a paid HTTP interface is asked (editors/api.py)."""

    model: str = ""  # the service's own name
    base_url: str = ""  # address of the service
    key_env: str = incidental("")  # the environment variable that holds the key
    key_help: str = incidental("see its provider")  # how to get one
    timeout_s: float = number(180.0, 0, 1e6, above=True, defines=False)  # of one whole exchange
    tries: int = number(5, 1, 1000, defines=False)  # per edit, the first included
    concurrency: int = number(4, 1, 10_000, defines=False)  # requests under way at a time
    cache: str = incidental("")  # folder; what was paid for is kept there
    parameters: dict[str, Any] = field(default_factory=dict)  # further fields of the request, as the service names them
    organization: str = incidental("")  # gpt_image only

    def given(self) -> dict[str, Any]:
        """What is not empty; the rest keeps the provider's default."""
        values = {k: v for k, v in asdict(self).items() if v not in ("", {}) and k != "key_help"}
        return values | ({"cache": Path(self.cache)} if self.cache else {})


@dataclass
class ServiceEditor(Part):
    """An editor behind a paid HTTP interface."""

    name: str
    api: ApiOptions = field(default_factory=ApiOptions)
    licence: str = incidental("")  # terms of the service, for reports

    def missing(self, machine: Machine) -> Iterable[str]:
        return services.missing_key(self, machine)

    def missing_room(self, machine: Machine, calls: int) -> Iterable[str]:
        return services.missing_room(self, machine, calls)

    def settings(self) -> Mapping[str, Any] | None:
        return {"model": self.api.model, **self.api.parameters} if self.api.model else None


@dataclass
class NanoBananaEditor(ServiceEditor):
    def build(self, tools: EditorTools) -> Editor:
        from editors import nano_banana

        return nano_banana.NanoBananaEditor(nano_banana.settings(**self.api.given()))


@dataclass
class GptImageEditor(ServiceEditor):
    def build(self, tools: EditorTools) -> Editor:
        from editors import gpt_image

        return gpt_image.GptImageEditor(gpt_image.settings(**self.api.given()))


SERVED_FIELDS = (
    "num_inference_steps",
    "guidance_scale",
    "true_cfg_scale",
    "negative_prompt",
)  # of a request, where given


@dataclass
class ServedEditor(Part):
    """An editor behind OpenAI's interface for editing pictures: this project's server, vLLM-Omni and others (editors/served.py)."""

    name: str
    base_url: str = ""  # of the service, mostly with /v1 at its end
    model: str = ""  # one of those it lists; empty: the service chooses
    key_env: str = incidental("")  # the environment variable that holds the key; empty: a service without keys
    # pixels at which a picture is sent, in multiples of `sent_multiple`; null: as it is. The result has the picture's size
    sent_area: int | None = number(None, 256, 2**26)
    sent_multiple: int = number(16, 1, 1024)
    # these four are sent where they are given, and must then be taken: vLLM-Omni has them, OpenAI and our server have not
    num_inference_steps: int | None = number(None, 1, 1000)
    guidance_scale: float | None = number(None, 0, 100)
    true_cfg_scale: float | None = number(None, 1, 100)
    negative_prompt: str | None = None  # what guidance leads away from
    fields: dict[str, Any] = field(default_factory=dict)  # further fields of the request, as the service names them
    timeout_s: float = number(600.0, 0, 1e6, above=True, defines=False)  # of one whole exchange
    tries: int = number(5, 1, 1000, defines=False)  # per edit, the first included
    concurrency: int = number(8, 1, 10_000, defines=False)  # requests under way at a time
    cache: str = incidental("")  # folder; pictures are kept there
    ask_first: bool = incidental(True)  # before a run, whether the service is there and has the model

    def missing(self, machine: Machine) -> Iterable[str]:
        return services.missing_service(self, machine)

    def missing_room(self, machine: Machine, calls: int) -> Iterable[str]:
        return services.no_room(self.name, self.cache, "editor.cache", machine, calls)

    def given(self) -> dict[str, Any]:
        """Of the request, besides those that every one has."""
        named = {name: getattr(self, name) for name in SERVED_FIELDS}
        return {name: value for name, value in named.items() if value is not None} | dict(self.fields)

    def settings(self) -> Mapping[str, Any]:
        return {"base_url": self.base_url, "model": self.model, **self.given()}

    def build(self, tools: EditorTools) -> Editor:
        from editors.served import ServedEditor, ServedSettings

        settings = ServedSettings(
            base_url=self.base_url,
            model=self.model,
            key_env=self.key_env,
            parameters=self.given(),
            area=self.sent_area,
            multiple=self.sent_multiple,
            timeout_s=self.timeout_s,
            tries=self.tries,
            concurrency=self.concurrency,
        )
        return ServedEditor(replace(settings, cache=Path(self.cache)) if self.cache else settings)


def make_editor(part: Any, engine: Any = None, reward_path: bool = False, edits: int = 0) -> Editor:
    """`engine` says on which device; the rest as in EditorTools."""
    return build(part, EditorTools(lambda: device_of(engine or Part()), reward_path, edits))


__all__ = [
    "ApiOptions",
    "DiffusionEditor",
    "EditorTools",
    "GptImageEditor",
    "KontextEditor",
    "NanoBananaEditor",
    "QwenEditor",
    "SandboxEditor",
    "ServedEditor",
    "make_editor",
]
