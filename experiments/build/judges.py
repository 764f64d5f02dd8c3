"""Who scores edited pictures, and what answers questions: one class for each way of asking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from common.contents import digest
from common.errors import BadInput, ImageEditError, MissingFile
from common.parts import CHECKPOINT, Content, Machine, Part, incidental
from common.ranges import number, seed_number
from conf.parts import build, part_field
from experiments.build.decomposers import unknown_family
from experiments.build.device import device_of
from experiments.build.rollouts import AutoRollouts, make_backend
from judges.base import Judge, Verdict
from judges.question import Client, JudgeSampling, Rubric, Usage

if TYPE_CHECKING:
    from PIL import Image

    from agents.backends.base import Backend
    from benchmarks.base import EditSample
    from judges.sessions.base import PlayedSession

VLLM_TOKENS, VLLM_CACHE_GIB = 16384, 8.0  # two large pictures, a rubric and its answer; keys and values of a batch


@dataclass(frozen=True)
class JudgeTools:
    """`rubric` is the judging protocol; replies are kept in `cache`; `budget` in dollars is for the calls of this object;
    with `retry` replies that made no verdict are asked for anew."""

    rubric: Callable[[], Rubric]
    cache: Path
    device: Callable[[], str]
    budget: float | None = None
    retry: bool = False


@dataclass
class SandboxJudge(Part):
    """Measures pixels against the gold edits; no model, no key."""

    name: str = "sandbox"
    # of verdicts; above it the run fails instead of reporting a biased mean
    max_invalid_share: float = number(0.05, 0, 1, defines=False)

    exact = True

    def build(self, tools: JudgeTools) -> Judge:
        from judges.sandbox import SandboxJudge

        return SandboxJudge()


@dataclass
class NoJudge(Part):
    """No verdicts: pictures, and metrics that need no judge."""

    name: str = "none"

    verdicts = False


@dataclass
class AskingJudge(Part):
    """A model that is asked by a rubric (the benchmark's own, or that of `rubric=`); `client` answers any question."""

    name: str
    model: str = ""  # pinned, dated name where the service has one; a folder or Hub id of a local model
    # of verdicts; above it the run fails instead of reporting a biased mean
    max_invalid_share: float = number(0.02, 0, 1, defines=False)
    repeats: int | None = number(None, 1, 1000)  # passes over all questions; null: the rubric's own
    temperature: float | None = number(None, 0, 100)  # null: the rubric's own
    top_p: float | None = number(None, 0, 1, above=True)
    max_tokens: int | None = number(None, 1, 1_000_000)
    seed: int = seed_number()
    rubric: Any = part_field()  # the judging protocol; null: the benchmark's own
    concurrency: int = number(16, 1, 10_000, defines=False)  # requests under way at a time
    cache: str = incidental("")  # folder; replies are kept there. Empty: ${paths.outputs}/cache/judge

    def sampling(self, own: JudgeSampling) -> JudgeSampling:
        """The protocol's own, with what the configuration sets."""
        given = {key: getattr(self, key) for key in ("temperature", "top_p", "max_tokens")}
        return replace(own, seed=self.seed, **{k: v for k, v in given.items() if v is not None})

    def share(self, processes: int) -> Any:
        return replace(self, concurrency=max(1, self.concurrency // processes))

    def client(self, tools: JudgeTools) -> Client:
        """Raises BadInput for settings that cannot work, MissingFile where a checkpoint is not there."""
        raise NotImplementedError

    def build(self, tools: JudgeTools) -> Judge:
        from judges.llm import LLMJudge

        rubric = tools.rubric()
        return LLMJudge(self.client(tools), rubric, self.sampling(rubric.sampling), self.repeats, tools.retry)


@dataclass
class ChatJudge(AskingJudge):
    """A service with the chat interface of OpenAI."""

    keys: list[str] = incidental(list)  # environment variables it cannot work without; the first one is sent
    key_help: str = incidental("see its provider")  # how to get one
    base_url: str = incidental("")  # address of the service, such as https://host/v1
    structured: bool = True  # send the JSON schema where the service offers structured output
    extra: dict[str, Any] = field(default_factory=dict)  # further fields of the request, as the service names them
    requests_per_minute: float = number(0.0, 0, 1e9, defines=False)  # 0: no limit of our own
    tokens_per_minute: float = number(0.0, 0, 1e12, defines=False)
    timeout_s: float = number(120.0, 0, 1e6, above=True, defines=False)  # of one whole exchange
    tries: int = number(6, 1, 1000, defines=False)  # per question, the first included
    price_in: float = number(0.0, 0, 1e6, defines=False)  # dollars per million tokens
    price_out: float = number(0.0, 0, 1e6, defines=False)

    def missing(self, machine: Machine) -> Iterator[str]:
        for key in self.keys:
            if not machine.has_key(key):
                yield f"key {key} in the environment, for judge={self.name}: {self.key_help}"

    def share(self, processes: int) -> Any:
        return replace(
            super().share(processes),
            requests_per_minute=self.requests_per_minute / processes,
            tokens_per_minute=self.tokens_per_minute / processes,
        )

    def client(self, tools: JudgeTools) -> Client:
        from judges.cache import ReplyCache
        from judges.chat import ChatClient, ChatSettings
        from judges.spending import Prices

        if not self.model or not self.base_url:
            raise BadInput(f"judge={self.name} needs judge.model and judge.base_url (https://host/v1)")
        settings = ChatSettings(
            base_url=self.base_url,
            key_env=self.keys[0] if self.keys else "",
            model=self.model,
            structured=self.structured,
            extra=dict(self.extra),
            concurrency=self.concurrency,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            timeout_s=self.timeout_s,
            tries=self.tries,
            prices=Prices(self.price_in, self.price_out),
            budget=tools.budget,
        )
        return ChatClient(settings, ReplyCache(tools.cache))


@dataclass
class LocalJudge(AskingJudge):
    """A vision-language model on this machine; it is loaded when something is not in the cache."""

    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"  # of the weights
    adapter: str = ""  # folder or Hub id of a LoRA, merged into the model when it is loaded
    protocol: str = incidental("")  # the rubric that the model was made for, asked by where judge.rubric names none
    # how a score comes about, where the rubric has several ways. logits: the expected value of its first token
    scoring: Literal["own", "generated", "logits"] = "own"
    source: str = incidental("")  # how to get the checkpoint, said when it is missing

    local_model = True

    def missing(self, machine: Machine) -> Iterator[str]:
        try:
            folder = self.checkpoint()
            self.adapter_folder()
        except ImageEditError as error:
            yield str(error)
        else:
            yield from unknown_family(folder)

    def contents(self) -> Iterator[Content]:
        for place in filter(None, (self.model, self.adapter)):
            yield Content(place, CHECKPOINT)

    def build(self, tools: JudgeTools) -> Judge:
        from judges.choices import LOGITS
        from judges.rubrics.base import scored_by

        rubric = tools.rubric() if self.scoring == "own" else scored_by(tools.rubric(), self.scoring)
        if getattr(rubric, "scoring", "") == LOGITS and (self.repeats or 1) > 1:
            raise BadInput(
                f"judge.repeats={self.repeats}: the probabilities of a token are the same in every pass; leave it out, or take "
                "generated scores (judge.scoring=generated) at a judge.temperature above 0"
            )
        return super().build(replace(tools, rubric=lambda: rubric))

    def checkpoint(self) -> Path:
        """The folder: named itself, or by its Hub id in the local hub cache."""
        from editors.checkpoint import find_folder

        if not self.model:
            raise BadInput(f"judge={self.name} needs judge.model: a folder, or a Hub id")
        try:
            folder = find_folder(self.model)
        except MissingFile as error:
            raise MissingFile(f"the model of judge={self.name} is missing: {self.source or error}") from None
        if not (folder / "config.json").is_file() and (folder / "adapter_config.json").is_file():
            raise BadInput(
                f"judge={self.name}: {folder} is a LoRA adapter and no whole model; give its base as judge.model and the adapter "
                f"as judge.adapter={folder}"
            )
        if not (folder / "config.json").is_file():
            how = f": {self.source}" if self.source else ""
            raise MissingFile(f"the model of judge={self.name} is missing: no config.json in {folder}{how}")
        return folder

    def adapter_folder(self) -> Path | None:
        """That of the LoRA, None without one. Raises MissingFile."""
        from agents.backends.adapter import check_adapter
        from editors.checkpoint import find_folder

        if not self.adapter:
            return None
        try:
            folder = find_folder(self.adapter)
            check_adapter(folder)
        except MissingFile as error:
            raise MissingFile(f"the LoRA of judge={self.name} is missing: {self.source or error}") from None
        return folder

    def client(self, tools: JudgeTools) -> Client:
        from judges.cache import ReplyCache
        from judges.local import LocalClient

        folder, adapter, device = self.checkpoint(), self.adapter_folder(), tools.device()

        def load() -> Backend:
            from agents.backends.adapter import merge_adapter
            from agents.backends.vlm import load_vlm

            vlm = load_vlm(folder, self.dtype, device)
            rollouts = AutoRollouts(batch_size=self.concurrency, max_tokens=VLLM_TOKENS, cache_gib=VLLM_CACHE_GIB)
            return make_backend(rollouts, vlm if adapter is None else merge_adapter(vlm, adapter))

        identity = f"{digest(folder, CHECKPOINT)} {self.dtype} {device}"
        if adapter is not None:
            identity += f" {digest(adapter, CHECKPOINT)}"
        return LocalClient(load, self.model, identity, ReplyCache(tools.cache), self.concurrency)


@dataclass
class RewardModelJudge(LocalJudge):
    """A reasoning reward model (arXiv 2604.27505), asked by its own protocol. avg@K: judge.repeats=K judge.temperature=1;
    judge.scoring=logits takes the score that it expects at the end of its trace in place of the one that it says."""

    protocol: str = incidental("rrm")
    prompt: str = "rrm"  # a file of judges/prompts, without .txt
    form: Literal["both", "think", "verify", "score"] = "both"  # what its traces consist of
    # the evaluation points: sandbox (by program, from the wanted edits), or a choice of judge= that writes them
    points: str = "sandbox"

    def checkpoint(self) -> Path:
        if not self.model:
            raise MissingFile(
                f"judge={self.name} needs the checkpoint of a reward model, and none is named; {self.source}"
            )
        return super().checkpoint()

    def contents(self) -> Iterator[Content]:
        from judges.prompt import PROMPTS
        from judges.reasoning.trace import Form
        from judges.rubrics.rrm import prompt_of

        yield from super().contents()
        yield Content(str(PROMPTS / f"{prompt_of(self.prompt, Form(self.form))}.txt"))

    def build(self, tools: JudgeTools) -> Judge:
        from judges.llm import LLMJudge
        from judges.rubrics.base import scored_by

        rubric = self._rubric(self._points(tools))
        if self.scoring != "own":
            rubric = scored_by(rubric, self.scoring)
        return LLMJudge(self.client(tools), rubric, self.sampling(rubric.sampling), self.repeats, tools.retry)

    def own_protocol(self) -> Rubric:
        """The rubric without who writes its points: for its name, version and sampling."""
        return self._rubric(lambda sample: ())

    def _rubric(self, points: Any) -> Any:
        from judges.reasoning.trace import Form
        from judges.rubrics.rrm import RRMRubric

        return RRMRubric(points, self.prompt, Form(self.form), self.max_tokens or 2048)

    def _points(self, tools: JudgeTools) -> Any:
        from judges.reasoning.sandbox import sandbox_points
        from judges.reasoning.written import WrittenPoints

        if self.points == "sandbox":
            return sandbox_points
        from experiments.runs.composing import compose, typed

        writer = typed(compose("evaluate", ["out=none", f"judge={self.points}"])).judge
        return WrittenPoints(make_client_of(writer, tools))


@dataclass(frozen=True)
class PlainJudge:
    """A user's judge that has only `judge(before, after, sample)`: asked one at a time, for nothing."""

    inner: Any
    concurrency: int = 1
    usage: Usage = Usage()

    def judge(self, before: Image.Image, after: Image.Image, sample: EditSample, /) -> Verdict:
        return self.inner.judge(before, after, sample)


def make_judge_of(judge: Any, tools: JudgeTools) -> Judge:
    """Raises BadInput for settings that cannot work, MissingFile where a checkpoint is not there."""
    built = build(judge, tools)
    if not callable(getattr(built, "judge", None)):
        raise BadInput(f"judge={judge.name} gives no verdicts: its class has no method judge(before, after, sample)")
    return built if hasattr(built, "concurrency") and hasattr(built, "usage") else PlainJudge(built)


@dataclass(frozen=True)
class PlainSessionJudge:
    """A judge that has only `judge_sessions(played)`: for nothing."""

    inner: Any
    usage: Usage = Usage()

    def judge_sessions(self, played: Sequence[PlayedSession]) -> list[list[Verdict]]:
        return self.inner.judge_sessions(played)  # type: ignore[no-any-return]


def make_session_judge_of(judge: Any, tools: JudgeTools) -> Any:
    """A judge of whole sessions that says what it used. Raises as `make_judge_of`."""
    built = build(judge, tools)
    if not callable(getattr(built, "judge_sessions", None)):
        raise BadInput(f"judge={judge.name} judges no sessions: its class has no method judge_sessions(played)")
    return built if hasattr(built, "usage") else PlainSessionJudge(built)


def judge_tools(
    judge: Any, engine: Any, outputs: str | Path, default: str, budget: float | None = None, retry: bool = False
) -> JudgeTools:
    """`default` is the name of the rubric where the judge names none."""
    return JudgeTools(
        lambda: rubric_of(judge, default), cache_of(judge, outputs), lambda: device_of(engine), budget, retry
    )


def cache_of(judge: Any, outputs: str | Path) -> Path:
    """Where the replies of this judge are kept."""
    return Path(getattr(judge, "cache", "") or Path(outputs) / "cache" / "judge")


def rubric_of(judge: Any, default: str) -> Rubric:
    """The judge's own rubric, or that of this name. Raises BadInput for an unknown name."""
    from judges.rubrics import make_rubric

    if callable(own_protocol := getattr(judge, "own_protocol", None)):
        return own_protocol()  # type: ignore[no-any-return]
    own = getattr(judge, "rubric", None)
    if own is None or isinstance(own, str):
        return make_rubric(own or getattr(judge, "protocol", "") or default)
    return build(own)


def own_rubric(judge: Any) -> str:
    """The name of the rubric that the judge brings itself; "" where it asks by that of the benchmark or command."""
    own = getattr(judge, "rubric", None)
    if own is None:
        return getattr(judge, "protocol", "")
    return own if isinstance(own, str) else own.name


def takes_rubric(judge: Any) -> bool:
    """Whether it asks by a rubric; others have criteria of their own."""
    return hasattr(judge, "rubric")


def check_judge_of_run(judge: Any) -> None:
    """BadInput for a judge that cannot score a run's own arms, or an outcome reward; known before anything is trained."""
    what = "" if judge.verdicts and not judge.sessions else f"judge={judge.name}"
    if own_rubric(judge) not in ("", "paper"):
        what = f"judge={judge.name}" if judge.rubric is None else f"judge.rubric={own_rubric(judge)}"
    if what:
        raise BadInput(
            f"{what} cannot score a run, whose tables have the aspects of the rubric paper; `python -m experiments.evaluate "
            "run=<folder> arms=all` takes any judge and rubric"
        )


def make_judge(judge: Any, engine: Any, outputs: str | Path) -> Judge:
    """The judge of a run's own arms, or of an outcome reward: by the paper's rubric, whose aspects its tables have. Replies
    are kept, so that a resumed run asks nothing twice. Raises as `make_judge_of`, BadInput for no judge at all."""
    check_judge_of_run(judge)
    return make_judge_of(judge, judge_tools(judge, engine, outputs, "paper"))


def make_client(judge: Any, engine: Any, cache: Path, budget: float | None = None) -> Client:
    """What answers questions, for everything that asks a model. Raises as `make_judge_of`."""
    return make_client_of(judge, JudgeTools(_no_rubric, cache, lambda: device_of(engine), budget))


def make_client_of(judge: Any, tools: JudgeTools) -> Client:
    client = getattr(judge, "client", None)
    if client is None:
        raise BadInput(f"judge={judge.name} asks no model; choose one that does, for example judge=gpt4o or judge=vlm")
    return client(tools)  # type: ignore[no-any-return]


def _no_rubric() -> Rubric:
    raise BadInput("a client has no rubric")


__all__ = [
    "AskingJudge",
    "ChatJudge",
    "JudgeTools",
    "LocalJudge",
    "NoJudge",
    "RewardModelJudge",
    "SandboxJudge",
    "cache_of",
    "check_judge_of_run",
    "judge_tools",
    "make_client",
    "make_judge",
    "make_judge_of",
    "make_session_judge_of",
    "own_rubric",
    "rubric_of",
    "takes_rubric",
]
