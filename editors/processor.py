"""Qwen2-VL's processor without torchvision: that library is only needed for videos, which nobody sends here."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from transformers import BaseImageProcessor, PreTrainedTokenizerBase, Qwen2VLProcessor
from transformers.video_processing_utils import VideoProcessorMixin


class NoVideos(VideoProcessorMixin):
    """Stands in for the video processor where torchvision is missing, and is saved under its name."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError("videos need torchvision; this installation reads pictures only")


class _WithoutTorchvision(Qwen2VLProcessor):
    def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
        if argument_name == "video_processor":
            return object
        return super().check_argument_for_proper_class(argument_name, argument)


# saved folders must name classes that other installations have
_WithoutTorchvision.__name__ = Qwen2VLProcessor.__name__
_WithoutTorchvision.__module__ = Qwen2VLProcessor.__module__
NoVideos.__name__ = "Qwen2VLVideoProcessor"


def vision_processor(images: BaseImageProcessor, tokenizer: PreTrainedTokenizerBase) -> Qwen2VLProcessor:
    """The processor that Qwen-Image-Edit asks for, around an image processor and a tokenizer."""
    template = tokenizer.chat_template
    patches = {key: getattr(images, key) for key in ("patch_size", "merge_size", "temporal_patch_size")}
    if find_spec("torchvision") is None:
        return _WithoutTorchvision(images, tokenizer, NoVideos(**patches), chat_template=template)
    from transformers import Qwen2VLVideoProcessor

    return Qwen2VLProcessor(images, tokenizer, Qwen2VLVideoProcessor(**patches), chat_template=template)


__all__ = ["vision_processor"]
