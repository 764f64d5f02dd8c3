"""What generates completions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import BadInput
from conf.schema import RolloutsConfig
from experiments.preflight.machine import chosen_rollouts

if TYPE_CHECKING:
    from agents.backends.base import Backend
    from agents.backends.vlm import VLM


def make_backend(config: RolloutsConfig, vlm: VLM) -> Backend:
    from agents.backends.hf import HFBackend

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


__all__ = ["make_backend"]
