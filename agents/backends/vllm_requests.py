"""One prompt in the form that vLLM takes, and one sample in the form that the trainer takes."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from agents.backends.base import Sampling
from agents.backends.vllm_settings import EngineSettings
from agents.backends.vlm import EncodedPrompt
from common.errors import BadInput, RunFailed

MOST_TOKENS = 20  # whose log-probabilities vLLM gives for one position, unless it is started for more


@dataclass(frozen=True)
class SampledSequence:
    """One sample: token ids, the end token included, their log-probabilities, and "stop" or "length"."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: str


def sampling_params(settings: EngineSettings, n: int, sampling: Sampling, prompt: int) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    digest = hashlib.blake2b(repr((sampling.seed, prompt)).encode(), digest_size=8).digest()
    return SamplingParams(
        n=n,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=int.from_bytes(digest, "big") >> 2,  # vLLM gives sample g this seed + g
        max_tokens=sampling.max_new_tokens,
        stop_token_ids=[settings.eos_id],
        logprobs=0,  # that of the sampled token alone
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def first_token_params(token_ids: Sequence[int]) -> Any:
    """One token is drawn and thrown away; wanted are the log-probabilities of `token_ids` beside it. Raises BadInput for more
    than vLLM tells of, RunFailed where this version of vLLM tells of the most likely tokens alone."""
    from vllm import SamplingParams

    if len(token_ids) > MOST_TOKENS:
        raise BadInput(f"vLLM tells the probabilities of {MOST_TOKENS} tokens at most, not of {len(token_ids)}")
    if "logprob_token_ids" not in inspect.signature(SamplingParams).parameters:
        raise RunFailed(
            "this version of vLLM cannot tell the probability of a given token, only of the most likely ones; install the "
            "version that requirements/ names (make extra-vllm), or answer by rollouts=hf"
        )
    return SamplingParams(
        temperature=1.0,
        seed=0,
        max_tokens=1,
        logprobs=len(token_ids),
        logprob_token_ids=list(token_ids),
        detokenize=False,
    )


def token_logprobs(output: Any, token_ids: Sequence[int]) -> list[float]:
    """What vLLM told of these tokens. Raises RunFailed where it left one out: a guess would be a wrong score."""
    told = output.logprobs[0]
    if missing := [token for token in token_ids if token not in told]:
        raise RunFailed(f"vLLM told no probability of token {missing[0]}; answer by rollouts=hf")
    return [told[token].logprob for token in token_ids]


def engine_input(prompt: EncodedPrompt, settings: EngineSettings) -> dict[str, Any]:
    """The form that vLLM's own processor would leave behind."""
    ids = prompt.input_ids.tolist()
    if prompt.pixel_values is None or prompt.grid_thw is None:
        return {"type": "token", "prompt_token_ids": ids}
    from vllm.multimodal.inputs import MultiModalFieldConfig, MultiModalKwargsItems, PlaceholderRange

    patches = prompt.grid_thw.prod(-1)
    items = MultiModalKwargsItems.from_hf_inputs(
        {"pixel_values": prompt.pixel_values, "image_grid_thw": prompt.grid_thw},  # type: ignore[arg-type]
        {
            "pixel_values": MultiModalFieldConfig.flat_from_sizes("image", patches),
            "image_grid_thw": MultiModalFieldConfig.batched("image", keep_on_cpu=True),
        },
    )
    spans = _spans(prompt.input_ids == settings.image_token_id)
    if len(spans) != len(patches):
        raise BadInput(f"a prompt has {len(spans)} runs of image tokens for {len(patches)} pictures")
    hashes = [
        hashlib.blake2b(piece.numpy().tobytes() + repr(grid).encode(), digest_size=16).hexdigest()
        for piece, grid in zip(prompt.pixel_values.split(patches.tolist()), prompt.grid_thw.tolist(), strict=True)
    ]
    return {
        "type": "multimodal",
        "prompt_token_ids": ids,
        "mm_kwargs": items,
        "mm_hashes": {"image": hashes},
        "mm_placeholders": {"image": [PlaceholderRange(offset=a, length=b - a) for a, b in spans]},
    }


def _spans(mark_T: Tensor) -> list[tuple[int, int]]:
    """[start, stop) of each run of True."""
    edges = torch.diff(mark_T.int(), prepend=torch.zeros(1, dtype=torch.int), append=torch.zeros(1, dtype=torch.int))
    return list(zip((edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist(), strict=True))


def sampled_sequence(output: Any) -> SampledSequence:
    ids = tuple(output.token_ids)
    logprobs = tuple(row[token].logprob for row, token in zip(output.logprobs, ids, strict=True))
    if output.finish_reason not in ("stop", "length"):
        raise RunFailed(f"vLLM ended a sample with {output.finish_reason!r}")
    return SampledSequence(ids, logprobs, output.finish_reason)


__all__ = [
    "SampledSequence",
    "engine_input",
    "first_token_params",
    "sampled_sequence",
    "sampling_params",
    "token_logprobs",
]
