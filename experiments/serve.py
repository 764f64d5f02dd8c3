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
    from experiments.preflight.own_pictures import check_machine, check_settings
    from experiments.runs.libraries import libraries_in_log
    from experiments.runs.trained import before_rl

    if lacking := [name for name in PACKAGES if find_spec(name) is None]:
        raise MissingFile(f"the server needs the package(s) {', '.join(lacking)}: make extra-apps")
    from experiments.serving.keys import Keys
    from experiments.serving.loading import chosen_arms, decomposers, rules_of
    from experiments.serving.running import serve

    names = chosen_arms(config)
    rules, keys, settings = rules_of(config, names), Keys.from_environment(config.key_env), decomposers(config, names)
    check_settings(config, "experiments.serve", config.batch_size)
    check_machine(config, list(settings.values()), before_rl(config))
    with libraries_in_log(config.paths.outputs, config.verbose):
        serve(config, names, rules, keys)


if __name__ == "__main__":
    command("serve", main, FREE_TEXT)
