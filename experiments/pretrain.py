"""`python -m experiments.pretrain`: train a tiny model from nothing.

Without further words it is the decomposer; with `editor=qwen` or `editor=flux_kontext` that editor, with `rrm=tiny` the start of
the reward model, and with `intent=tiny` that of the intent writer. The recipes are in experiments/tiny, and assets/tiny/ holds
their results."""

from __future__ import annotations

from conf.schema import PretrainConfig
from experiments.build.device import device_of, use_threads
from experiments.preflight.command_limits import check_pretraining
from experiments.preflight.machine import one_process
from experiments.runs.cli import command
from experiments.runs.libraries import libraries_in_log


def main(config: PretrainConfig) -> None:
    one_process(config.engine, "experiments.pretrain")
    check_pretraining(config)
    use_threads(config.engine)
    with libraries_in_log(config.work_folder, config.verbose):
        train(config)


def train(config: PretrainConfig) -> None:
    """The recipe of the part that is named."""
    if config.editor is not None:
        from experiments.tiny.editor import pretrain_editor  # the recipes' libraries take seconds to import

        return pretrain_editor(config, device_of(config.engine))
    if config.rrm is not None:
        from experiments.tiny.seeing import pretrain_reward_model

        return pretrain_reward_model(config)
    if config.intent is not None:
        from experiments.tiny.intents import pretrain_intents

        return pretrain_intents(config)
    from experiments.tiny.decomposer import pretrain_decomposer

    pretrain_decomposer(config)


if __name__ == "__main__":
    command("pretrain", main)
