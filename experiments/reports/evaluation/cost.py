"""What an evaluation cost: time of editing and judging, calls, tokens and dollars."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from common.progress import clock
from experiments.evaluation.names import arm_name
from experiments.reports.html import table, without_empty


def cost_part(values: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, cost in values["cost"].items():
        for arm, seconds in cost["edit_seconds"].items():
            rows.append(
                ([escape(name), f"pictures, {escape(arm_name(arm))}", "–", "–", "–", "–", clock(seconds)], False)
            )
        for label, usage in cost["judges"].items():
            if any(usage.get(k) for k in ("calls", "cached", "input_tokens", "output_tokens", "dollars")):
                counts = [f"{usage.get(k, 0):,.0f}" for k in ("calls", "cached")]
                tokens = f"{usage.get('input_tokens', 0):,.0f} + {usage.get('output_tokens', 0):,.0f}"
                line = [escape(name), f"judge, {escape(label)}", *counts, tokens, f"${usage.get('dollars', 0.0):.2f}"]
                rows.append(([*line, clock(usage.get("seconds", 0.0))], False))
    head = ["benchmark", "for", "calls", "cached", "tokens in + out", "dollars", "time"]
    return ["<h2>Cost</h2>", table(*without_empty(head, rows, head[2:-1]))] if rows else []


__all__ = ["cost_part"]
