"""What every command would do first, done once: the fork server of `processes.py` imports this module before it forks.

The heavy imports, and the configurations that most commands start from. A command's own start is measured by tests that start
a process of their own, such as those of `experiments.plan` and `experiments.doctor`.
"""

from __future__ import annotations

import importlib

import agents.backends.vlm  # noqa: F401  # first: it declares what torchvision beside a CPU build of torch lacks
from experiments.runs.composing import compose

MODULES = (
    "agents.backends.hf",
    "agents.loop_team",
    "datasets",
    "diffusers.guiders",
    "diffusers.pipelines.flux.pipeline_flux_kontext",
    "diffusers.pipelines.qwenimage.pipeline_qwenimage_edit",
    "editors.flow_editor",
    "editors.flux_kontext",
    "editors.loading",
    "editors.qwen",
    "editors.sandbox",
    "experiments.edit",
    "experiments.editing.main",
    "experiments.prepare",
    "experiments.training_data.preparation",
    "experiments.preflight.limits",
    "experiments.preflight.run",
    "experiments.preflight.unlike_sandbox",
    "experiments.report",
    "experiments.reports.run.page",
    "experiments.reports.run.terminal",
    "experiments.run",
    "experiments.runs.evaluating",
    "experiments.runs.libraries",
    "experiments.runs.surroundings",
    "experiments.runs.team",
    "experiments.runs.tracking",
    "experiments.runs.training",
    "experiments.sharing.doing",
    "hydra._internal.logging_config",
    "judges.sandbox",
    "matplotlib.pyplot",
)

for module in MODULES:
    importlib.import_module(module)
compose("run", [])
compose("edit", [], whole=False)
