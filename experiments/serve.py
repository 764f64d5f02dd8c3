"""`python -m experiments.serve`: serve the team through OpenAI's interface for editing pictures.

It listens at once, loads its models, and edits together what waits. SIGTERM or Ctrl-C ends it when what was accepted is answered.
"""

from __future__ import annotations

from importlib.util import find_spec

from conf.schema import ServeConfig
from experiments.runs.cli import command

FREE_TEXT = ("run",)  # keys whose values are taken as they are
PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


def main(config: ServeConfig) -> None:
    from common.errors import MissingFile
    from experiments.preflight.command_limits import check_edit
    from experiments.preflight.editor import decomposer_bytes, missing_editor
    from experiments.preflight.machine import ThisMachine, missing_of, one_process
    from experiments.runs.libraries import quiet_libraries

    if lacking := [name for name in PACKAGES if find_spec(name) is None]:
        raise MissingFile(f"the server needs the package(s) {', '.join(lacking)}: make extra-apps")
    from experiments.serving.keys import Keys
    from experiments.serving.loading import chosen_arms, decomposers, rules_of
    from experiments.serving.running import serve

    names = chosen_arms(config)
    rules, keys, settings = rules_of(config, names), Keys.from_environment(config.key_env), decomposers(config, names)
    check_edit(config, config.batch_size)
    one_process(config.engine, "experiments.serve")
    beside = sum(decomposer_bytes(one, config.sequencer) for one in settings.values())
    memory = config.editor.missing_memory(ThisMachine(), beside, config.engine.device)
    if lacking := [*missing_of(*settings.values()), *missing_editor(config.editor), *memory]:
        raise MissingFile("; ".join(dict.fromkeys(lacking)))
    quiet_libraries(config.verbose)
    serve(config, names, rules, keys)


if __name__ == "__main__":
    command("serve", main, FREE_TEXT)
