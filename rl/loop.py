"""A resumable loop over steps for trainings whose whole state fits one dictionary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from common.errors import BadData
from common.jsonl import Journal
from common.signals import StopWish
from rl.checkpoint import Checkpoints


class Stateful(Protocol):
    def state_dict(self) -> Any: ...
    def load_state_dict(self, state: Any) -> Any: ...


def run_steps(
    name: str,
    steps: int,
    step: Callable[[int], dict[str, float]],
    parts: Mapping[str, Stateful],
    identity: Mapping[str, Any],
    folder: str | Path,
    every: int,
    after: Callable[[int, dict[str, float]], None] = lambda done, metrics: None,
) -> int:
    """Call `step(k)` for k up to `steps`, from the last checkpoint on; returns the steps done by earlier processes.

    `parts` hold everything that changes; `identity` is what another training would differ in. Metrics go to
    `<folder>/<name>.jsonl`, checkpoints to `<folder>/checkpoints-<name>`. SIGINT and SIGTERM save the last whole step and
    raise KeyboardInterrupt. Raises BadData when the folder holds another training, SaveFailed when the disk refuses.
    """
    checkpoints, journal = Checkpoints(Path(folder) / f"checkpoints-{name}"), Journal(Path(folder) / f"{name}.jsonl")
    first = done = 0
    if (found := checkpoints.latest()) is not None:
        first, state = found
        done = first
        if state["identity"] != dict(identity):
            changed = sorted(k for k in {*identity, *state["identity"]} if state["identity"].get(k) != identity.get(k))
            raise BadData(
                f"{checkpoints.folder} holds another training (it differs in {', '.join(changed)}); "
                "choose another work folder"
            )
        for key, part in parts.items():
            part.load_state_dict(state["parts"][key])
    journal.cut_after(done)
    saved = done

    def save() -> None:
        nonlocal saved
        if saved < done:
            journal.flush()
            checkpoints.save(done, {"identity": dict(identity), "parts": {k: p.state_dict() for k, p in parts.items()}})
            saved = done

    with StopWish() as stop:
        while done < steps:
            metrics = step(done)
            done += 1
            journal.append([{"step": done, **metrics}])
            after(done, metrics)
            if done % every == 0 or done == steps:
                save()
            if stop.wanted:
                save()
                raise KeyboardInterrupt(f"{name} stopped after step {done}; the same command goes on from there")
    return first


__all__ = ["Stateful", "run_steps"]
