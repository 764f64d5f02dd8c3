"""Shared-prefix batches: the completions of a prompt as one tree, so that every distinct beginning passes once.

Image and prompt are the trunk of the tree. Completions follow it; each of their tokens attends to its own ancestors only, at
the positions that it would have in a sequence of its own, so the result is that of separate sequences (PrefixGrouper, arXiv
2506.05433; tree training, arXiv 2511.00413). Rows are packed without padding, but for a tail where kernels want few lengths.

Suffixes: N tokens of the packed row, M distinct completion tokens ("targets") to be predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from agents.backends.prompts import Positions
from agents.backends.vlm import EncodedPrompt
from rl.attention.shape import RowShape

BLOCK = (
    64  # branches of together at most this many tokens share one attention call, since every call has a cost of its own
)


@dataclass
class Tree:
    """Distinct beginnings of some completions, depth first. A node is a token that another one follows (only these enter
    the model); a target is a token to be predicted. `end` is the first node after a node's subtree, so node j is an ancestor
    of node i exactly where j < i < end[j]."""

    ids: list[int] = field(default_factory=list)
    depth: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)  # the node that predicts a target, -1 for the prompt
    target: list[int] = field(default_factory=list)
    paths: list[list[int]] = field(default_factory=list)  # the targets of each completion, as many as it has tokens

    @property
    def stem(self) -> int:
        """How many nodes come before the first fork: they belong to every completion."""
        n = 0
        while n < len(self.ids) and self.end[n] == len(self.ids):
            n += 1
        return n

    def blocks(self) -> list[tuple[int, int]]:
        """Node ranges behind the stem: whole branches, several small ones together."""
        ranges, start = [], self.stem
        while start < len(self.ids):
            stop = self.end[start]
            while stop < len(self.ids) and self.end[stop] - start <= BLOCK:
                stop = self.end[stop]
            ranges.append((start, stop))
            start = stop
        return ranges


def grow(completions: Sequence[Sequence[int]]) -> Tree:
    """The tree of some completions (each of at least one token). Equal ones share all their targets."""
    tree = Tree(paths=[[] for _ in completions])
    before: Sequence[int] = ()
    nodes: list[int] = []  # of the completion at hand, by depth
    path: list[int] = []
    for i in sorted(range(len(completions)), key=lambda k: tuple(completions[k])):
        tokens = completions[i]
        shared = _common(before, tokens)
        _close(tree, nodes, shared)
        fresh = range(len(nodes), len(tokens) - 1)  # depths of new nodes
        nodes += range(len(tree.ids), len(tree.ids) + len(fresh))
        tree.ids += tokens[fresh.start : fresh.stop]
        tree.depth += fresh
        tree.end += [-1] * len(fresh)
        path[shared:] = range(len(tree.target), len(tree.target) + len(tokens) - shared)
        tree.target += tokens[shared:]
        tree.source += [-1, *nodes][shared : len(tokens)]
        tree.paths[i] = list(path)
        before = tokens
    _close(tree, nodes, 0)
    return tree


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    for n, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return n
    return min(len(a), len(b))


def _close(tree: Tree, nodes: list[int], keep: int) -> None:
    """Nodes of the path from depth `keep` on get no more descendants."""
    for node in nodes[keep:]:
        tree.end[node] = len(tree.ids)
    del nodes[keep:]


@dataclass(frozen=True)
class PrefixRow:
    """A packed row of several trees, on the CPU."""

    ids_N: Tensor
    positions_3N: Tensor
    source_M: Tensor  # the place in the row whose hidden state predicts each target
    target_M: Tensor
    paths: list[Tensor]  # the targets of each completion, in the order given
    shape: RowShape


def pack(
    prompts: Sequence[EncodedPrompt],
    positions: Sequence[Positions],
    completions: Sequence[Sequence[Sequence[int]]],
    length: Callable[[int], int] | None = None,
    filler: int = 0,
) -> PrefixRow:
    """One row of P prompts, each with its completions, filled up to `length(tokens)` with a token that nothing else sees and that
    predicts nothing.

    Completions of equal length and content may repeat; `paths` come in the order prompt by prompt, completion by completion.
    """
    ids: list[Tensor] = []
    position_ids: list[Tensor] = []
    sources: list[Tensor] = []
    targets: list[int] = []
    paths: list[Tensor] = []
    sizes: list[int] = []
    is_trunk: list[bool] = []
    end: list[int] = []
    for prompt, position, texts in zip(prompts, positions, completions, strict=True):
        tree = grow(texts)
        ids += [prompt.input_ids, torch.tensor(tree.ids, dtype=torch.long)]
        position_ids += [
            position.prompt_3T,
            (position.after + torch.tensor(tree.depth, dtype=torch.long)).expand(3, -1),
        ]
        paths += [torch.tensor(path) + len(targets) for path in tree.paths]
        first = len(end) + len(prompt)
        sources.append(torch.tensor(tree.source) + first)
        targets += tree.target
        blocks = tree.blocks()
        sizes += [len(prompt) + tree.stem, *(b - a for a, b in blocks)]
        is_trunk += [True] + [False] * len(blocks)
        end += [first + len(tree.ids)] * len(prompt) + [first + e for e in tree.end]
    if tail := 0 if length is None else length(len(end)) - len(end):
        ids.append(torch.full((tail,), filler))
        position_ids.append(torch.zeros(3, tail, dtype=torch.long))
        sizes.append(tail)
        is_trunk.append(True)
        end += [len(end) + tail] * tail
    return PrefixRow(
        torch.cat(ids),
        torch.cat(position_ids, 1),
        torch.cat(sources),
        torch.tensor(targets),
        paths,
        RowShape(end, sizes, is_trunk),
    )


__all__ = ["PrefixRow", "Tree", "grow", "pack"]
