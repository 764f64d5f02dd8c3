"""`torchrun -m experiments.runs.worker <run folder> <stage>`: one rank of a training stage, started by launch.py only.

The first rank says in the folder how it ended; a stop and a mistake that the caller can mend are no crash for torchrun.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from common.errors import ImageEditError
from common.files import locked, write_json
from experiments.runs.launch import ENDED, FIRST, PARENT, RESOLVED


def main(folder: Path, name: str) -> None:
    from agents.backends.vllm_shared import owned_engines
    from experiments.build.device import device_of, use_threads
    from experiments.runs.decoding import expectations
    from experiments.runs.identity import load_config
    from experiments.runs.libraries import quiet_libraries
    from experiments.runs.run import Run
    from experiments.runs.stages import TrainingStage, load_stages, selected
    from rl.engine.process_group import join, leave, ranks

    config = load_config(folder, RESOLVED)
    quiet_libraries(config.verbose, folder)
    use_threads(config.engine)
    first = ranks()[0] == 0
    how, message = "done", ""
    with locked(folder, FIRST) if first else nullcontext():
        join(device_of(config.engine), config.engine.timeout_s)
        (stage,) = selected(load_stages(config.job), [name])
        assert isinstance(stage, TrainingStage)
        try:
            with owned_engines(*expectations(config)):
                stage.train(Run(config, folder), progress=stop_when_alone)
        except KeyboardInterrupt as stop:
            how, message = "stopped", str(stop)
        except ImageEditError as error:
            how, message = "failed", str(error)
        if first or how == "failed":
            write_json(folder / ENDED, {"how": how, "message": message})
    if how == "failed":
        sys.exit(2)  # torchrun then ends the ranks that wait for this one
    leave()


def stop_when_alone(done: int, steps: int, metrics: Mapping[str, float]) -> None:
    """A launcher that was killed cannot end its workers: they save and stop by themselves. Those on other machines, which were
    started by hand, follow them."""
    try:
        os.kill(int(os.environ.get(PARENT, os.getpid())), 0)
    except ProcessLookupError:
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
