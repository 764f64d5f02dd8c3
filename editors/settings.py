"""What an edit of a diffusion editor costs, how it is guided and computed; light, so that a command line is checked at once."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import BadInput


@dataclass(frozen=True)
class FlowSettings:
    """What an edit costs and how it is guided."""

    steps: int
    area: int  # pixels of the working grid, e.g. 1024 * 1024
    true_cfg: float = 1.0  # classifier-free guidance with a negative prompt, two forwards a step; 1 is off
    guidance: float | None = None  # embedded guidance of distilled models (FLUX)
    negative_prompt: str | None = " "
    batch_size: int = 8
    max_sequence_length: int = 512  # tokens of an instruction, where the model pads to a fixed length
    multiple: int = 0  # of the grid's sides, in pixels; 0: the smallest that the model takes

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.max_sequence_length < 1:
            raise BadInput(
                f"steps ({self.steps}), batch_size ({self.batch_size}) and max_sequence_length ({self.max_sequence_length}) "
                "must be at least 1"
            )
        if not self.true_cfg >= 1:
            raise BadInput(f"true_cfg={self.true_cfg} would be ignored: it guides above 1, and 1 turns it off")
        if self.true_cfg > 1 and not self.negative_prompt:
            raise BadInput(
                f"true_cfg={self.true_cfg} guides away from a negative prompt and there is none; "
                'give negative_prompt=" " (one blank), or true_cfg=1 to turn it off'
            )

    @property
    def guided(self) -> bool:
        """Whether every step has a second forward for the negative prompt."""
        return self.true_cfg > 1


@dataclass(frozen=True)
class Forwards:
    """How the rows of a batch are put into forwards of the denoiser (editors/forwards.py). `padded`: texts of different lengths
    share a forward, padded and masked; False: one forward for each length. `both_branches`: the instruction's and the negative
    prompt's rows share a forward, instead of one for each."""

    padded: bool = True
    both_branches: bool = False


ATTENTION = {  # editor.attention (editors/attention.py): our names, and diffusers'
    "native": "native",
    "cudnn": "_native_cudnn",
    "flash": "flash",
    "flash3": "_flash_3",
    "sage": "sage",
}
APPROXIMATE_ATTENTION = ("sage",)  # rounds queries and keys to 8 bits
MASKED_ATTENTION = ("native", "cudnn")  # those that can hide the padding of texts
ATTENTION_PACKAGES = {"flash": "flash_attn", "flash3": "flash_attn_interface", "sage": "sageattention"}

__all__ = [
    "APPROXIMATE_ATTENTION",
    "ATTENTION",
    "ATTENTION_PACKAGES",
    "MASKED_ATTENTION",
    "FlowSettings",
    "Forwards",
]
