"""pass@k: the chance that at least one of k answers is right, estimated from n answers without bias."""

from __future__ import annotations

from math import comb

from common.errors import BadInput


def pass_at(k: int, right: int, drawn: int) -> float:
    """1 − C(drawn − right, k) / C(drawn, k), where `right` of `drawn` answers are right: the share of all choices of k answers
    that hold a right one (arXiv 2107.03374, section 2.1). With k = 1 it is the share of right answers, with k = drawn whether any
    is right. Raises BadInput unless 1 ≤ k ≤ drawn and 0 ≤ right ≤ drawn."""
    if not 1 <= k <= drawn:
        raise BadInput(f"pass@{k} of {drawn} answers cannot be estimated: draw at least k of them, and k at least 1")
    if not 0 <= right <= drawn:
        raise BadInput(f"{right} of {drawn} answers cannot be right")
    return 1.0 - comb(drawn - right, k) / comb(drawn, k)


__all__ = ["pass_at"]
