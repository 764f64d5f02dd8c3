"""What a closed loop is trained with: its editor and its judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from common.errors import BadInput
from experiments.build.editors import make_editor
from experiments.build.judges import make_judge

if TYPE_CHECKING:
    from agents.backends.base import ModelRequest
    from agents.loop import LoopState
    from agents.sequencer import Sequencer
    from benchmarks.base import EditSample
    from conf.schema import RunConfig
    from rl.loop_rollouts import LoopTools


def loop_tools(config: RunConfig, sequencer: Sequencer) -> LoopTools:
    """Calls are seeded by (the run's seed, the loop's id, number of the call)."""
    from agents.decomposer import build_request
    from agents.loop_team import play_round
    from agents.prompt_files import load_prompt
    from rewards.steps import PictureScores
    from rl.loop_rollouts import LoopTools

    editor = make_editor(config.editor, config.engine, reward_path=True)
    judge = make_judge(config.judge, config.engine, config.paths.outputs)
    template, limit = load_prompt(config.decomposer.prompt), config.decomposer.max_request_chars

    def to_request(sample: EditSample, steps: Sequence[str]) -> ModelRequest:
        return build_request(template, sample, limit, steps)

    def play(states: Sequence[LoopState], texts: Sequence[str], ids: Sequence[str]) -> list[LoopState]:
        return play_round(states, texts, sequencer, editor, config.seed, ids).states

    execution = config.execution
    return LoopTools(to_request, play, PictureScores(judge), execution.max_calls, execution.call_cost)


def no_reward(samples: Sequence[Any], texts: Sequence[str], seeds: Sequence[int]) -> list[Any]:
    """What an algorithm gets that scores whole answers of a closed loop. Raises BadInput."""
    raise BadInput(
        "execution=loop scores every answer by the picture that it leads to (TextTools.loop), and this algorithm asks for a reward "
        "of texts; train it with execution=single or multi"
    )


def check_loop(config: RunConfig) -> None:
    """Settings that a closed loop cannot be trained with. Raises BadInput."""
    if not config.execution.looped:
        return
    if config.benchmark.text_only:
        raise BadInput(
            f"execution=loop looks at pictures, and benchmark={config.benchmark.name} is text alone; choose one with pictures"
        )
    if config.reward.name != "outcome":
        raise BadInput(
            f"execution=loop is trained by what the judge says of each picture, so reward={config.reward.name} would not be used; "
            "set reward=outcome"
        )
    if not config.judge.verdicts:
        raise BadInput(
            f"execution=loop is trained by a judge, and judge={config.judge.name} gives no verdicts; choose one"
        )


__all__ = ["check_loop", "loop_tools", "no_reward"]
