"""From a judge's configuration to a judge of pictures, whichever kind it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import BadInput, ImageEditError, MissingFile
from conf.schema import EngineConfig, JudgeConfig, RolloutsConfig
from experiments.build.device import device_of
from judges.base import Judge
from judges.cache import ReplyCache
from judges.chat import ChatClient, ChatSettings
from judges.llm import LLMJudge
from judges.question import Client, Rubric, Sampling
from judges.spending import Prices

if TYPE_CHECKING:
    from agents.backends.base import Backend

KINDS = ("sandbox", "chat", "vlm", "rrm")
VLLM_TOKENS, VLLM_CACHE_GIB = 16384, 8.0  # two large pictures, a rubric and its answer; keys and values of a batch


def make_judge_of(
    config: JudgeConfig,
    engine: EngineConfig,
    rubric: Rubric,
    cache: Path,
    budget: float | None = None,
    retry: bool = False,
) -> Judge:
    """The judge with this rubric (the sandbox's has its own). Replies are kept in `cache`; `budget` in dollars is for the
    calls of this object; with `retry` replies that made no verdict are asked for anew. A local model is loaded when
    something is not in the cache.

    Raises BadInput for settings that cannot work, MissingFile where a checkpoint is not there.
    """
    if config.kind == "sandbox":
        from judges.sandbox import SandboxJudge

        return SandboxJudge()
    client = make_client(config, engine, cache, budget)
    return LLMJudge(client, rubric, sampling_of(config, rubric.sampling), config.repeats, retry)


def check_judge_of_run(config: JudgeConfig) -> None:
    """BadInput for what `judge_of_run` refuses, known before anything is trained."""
    if config.kind not in KINDS or config.rubric not in (None, "paper"):
        what = f"judge={config.name}" if config.rubric in (None, "paper") else f"judge.rubric={config.rubric}"
        raise BadInput(
            f"{what} cannot score a run, whose tables have the aspects of the rubric paper; `python -m experiments.evaluate "
            "run=<folder> arms=all` takes any judge and rubric"
        )


def judge_of_run(config: JudgeConfig, engine: EngineConfig, outputs: Path) -> Judge:
    """A model as the judge of a run's own arms, or of an outcome reward: by the paper's rubric, whose aspects its tables
    have. Replies are kept in `judge.cache`, so that a resumed run asks nothing twice.

    Raises BadInput for another rubric or no judge at all, and as `make_judge_of`.
    """
    from judges.rubrics import make_rubric

    check_judge_of_run(config)
    return make_judge_of(config, engine, make_rubric("paper"), Path(config.cache or outputs / "cache" / "judge"))


def missing_judge(judge: JudgeConfig) -> list[str]:
    """Checkpoints that are not there; nothing is loaded or asked."""
    if judge.kind in ("vlm", "rrm"):
        try:
            checkpoint_of(judge)
        except ImageEditError as error:
            return [str(error)]
    return []


def make_client(config: JudgeConfig, engine: EngineConfig, cache: Path, budget: float | None = None) -> Client:
    """What answers questions, for judges and for everything else that asks a model. Raises as `make_judge_of`."""
    match config.kind:
        case "chat":
            return ChatClient(chat_settings(config, budget), ReplyCache(cache))
        case "vlm" | "rrm":
            return _local(config, engine, cache)
    raise BadInput(
        f"judge.kind={config.kind} asks no model; choose {' or '.join(KINDS[1:])} (kinds: {', '.join(KINDS)})"
    )


def sampling_of(config: JudgeConfig, sampling: Sampling) -> Sampling:
    """The protocol's own, with what the configuration sets."""
    given: Mapping[str, Any] = {k: getattr(config, k) for k in ("temperature", "top_p", "max_tokens")}
    return replace(sampling, seed=config.seed, **{k: v for k, v in given.items() if v is not None})


def chat_settings(config: JudgeConfig, budget: float | None) -> ChatSettings:
    if not config.model or not config.base_url:
        raise BadInput(f"judge={config.name} needs judge.model and judge.base_url (https://host/v1)")
    return ChatSettings(
        base_url=config.base_url,
        key_env=config.keys[0] if config.keys else "",
        model=config.model,
        structured=config.structured,
        extra=dict(config.extra),
        concurrency=config.concurrency,
        requests_per_minute=config.requests_per_minute,
        tokens_per_minute=config.tokens_per_minute,
        timeout_s=config.timeout_s,
        tries=config.tries,
        prices=Prices(config.price_in, config.price_out),
        budget=budget,
    )


def checkpoint_of(config: JudgeConfig) -> Path:
    """The folder of a local judge: named itself, or by its Hub id in the local hub cache."""
    from editors.checkpoint import find_folder

    if not config.model:
        if config.kind == "rrm":
            raise MissingFile(
                f"judge={config.name} needs the checkpoint of a reward model, and none is named; {config.source}"
            )
        raise BadInput(f"judge={config.name} needs judge.model: a folder, or a Hub id")
    try:
        folder = find_folder(config.model)
    except MissingFile as error:
        raise MissingFile(f"the model of judge={config.name} is missing: {config.source or error}") from None
    if not (folder / "config.json").is_file():
        how = f": {config.source}" if config.source else ""
        raise MissingFile(f"the model of judge={config.name} is missing: no config.json in {folder}{how}")
    return folder


def _local(config: JudgeConfig, engine: EngineConfig, cache: Path) -> Client:
    from experiments.build.rollouts import make_backend
    from judges.local import LocalClient, folder_identity

    if config.dtype not in ("float32", "bfloat16", "float16"):
        raise BadInput(f"judge.dtype={config.dtype} is unknown; choose float32, bfloat16 or float16")
    folder, device = checkpoint_of(config), device_of(engine)

    def load() -> Backend:
        from agents.backends.vlm import load_vlm

        rollouts = RolloutsConfig(
            name="auto", batch_size=config.concurrency, max_tokens=VLLM_TOKENS, cache_gib=VLLM_CACHE_GIB
        )
        return make_backend(rollouts, load_vlm(folder, config.dtype, device))

    identity = f"{folder_identity(folder)} {config.dtype} {device}"
    return LocalClient(load, config.model, identity, ReplyCache(cache), config.concurrency)


def make_judge(config: JudgeConfig, engine: EngineConfig, outputs: str) -> Judge:
    """The judge of a run's own arms and of outcome rewards. Raises BadInput for a judge that cannot score a run."""
    if config.kind != "sandbox":
        return judge_of_run(config, engine, Path(outputs))
    from judges.sandbox import SandboxJudge

    return SandboxJudge()


__all__ = [
    "KINDS",
    "checkpoint_of",
    "judge_of_run",
    "make_client",
    "make_judge",
    "make_judge_of",
    "missing_judge",
    "sampling_of",
]
