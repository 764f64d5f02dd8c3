"""What the diffusers pipelines of flow editors have in common: geometry, noise, schedule, guidance, and the way out.

The pipelines' own parts and helpers do the work (VAE, packing, scheduler); what is not used is their `__call__`, which decides
sizes by itself, takes no batches of different texts (Qwen Plus) and ignores guidance that lacks its other half.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

import numpy as np
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux_kontext import calculate_shift  # the Qwen pipelines hold copies of it
from PIL import Image
from torch import Tensor

from common.errors import BadInput
from editors.flow import FlowSettings, Prepared, Text, check_finite
from editors.geometry import Fit, fit_to_grid
from editors.steps import Sigma

PIXELS_AT_ONCE = 1024 * 1024  # through the VAE: its activations are larger than the transformer's
Pair: TypeAlias = tuple[int, str]  # which of the distinct pictures, and what is said about it


class PipelineModel(ABC):
    """A `FlowModel` over a diffusers pipeline; subclasses know how their family reads text and packs latents.

    Raises BadInput where the pipeline cannot do what the settings ask for.
    """

    family = ""

    def __init__(self, pipe: Any, settings: FlowSettings) -> None:
        self.pipe, self.settings = pipe, settings
        self.smallest_multiple: int = pipe.vae_scale_factor * 2  # latents are packed two by two
        self.multiple = settings.multiple or self.smallest_multiple
        if self.multiple % self.smallest_multiple:
            raise BadInput(
                f"multiple={self.multiple}: {self.family} needs a multiple of {self.smallest_multiple} pixels"
            )
        if settings.area < self.multiple**2:
            raise BadInput(
                f"area={settings.area} has no room for a grid of {self.multiple}; use {self.multiple**2} or more"
            )
        self._check_scheduler()
        self._check_guidance()

    def _check_scheduler(self) -> None:
        scheduler = self.pipe.scheduler
        if not isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
            raise BadInput(
                f"{self.family} is run with FlowMatchEulerDiscreteScheduler; this pipeline has {type(scheduler).__name__}"
            )
        for flag in ("stochastic_sampling", "invert_sigmas"):
            if scheduler.config.get(flag):
                raise BadInput(f"the scheduler's {flag} is on; this editor's steps are Euler's from noise to picture")

    def _check_guidance(self) -> None:
        embedded, guidance = bool(self.pipe.transformer.config.guidance_embeds), self.settings.guidance
        if guidance is not None and not embedded:
            raise BadInput(
                f"guidance={guidance} would be ignored: this checkpoint has no guidance embedding (transformer/config.json: "
                "guidance_embeds is false); leave guidance out, and use true_cfg to guide"
            )
        if guidance is None and embedded:
            raise BadInput(
                "this checkpoint was distilled with a guidance embedding; say which guidance (FLUX Kontext: 2.5)"
            )

    # ------------------------------------------------------------------------------------------------ geometry
    @property
    def grids(self) -> tuple[tuple[int, int], ...] | None:
        """The grids (width, height) that the family was trained on, or None where any will do."""
        return None

    def fit(self, image: Image.Image) -> tuple[Image.Image, Fit]:
        """See `editors.geometry.plan_fit`."""
        return fit_to_grid(image, self.settings.area, self.multiple, self.grids)

    def _latent_size(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of unpacked latents."""
        return grid[1] // self.pipe.vae_scale_factor, grid[0] // self.pipe.vae_scale_factor

    # ------------------------------------------------------------------------------------------------ in
    @torch.no_grad()
    def prepare(self, images: Sequence[Image.Image], instructions: Sequence[str]) -> Prepared:
        """Encode pictures of one size (as `fit` gives them) and their instructions; equal ones are encoded once.

        Raises BadInput where the pictures differ in size or are not on the grid.
        """
        if not images or len(images) != len(instructions):
            raise BadInput(
                f"one instruction per picture is needed: {len(images)} pictures, {len(instructions)} instructions"
            )
        grid = images[0].size
        if (
            len({image.size for image in images}) > 1
            or grid[0] % self.smallest_multiple
            or grid[1] % self.smallest_multiple
        ):
            raise BadInput(
                f"a batch has one size, in multiples of {self.smallest_multiple}: got {sorted({i.size for i in images})}; use fit"
            )
        keys: dict[bytes, int] = {}
        distinct: list[Image.Image] = []
        which = []  # of the distinct pictures, row by row
        for image in images:
            row = keys.setdefault(image.tobytes(), len(distinct))
            if row == len(distinct):
                distinct.append(image)
            which.append(row)
        pairs = list(zip(which, instructions, strict=True))
        text, negative = self._texts(distinct, pairs)
        source = self._encode_pictures(distinct)[torch.as_tensor(which, device=self.device)]
        return Prepared(grid, source, text, negative)

    @abstractmethod
    def _texts(self, pictures: Sequence[Image.Image], pairs: Sequence[Pair]) -> tuple[Text, Text | None]:
        """The encoded pairs, row by row, and the negative prompt's where the settings guide."""

    def _encode_pictures(self, pictures: Sequence[Image.Image]) -> Tensor:
        """[B, N, C]: the VAE's most likely latents, packed."""
        width, height = pictures[0].size
        packed = []
        for chunk in _chunks(pictures, width * height):
            pixels = self.pipe.image_processor.preprocess(list(chunk), height, width)
            latents = self._encode_pixels(pixels.to(self.device, self.pipe.vae.dtype)).float()
            packed.append(self._pack(latents))
        return torch.cat(packed)

    @abstractmethod
    def _encode_pixels(self, pixels: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1] to latents as the transformer knows them, in the VAE's own shape."""

    def _pack(self, latents: Tensor) -> Tensor:
        channels = self.pipe.transformer.config.in_channels // 4
        return self.pipe._pack_latents(latents, len(latents), channels, *latents.shape[-2:])

    # ------------------------------------------------------------------------------------------------ the walk
    def noise(self, prepared: Prepared, seeds: Sequence[int]) -> Tensor:
        """[B, N, C]: standard normal, drawn on the CPU in float32, so that a seed means the same on any device and in any batch.

        Raises BadInput where there is not one seed per row.
        """
        if len(seeds) != len(prepared):
            raise BadInput(f"one seed per row is needed: {len(prepared)} rows, {len(seeds)} seeds")
        shape = (1, self.pipe.transformer.config.in_channels // 4, *self._latent_size(prepared.grid))
        drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(int(seed))) for seed in seeds]
        return self._pack(torch.cat(drawn)).to(self.device)

    def sigmas(self, prepared: Prepared, steps: int) -> Tensor:
        """[S + 1], falling to 0: the pipeline's schedule, shifted by the number of tokens where the scheduler is so configured.

        Raises BadInput where that configuration makes no way of so few steps.
        """
        scheduler = deepcopy(self.pipe.scheduler)  # the pipe's own stays as it is
        config = scheduler.config
        mu = calculate_shift(
            prepared.source.shape[1],
            config.get("base_image_seq_len", 256),
            config.get("max_image_seq_len", 4096),
            config.get("base_shift", 0.5),
            config.get("max_shift", 1.15),
        )
        with np.errstate(all="ignore"):
            scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)
        sigmas = scheduler.sigmas
        if not (bool(sigmas.isfinite().all()) and sigmas[0] > 0.99 and bool((sigmas.diff() < 0).all())):
            raise BadInput(
                f"the scheduler's configuration gives no schedule of {steps} steps from noise to picture ({sigmas.tolist()}); "
                "use more steps"
            )
        return sigmas.to(self.device)

    def velocity(self, prepared: Prepared, latents: Tensor, sigma: Sigma) -> Tensor:
        """[B, N, C] in float32, classifier-free guidance included where the settings say so (two forwards). Gradients are kept."""
        values = torch.as_tensor(sigma, dtype=torch.float32, device=self.device)
        time = (values * 1000 / 1000).expand(len(latents))  # there and back, as pipelines do: the same last bit
        conditional = self._forward("cond", prepared, prepared.text, latents, time)
        if prepared.negative is None:
            return conditional
        unconditional = self._forward("uncond", prepared, prepared.negative, latents, time)
        return self._guide(conditional, unconditional)

    def _guide(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Classifier-free guidance (arXiv 2207.12598), w = true_cfg."""
        return unconditional + self.settings.true_cfg * (conditional - unconditional)

    def _forward(self, branch: str, prepared: Prepared, text: Text, latents: Tensor, time: Tensor) -> Tensor:
        """[B, N, C]: the velocity of the result's tokens. Each branch has a cache of its own, where caching is on."""
        dtype = self.pipe.transformer.dtype
        tokens = torch.cat([latents, prepared.source], 1).to(dtype)
        with self.pipe.transformer.cache_context(branch):
            out = self.pipe.transformer(
                hidden_states=tokens,
                timestep=time.to(dtype),
                guidance=self._guidance(len(latents)),
                encoder_hidden_states=text.embeds.to(dtype),
                return_dict=False,
                **self._arguments(prepared.grid, len(latents), text),
            )[0]
        return out[:, : latents.shape[1]].float()

    def _guidance(self, rows: int) -> Tensor | None:
        if self.settings.guidance is None:
            return None
        return torch.full([rows], self.settings.guidance, dtype=torch.float32, device=self.device)

    @abstractmethod
    def _arguments(self, grid: tuple[int, int], rows: int, text: Text) -> dict[str, Any]:
        """What this family's transformer wants besides tokens, time and text."""

    # ------------------------------------------------------------------------------------------------ out
    @torch.no_grad()
    def decode_pixels(self, prepared: Prepared, latents: Tensor) -> Tensor:
        """[B, 3, H, W] in [0, 1], float32. Raises RunFailed where the VAE gives NaN or infinities."""
        width, height = prepared.grid
        latents = self.pipe._unpack_latents(latents, height, width, self.pipe.vae_scale_factor)
        chunks = _chunks(latents, width * height)
        pixels = torch.cat([self._decode_latents(chunk).float() for chunk in chunks])
        check_finite(pixels, "the decoded pictures")
        return (pixels / 2 + 0.5).clamp(0, 1)

    @abstractmethod
    def _decode_latents(self, latents: Tensor) -> Tensor:
        """Latents as the transformer knows them, unpacked, to pixels [B, 3, H, W] in about [-1, 1]."""

    def decode(self, prepared: Prepared, latents: Tensor) -> list[Image.Image]:
        """`decode_pixels` as 8-bit pictures."""
        pixels = (self.decode_pixels(prepared, latents) * 255).round().byte()
        return [Image.fromarray(picture) for picture in pixels.permute(0, 2, 3, 1).cpu().numpy()]

    # ------------------------------------------------------------------------------------------------ the parts
    @property
    def device(self) -> torch.device:
        """Where the parts compute (with offloading: where they are moved to)."""
        return self.pipe._execution_device

    @property
    def tiled(self) -> bool:
        """Whether the VAE works in tiles."""
        return bool(getattr(self.pipe.vae, "use_tiling", False))

    def reset(self) -> None:
        """Empty the caches of the transformer's blocks: they belong to one walk."""
        self.pipe.transformer._reset_stateful_cache()

    def release(self) -> None:
        """With model offloading: move every part back to memory. Otherwise it only empties caches."""
        self.pipe.maybe_free_model_hooks()


def _chunks(items: Any, pixels: int) -> Iterator[Any]:
    """Slices of so many items that a VAE takes them at once."""
    size = max(1, PIXELS_AT_ONCE // pixels)
    return (items[i : i + size] for i in range(0, len(items), size))


__all__ = ["Pair", "PipelineModel"]
