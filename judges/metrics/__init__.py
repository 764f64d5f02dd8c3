"""Metrics without a judge: pixels, structure, perception, embeddings, and drift of the whole picture.

`make_metrics(names).measure(item, edited)` gives a number per key, or None where a metric does not apply. Names and
conventions are in `names.py`; `missing_metric_weights` says before a run what it lacks.
"""

from judges.metrics.base import Case, Metric, Reading
from judges.metrics.names import ALWAYS, CHEAP, NAMES, TABLE
from judges.metrics.suite import Metrics, make_metrics
from judges.metrics.summary import DriftSummary, drift_by_arm, summarise_drift
from judges.metrics.weights import Weights, missing_metric_weights

__all__ = [
    "ALWAYS",
    "CHEAP",
    "NAMES",
    "TABLE",
    "Case",
    "DriftSummary",
    "Metric",
    "Metrics",
    "Reading",
    "Weights",
    "drift_by_arm",
    "make_metrics",
    "missing_metric_weights",
    "summarise_drift",
]
