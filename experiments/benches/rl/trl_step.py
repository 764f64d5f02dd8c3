"""One side of the step bench: whole GRPO steps of TRL's `GRPOTrainer`, run as a script by the Python of an environment of
its own. Nothing of this project may be imported here; what both sides share, `our_step.py` takes from here.

Both sides are asked alike: a line on stdin asks for one step, one JSON object per step comes back, and the end of stdin
ends the process. The side that is not asked sleeps, so the two never measure at the same time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def reward(text: str) -> float:
    """The share of vowels in an answer: any answer has one, and the answers of a group hardly ever agree."""
    return sum(c in "aeiou" for c in text) / max(1, len(text))


def peak_memory(reset: bool = False) -> float | None:
    """The most memory (MiB) that this process held since the last reset; None where the kernel does not say."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None


class Line:
    """The child's end of the conversation. What libraries print goes to stderr."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self._start, self._cpu = 0.0, 0.0

    def tell(self, **message: Any) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def wait(self) -> bool:
        """Until a step is asked for; False when there will be none."""
        asked = bool(sys.stdin.readline())
        peak_memory(reset=True)
        self._start, self._cpu = time.perf_counter(), time.process_time()
        return asked

    def done(self, **message: Any) -> None:
        """Report the step that `wait` began."""
        seconds, cpu = time.perf_counter() - self._start, time.process_time() - self._cpu
        self.tell(**{"seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak_memory()} | message)


Stepped = Callable[[dict[str, float], list[list[int]], list[float]], bool]  # (log row, answers, rewards) -> go on?


def main(settings: dict[str, Any]) -> None:
    line = Line()
    import torch

    torch.set_num_threads(settings["threads"])
    torch.set_flush_denormal(True)  # as the other side does: subnormal numbers are slow on many CPUs
    options = settings["candidates"]
    tried = [candidate(settings, o) for o in options] if len(options) > 1 else [{"options": options[0], "seconds": 0.0}]
    usable = [t for t in tried if t["seconds"] is not None]
    if not usable:
        line.tell(error="; ".join(f"{t['options']}: {t['error']}" for t in tried))
        return
    best = min(usable, key=lambda t: t["seconds"])["options"]
    import accelerate
    import transformers
    import trl

    versions = {m.__name__: m.__version__ for m in (trl, transformers, accelerate, torch)}
    line.tell(versions=versions, options=best, tried=tried)
    tokens_before = 0.0

    def stepped(row: dict[str, float], answers: list[list[int]], rewards: list[float]) -> bool:
        nonlocal tokens_before
        answer_tokens = sum(map(len, answers))
        first = {"answers": answers, "rewards": rewards, "grad_norm": row["grad_norm"], "entropy": row["entropy"]}
        line.done(
            completions=len(answers),
            answer_tokens=answer_tokens,
            prompt_tokens=row["num_tokens"] - tokens_before - answer_tokens,
            reward=sum(rewards) / len(rewards),
            **({} if tokens_before else {"first": first}),
        )
        tokens_before = row["num_tokens"]
        return line.wait()

    train(settings, best, line.wait, stepped)


def candidate(settings: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The time of the second of two steps under these options; None and why for options that TRL refuses."""
    times = [time.perf_counter()]

    def stepped(*_: Any) -> bool:
        times.append(time.perf_counter())
        return len(times) < 3

    try:
        train(settings, options, lambda: True, stepped)
    except Exception as error:  # whatever another project's code raises for options that it does not like
        return {"options": options, "seconds": None, "error": f"{type(error).__name__}: {error}"[:300]}
    return {"options": options, "seconds": times[-1] - times[-2], "error": None}


def train(settings: dict[str, Any], options: dict[str, Any], begin: Callable[[], bool], stepped: Stepped) -> None:
    """Train from the start weights until `stepped` says no; `begin` is asked first."""
    from datasets import Dataset, Image
    from transformers import Qwen2_5_VLForConditionalGeneration, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(settings["model"], dtype="float32")
    model.model.visual.requires_grad_(not settings["frozen_vision"])
    rows = [json.loads(text) for text in Path(settings["rows"]).read_text().splitlines()]
    data = [{"prompt": [{"role": "user", "content": r["text"]}], "image": r["image"]} for r in rows]
    total = settings["prompts"] * settings["group"]
    batch = next(n for n in range(min(options["batch"], total), 0, -1) if total % n == 0)
    seen: list[Any] = [[], []]

    def vowels(completions: Any, completion_ids: list[list[int]], **_: Any) -> list[float]:
        seen[:] = completion_ids, [reward(c[0]["content"]) for c in completions]
        return seen[1]

    class Asked(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = not begin()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:  # a step's row, the last thing of the step; one more comes when training ends
                control.should_training_stop = not stepped(logs, *seen)

    config = GRPOConfig(
        output_dir=settings["scratch"],
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=total // batch,
        num_generations=settings["group"],
        max_completion_length=settings["answer_tokens"],
        generation_kwargs={"suppress_tokens": settings["banned"]},
        cache_implementation=options["cache"],
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        beta=0.0,  # no reference model
        num_iterations=1,
        shuffle_dataset=False,
        learning_rate=settings["lr"],
        lr_scheduler_type="constant",
        weight_decay=0.0,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        max_steps=10**6,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=0,
    )
    dataset = Dataset.from_list(data).cast_column("image", Image())
    tools = processor(settings["model"])
    GRPOTrainer(model, vowels, config, dataset, processing_class=tools, callbacks=[Asked()]).train()


def processor(path: str) -> Any:
    """The checkpoint's tokenizer and image processor as one. The usual class insists on a video processor, which needs
    torchvision; no prompt here has a video, so an empty one takes its place."""
    from transformers import AutoTokenizer, Qwen2_5_VLProcessor, Qwen2VLImageProcessorPil

    class NoVideos:
        model_input_names: tuple[str, ...] = ()
        merge_size = 2

    class ImageProcessor(Qwen2_5_VLProcessor):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return NoVideos
            return super().check_argument_for_proper_class(argument_name, argument)

    tokenizer = AutoTokenizer.from_pretrained(path, padding_side="left")
    images = Qwen2VLImageProcessorPil.from_pretrained(path)
    return ImageProcessor(images, tokenizer, NoVideos(), chat_template=tokenizer.chat_template)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
