"""A tiny editor that is pretrained: its flow model, the modules that learn, and the length that instructions are padded to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from agents.backends.vlm import load_vlm
from editors.flux_kontext import KontextModel
from editors.onednn import use_onednn
from editors.pipeline import PipelineModel
from editors.qwen import QwenModel
from editors.settings import FlowSettings
from editors.tiny import tiny_kontext_pipeline, tiny_qwen_pipeline

SIDE = 64  # of a picture, in pixels
LENGTHS = (24, 64)  # token counts to which FLUX's instructions are padded; its attention sees the padding
EMPTY = " "  # the instruction that stands for none, in classifier-free dropout and as negative prompt


@dataclass(frozen=True)
class TinyEditor:
    """`trained` are the modules that flow matching changes, by their names in the pipeline. The text encoder of
    Qwen-Image-Edit is the decomposer and stays as it is; FLUX's two text encoders learn with the transformer."""

    model: PipelineModel
    trained: dict[str, nn.Module]

    @property
    def readout_blocks(self) -> tuple[nn.Module, nn.Module]:
        """An early and a late block of the transformer, for read-outs while it learns."""
        blocks = self.model.blocks
        return blocks[len(blocks) // 3 - 1], blocks[len(blocks) * 2 // 3]

    def text_length(self, instructions: Sequence[str], minimum: int = 0) -> int | None:
        """The smallest of `LENGTHS` that holds the instructions and `minimum`; None where the family pads to the longest."""
        if not isinstance(self.model, KontextModel):
            return None
        longest = max(minimum, *self.model.token_counts(instructions))
        return next((length for length in LENGTHS if longest <= length), LENGTHS[-1])


def tiny_kontext(words: Sequence[str], steps: int, seed: int = 0) -> TinyEditor:
    """FLUX Kontext with random weights. `words` are whole tokens of its text encoders; `steps` are those of an edit."""
    model = KontextModel(tiny_kontext_pipeline(words, seed=seed), _settings(steps))
    return _fast(
        TinyEditor(model, {n: getattr(model.pipe, n) for n in ("transformer", "text_encoder", "text_encoder_2")})
    )


def tiny_qwen(decomposer: str, steps: int, seed: int = 0) -> TinyEditor:
    """Qwen-Image-Edit with random weights around the frozen Qwen2.5-VL in the folder `decomposer`."""
    vlm = load_vlm(decomposer)
    vlm.model.requires_grad_(False)
    model = QwenModel(tiny_qwen_pipeline(vlm, seed=seed), _settings(steps))
    return _fast(TinyEditor(model, {"transformer": model.transformer}))


def _settings(steps: int) -> FlowSettings:
    return FlowSettings(steps=steps, area=SIDE * SIDE, batch_size=25, max_sequence_length=LENGTHS[-1])


def _fast(editor: TinyEditor) -> TinyEditor:
    for module in (*editor.trained.values(), editor.model.pipe.text_encoder):
        use_onednn(module)
    return editor


__all__ = ["EMPTY", "LENGTHS", "SIDE", "TinyEditor", "tiny_kontext", "tiny_qwen"]
