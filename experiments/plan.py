"""`python -m experiments.plan scale=paper editor=qwen`: work out what editing and training need in
memory, compute and time.

With `experiment=` the phases of that job are listed, too. Everything is computed from the models' configurations: no weights, no
network, no GPU.
"""

from __future__ import annotations

from conf.schema import PlanConfig
from experiments.runs.cli import command

FREE_TEXT = ("out",)  # keys whose values are taken as they are


def main(config: PlanConfig) -> None:
    from common.files import write_json
    from common.progress import console
    from experiments.preflight.estimates import compute
    from experiments.reports.plan import print_plan
    from experiments.runs.libraries import quiet_libraries
    from experiments.runs.stages import load_stages

    if console.is_terminal:
        console.print("[dim]loading diffusers …[/]")  # seconds in which nothing else can be seen
    quiet_libraries(config.verbose)
    plan = compute(config, load_stages(config.job))
    print_plan(plan)
    if config.out:
        console.print(f"numbers: {write_json(config.out, plan)}", markup=False)


if __name__ == "__main__":
    command("plan", main, FREE_TEXT)
