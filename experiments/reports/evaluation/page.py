"""report.html of an evaluation: the paper's table, what lies behind each of its columns, and items to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from common.files import write_text
from common.progress import clock
from common.statistics import Cell, Mean
from experiments.evaluation.load import Section
from experiments.evaluation.names import arm_name
from experiments.reports.evaluation.gallery import gallery
from experiments.reports.evaluation.tables import AVERAGE, cell_of, shown, state
from experiments.reports.html import card, page, table
from experiments.reports.looks import ARM_COLOURS
from experiments.reports.plots import COLOURS, whiskers
from judges.metrics.names import TABLE
from judges.metrics.summary import DEGREES, PIXELS, ZOOM

EXPORTS = ("table.csv", "table.md", "table.tex", "results.json")


def write_page(out: Path, values: Mapping[str, Any], sections: Sequence[Section], count: int) -> Path:
    """One file: pictures are inside it, smaller where they are large, and lead to the whole ones beside it."""
    title = f"Evaluation: {out.name}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="lead">{escape(headline(values))}</p>',
        partial_note(values),
        f'<div class="cards even">{"".join(cards(values))}</div>',
        *main_table(values),
        *(part for section in sections for part in benchmark_part(values, section, count)),
        *cost_part(values),
    ]
    return write_text(out / "report.html", page(title, body))


def headline(values: Mapping[str, Any]) -> str:
    names = ", ".join(values["benchmarks"]) or "no benchmark"
    judges = sorted({c["title"] for c in values["table"]["columns"]})
    run = "" if str(values.get("run", "none")).lower() in ("", "none", "null") else f", run {values['run']}"
    return (
        f"Benchmarks: {names}. Judges: {', '.join(judges) or 'none'}. Last command: editor {values.get('editor', '')}, "
        f"{values.get('execution', '')} execution, scale {values.get('scale', '')}{run}. Intervals are 95 % bootstrap over items "
        "(over sessions, where there are several turns); invalid verdicts are left out of means and counted."
    )


def partial_note(values: Mapping[str, Any]) -> str:
    if not values["partial"]:
        return ""
    return '<p class="warning"><b>Partial.</b> Not everything is judged yet: cells that say so are no results.</p>'


def cards(values: Mapping[str, Any]) -> list[str]:
    out = []
    for row in values["table"]["rows"]:
        if row[AVERAGE] is not None:
            out.append(card(f"{row[AVERAGE]:.2f}", f"average, {row['name']}"))
    items = sum(b["items"] for b in values["benchmarks"].values())
    out.append(card(f"{items:,}", "items" + (f" of {n} benchmarks" if (n := len(values["benchmarks"])) > 1 else "")))
    dollars = sum(j.get("dollars", 0.0) for b in values["cost"].values() for j in b["judges"].values())
    return [*out, *([card(f"${dollars:.2f}", "spent on judges")] if dollars else [])]


def main_table(values: Mapping[str, Any]) -> list[str]:
    found = values["table"]
    if not found["columns"]:
        return []
    spans: list[tuple[str, int]] = []
    for column in found["columns"]:
        name = f"{column['benchmark']} · {column['mean']} mean"
        spans = [*spans[:-1], (name, spans[-1][1] + 1)] if spans and spans[-1][0] == name else [*spans, (name, 1)]
    top = "".join(f'<th class="group" colspan="{n}">{escape(name)}</th>' for name, n in spans)
    heads = "".join(f"<th>{escape(c['title'])}</th>" for c in found["columns"])
    best = [max((r["cells"][i]["value"] for r in found["rows"] if state(r["cells"][i]) == "complete"), default=None)
            for i in range(len(found["columns"]))]  # fmt: skip
    top_mean = max((r[AVERAGE] for r in found["rows"] if r[AVERAGE] is not None), default=None)
    lines = []
    for row in found["rows"]:
        cells = "".join(
            f"<td>{big(c, state(c) == 'complete' and c['value'] == top)}</td>"
            for c, top in zip(row["cells"], best, strict=True)
        )
        mean = "–" if row[AVERAGE] is None else f"{row[AVERAGE]:.2f}"
        mean = f"<b>{mean}</b>" if row[AVERAGE] is not None and row[AVERAGE] == top_mean else mean
        lines.append(f"<tr><td>{escape(row['name'])}</td>{cells}<td>{mean}</td></tr>")
    links = ", ".join(f'<a href="{name}">{name}</a>' for name in EXPORTS)
    return [
        "<h2>Results</h2>",
        '<p class="muted">Overall, 0–10. The average is over all columns, and only there where each of them is complete.</p>',
        f'<div class="wide"><table><thead><tr><th></th>{top}<th></th></tr><tr><th>arm</th>{heads}<th>average</th></tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>",
        f'<p class="muted">The same table as {links}.</p>',
        *plot(values),
    ]


def plot(values: Mapping[str, Any]) -> list[str]:
    found = values["table"]
    rows = found["rows"]
    colours = {r["arm"]: colour_of(r["arm"], i) for i, r in enumerate(rows)}
    points = []
    for i, column in enumerate(found["columns"]):
        marks = [
            (r["name"], mean_of(r["cells"][i]), colours[r["arm"]]) for r in rows if state(r["cells"][i]) == "complete"
        ]
        if marks:
            points.append((f"{column['benchmark']}\n{column['title']}", marks))
    if not points:
        return []
    drawn = whiskers(points, "Overall by benchmark and judge (0–10)", figsize=(9.6, 3.0))
    return [f'<figure class="wide">{drawn}</figure>']


def colour_of(arm: str, number: int) -> str:
    return ARM_COLOURS.get(arm, COLOURS[number % len(COLOURS)])


def mean_of(found: Mapping[str, Any]) -> Mean:
    value = found["value"]
    low, high = (value if found[k] is None else found[k] for k in ("low", "high"))
    return Mean(value, low, high, found["n"])


def big(found: Mapping[str, Any], best: bool = False) -> str:
    """The value, its interval under it, and what a reader must know besides."""
    text = shown(found)
    value, bracket, rest = text.partition(" [")
    value = f"<b>{escape(value)}</b>" if best else escape(value)
    notes = [f"n {found['n']}"] if state(found) == "complete" else []
    small = (f"[{escape(rest)}" if bracket else "") + (f"<br>{', '.join(notes)}" if notes else "")
    star = f' title="{escape(found["note"])}"' if found.get("note") else ""
    return f"<span{star}>{value}</span><br><small>{small}</small>" if small else value


def interval(found: Mapping[str, Any], digits: int = 2, sign: bool = False) -> str:
    """The counts are said where the pointer rests on it, as they differ from cell to cell; invalid verdicts are also shown."""
    value, bracket, rest = cell_of(found).text(digits, sign).partition(" [")
    text = escape(value) + (f" <small>[{escape(rest)}</small>" if bracket else "")
    text += f" <small>({found['invalid']} invalid)</small>" if found["invalid"] and not found.get("partial") else ""
    return f'<span title="{escape(cell_of(found).counts())}">{text}</span>'


def benchmark_part(values: Mapping[str, Any], section: Section, count: int) -> list[str]:
    about = values["benchmarks"][section.name]
    title = about["card"]["title"] or section.name
    several = about["items"] != about["units"]
    size = f"{about['units']} sessions, {about['items']} turns" if several else counted(about["units"], "item")
    out = [
        f"<h2>{escape(title)} <small>{escape(section.name)}</small></h2>",
        f'<p class="muted">{escape(sentence(size + (f": {how}" if (how := about["card"]["sampling"]) else "")))}</p>',
    ]
    for label, column in values["judges"][section.name].items():
        out += column_part(label, column)
    out += metrics_part(values["metrics"].get(section.name, {}))
    out += [card_part(about["card"])]
    return [*out, *gallery(section, count)]


def column_part(label: str, column: Mapping[str, Any]) -> list[str]:
    arms = column["arms"]
    names = column["aspects"]
    rows = [
        (
            [
                escape(arm_name(arm)),
                *(interval(found["aspects"][n]) for n in names),
                str(found["n"]),
                str(found["invalid"]),
            ],
            False,
        )
        for arm, found in arms.items()
    ]
    head = ["arm", *(aspect_name(n) for n in names), "judged", "invalid"]
    first = next(iter(arms.values()))
    both = ""
    if first["by_kind"]:
        text = [
            f"{arm_name(a)}: micro {cell_of(f['micro']).text()}, macro {cell_of(f['macro']).text()}"
            for a, f in arms.items()
        ]
        notes = sorted({f[m]["note"] for f in arms.values() for m in ("micro", "macro") if f[m].get("note")})
        text += [f"* {note}" for note in notes]
        both = f'<p class="muted">Overall as micro mean (over items) and macro mean (over kinds): {escape("; ".join(text))}.</p>'
    judge = column["judge"]
    settings = ("model", "rubric", "prompts", "repeats", "temperature", "max_tokens", "seed")
    said = ", ".join(f"{k} {judge[k]}" for k in settings if judge.get(k) not in ("", None))
    said = "compares pixels with the exact answers; asks no model" if judge.get("kind") == "sandbox" else said
    out = [
        f"<h3>Judge: {escape(column['title'])}</h3>",
        f'<p class="muted">{escape(sentence(said))}</p>' if said else "",
        bad_note([arm_name(a) for a, f in arms.items() if f["too_many_invalid"]]),
        f'<div class="wide">{table(head, rows)}</div>',
        both,
    ]
    if column["differences"]:
        lines = []
        for d in column["differences"]:
            name = f"{escape(arm_name(d['second']))} − {escape(arm_name(d['first']))}"
            if state(d) == "too many invalid":
                lines.append(([name, "– (too many invalid verdicts)", "–", "–"], False))
                continue
            lines.append(([name, interval(d, sign=True), p_text(d["p"]), p_text(d["p_holm"])], (d["low"] or 0) > 0))
        compared = table(["paired difference in overall", "mean", "p", "p, Holm"], lines, narrow=True)
        out.append(f'<div class="wide">{compared}</div>')
        tests = sorted({d["test"] for d in column["differences"]} - {""})
        out.append(
            f'<p class="muted">{escape(sentence("; ".join(tests), ""))}; Holm’s correction over the differences of this table.</p>'
        )
    return out + split_parts(names, arms, first["mean"])


def bad_note(arms: Sequence[str]) -> str:
    if not arms:
        return ""
    return (
        f'<p class="warning">{escape(", ".join(arms))}: more verdicts are invalid than judge.max_invalid_share allows. Means over '
        "the others are biased and no results.</p>"
    )


def p_text(p: float | None) -> str:
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def sentence(text: str, end: str = ".") -> str:
    """With a capital and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + end if text else ""


def aspect_name(name: str) -> str:
    """Abbreviations of two letters, as the protocols write them, in capitals."""
    return name.upper() if len(name) == 2 else name.replace("_", " ")


def counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def split_parts(names: Sequence[str], arms: Mapping[str, Any], own: str) -> list[str]:
    """Every score by kind, turn and part."""
    out: list[str] = []
    for key, what in (("by_kind", "kind"), ("by_turn", "turn"), ("subsets", "part")):
        if key == "subsets" and all(found["subsets"] == found["by_kind"] for found in arms.values()):
            continue  # the same table again
        mean = f" ({own} mean)" if what == "part" else ""
        out += split_part(f"Overall by {what}{mean}", {arm: found[key] for arm, found in arms.items()}, what)
        if key == "subsets":
            micro = {arm: found["subsets_micro"] for arm, found in arms.items()}
            out += split_part("Overall by part (micro mean)", micro, what, False)
        for aspect in names[1:]:
            scores = {arm: found["aspects_by"][aspect][key] for arm, found in arms.items()}
            out += split_part(f"{aspect_name(aspect)} by {what}{mean}", scores, what, False)
    return out


def split_part(title: str, arms: Mapping[str, Mapping[str, Any]], what: str, shown: bool = True) -> list[str]:
    """One score of every arm by kinds, turns or parts; folded up where there are many, or it is not the first to look at."""
    groups = list(dict.fromkeys(g for found in arms.values() for g in found))
    if not groups:
        return []
    rows = []
    for group in groups:
        cells = [found.get(group, Cell.empty().as_dict()) for found in arms.values()]
        shown_name = str(int(group) + 1) if what == "turn" else group.replace("_", " ")
        rows.append(
            ([escape(shown_name) or "–", str(max(c["n"] for c in cells)), *(interval(c) for c in cells)], False)
        )
    head = [what, "n", *(arm_name(a) for a in arms)]
    starred = sorted({c["note"] for found in arms.values() for c in found.values() if c.get("note")})
    notes = f'<p class="muted">{escape("; ".join(f"* {note}" for note in starred))}</p>' if starred else ""
    return [f'<details{" open" if shown and len(groups) <= 12 else ""}><summary>{escape(title)}</summary>'
            f'<div class="wide">{table(head, rows)}</div>{notes}</details>']  # fmt: skip


def metrics_part(found: Mapping[str, Any]) -> list[str]:
    """Without a judge; drift is how far the whole picture moved."""
    arms = found.get("arms", {})
    names = list(dict.fromkeys(n for cells in arms.values() for n in cells))
    if not names and not found.get("drift"):
        return []
    rows, without = [], []
    for name in names:
        cells = [c.get(name, Cell.empty().as_dict()) for c in arms.values()]
        if any(c["n"] for c in cells):
            rows.append(([escape(name), str(max(c["n"] for c in cells)), *(interval(c, 3) for c in cells)], False))
        else:
            without.append(name)
    notes = [f"{found['mean']} mean; an edit without a picture is invalid"] if rows else []
    notes += [metric_notes([n for n in names if n not in without])]
    notes += [f"No item has what these need, a target or a mask: {', '.join(without)}"] if without else []
    return [
        "<h3>Metrics without a judge</h3>",
        f'<div class="wide">{table(["metric", "n", *(arm_name(a) for a in arms)], rows)}</div>' if rows else "",
        f'<p class="muted">{escape(". ".join(filter(None, notes)))}.</p>',
        *drift_part(found.get("drift", {})),
    ]


def drift_part(drift: Mapping[str, Any]) -> list[str]:
    def share(x: float | None) -> str:
        return "–" if x is None else f"{100 * x:.0f} %"

    def pixels(x: float | None) -> str:
        return "–" if x is None else f"{x:.2f}"

    rows = [
        (
            [
                escape(arm_name(arm)),
                f"{d['measured']} of {d['n']}",
                *(share(d[k]) for k in ("drifted", "shifted", "zoomed", "turned")),
                *(pixels(d[k]) for k in ("median_px", "largest_px")),
            ],
            False,
        )
        for arm, d in drift.items()
    ]
    head = ["drift of the whole picture", "measured", "any", "shifted", "zoomed", "turned", "median px", "largest px"]
    if not rows:
        return []
    if not any(d["measured"] for d in drift.values()):
        return [
            '<p class="muted">Drift of the whole picture could be told for no edit: too much of each picture changed.</p>'
        ]
    note = (
        "How far an edit moved the whole picture, in pixels of the source; measured where enough of it stayed the same. Shares "
        f"are of those: shifted by more than {PIXELS:g} px, zoomed by more than {100 * ZOOM:g} %, turned by more than {DEGREES:g}°."
    )
    return [f'<div class="wide">{table(head, rows)}</div>', f'<p class="muted">{escape(note)}</p>']


def metric_notes(names: Sequence[str]) -> str:
    """What is compared with what."""
    to = {"source": " (against the given picture)", "reference": " (against the target)", "captions": ""}
    parts = [(n, TABLE[b], to[at or TABLE[b].against]) for n in names for b, _, at in [n.partition("@")] if b in TABLE]
    return "; ".join(f"{n}: {i.what}{compared}, {i.unit}, better {i.better}" for n, i, compared in parts)


def card_part(found: Mapping[str, Any]) -> str:
    names = ("source", "paper", "licence", "split", "size", "sampling", "rubric", "mean")
    lines = "".join(f"<dt>{n}</dt><dd>{escape(str(found[n]))}</dd>" for n in names if found[n])
    notes = "".join(f"<dt>note</dt><dd>{escape(n)}</dd>" for n in found["notes"])
    return f'<details open><summary>Card</summary><dl class="config">{lines}{notes}</dl></details>'


def cost_part(values: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, cost in values["cost"].items():
        for arm, seconds in cost["edit_seconds"].items():
            rows.append(
                ([escape(name), f"pictures, {escape(arm_name(arm))}", "–", "–", "–", "–", clock(seconds)], False)
            )
        for label, used in cost["judges"].items():
            if used:
                counts = [f"{used.get(k, 0):,.0f}" for k in ("calls", "cached")]
                tokens = f"{used.get('input_tokens', 0):,.0f} + {used.get('output_tokens', 0):,.0f}"
                line = [escape(name), f"judge, {escape(label)}", *counts, tokens, f"${used.get('dollars', 0.0):.2f}"]
                rows.append(([*line, clock(used.get("seconds", 0.0))], False))
    head = ["benchmark", "for", "calls", "cached", "tokens in + out", "dollars", "time"]
    return ["<h2>Cost</h2>", f'<div class="wide">{table(head, rows)}</div>'] if rows else []


__all__ = ["EXPORTS", "write_page"]
