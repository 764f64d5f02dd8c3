"""Shared-prefix batches: the completions of a prompt as one tree, so that every distinct beginning passes once.

Image and prompt are the trunk of the tree. Completions follow it; each of their tokens attends to its own ancestors only, at
the positions that it would have in a sequence of its own, so the result is that of separate sequences (PrefixGrouper, arXiv
2506.05433; tree training, arXiv 2511.00413). Rows are packed without padding.

Suffixes: N tokens of the packed row, M distinct completion tokens ("targets") to be predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask
from torch.nn.functional import scaled_dot_product_attention

from agents.backends.prompts import Positions
from agents.backends.vlm import EncodedPrompt
from rl.flex import attend_tree, tree_mask

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
    """A packed row of several trees, and its `AttentionLayout`. Pieces of the row are trunks (prompt and stem, mask None) and the
    blocks behind each (an additive mask [1, 1, block, trunk + block])."""

    ids_N: Tensor
    positions_3N: Tensor
    source_M: Tensor  # the place in the row whose hidden state predicts each target
    target_M: Tensor
    paths: list[Tensor]  # the targets of each completion, in the order given
    sizes: list[int]
    masks: list[Tensor | None]
    end_N: Tensor  # the first index after each token's descendants: token i attends to j where j <= i < end[j]

    @cached_property
    def flex(self) -> BlockMask:
        return tree_mask(self.end_N)

    def attend(self, layer: int, query: Tensor, key: Tensor, value: Tensor, scale: float | None) -> Tensor:
        """query [1, H, N, D], key and value [1, Hkv, N, D] -> [1, H, N, D]: a prompt is computed once and completions
        attend to [trunk; own branch], so the work grows linearly with their number. On a GPU one kernel does it (rl/flex.py)."""
        if query.device.type == "cuda":
            return attend_tree(query, key, value, scale, self.flex)
        out, trunk = [], (key, value)
        pieces = zip(self.masks, *(x.split(self.sizes, 2) for x in (query, key, value)), strict=True)
        for mask, q, k, v in pieces:
            if mask is None:
                trunk = (k, v)
            else:
                k, v = torch.cat([trunk[0], k], 2), torch.cat([trunk[1], v], 2)
            out.append(
                scaled_dot_product_attention(
                    q, k, v, attn_mask=mask, is_causal=mask is None, scale=scale, enable_gqa=True
                )
            )
        return torch.cat(out, 2)


def pack(
    prompts: Sequence[EncodedPrompt],
    positions: Sequence[Positions],
    completions: Sequence[Sequence[Sequence[int]]],
    like: Tensor,
) -> PrefixRow:
    """One row of P prompts, each with its completions; masks have the type and device of `like`.

    Completions of equal length and content may repeat; `paths` come in the order prompt by prompt, completion by completion.
    """
    ids: list[Tensor] = []
    position_ids: list[Tensor] = []
    sources: list[Tensor] = []
    targets: list[int] = []
    paths: list[Tensor] = []
    sizes: list[int] = []
    masks: list[Tensor | None] = []
    ends: list[Tensor] = []
    start = 0
    for prompt, position, texts in zip(prompts, positions, completions, strict=True):
        tree = grow(texts)
        ids += [prompt.input_ids, torch.tensor(tree.ids, dtype=torch.long)]
        position_ids += [
            position.prompt_3T,
            (position.after + torch.tensor(tree.depth, dtype=torch.long)).expand(3, -1),
        ]
        paths += [torch.tensor(path) + len(targets) for path in tree.paths]
        sources.append(torch.tensor(tree.source) + start + len(prompt))
        targets += tree.target
        trunk = len(prompt) + tree.stem
        sizes.append(trunk)
        masks.append(None)
        for a, b in tree.blocks():
            sizes.append(b - a)
            masks.append(_block_mask(torch.tensor(tree.end[a:b]) - a, trunk).to(like))
        first, start = start + len(prompt), start + len(prompt) + len(tree.ids)
        ends += [torch.full((len(prompt),), start), torch.tensor(tree.end, dtype=torch.long) + first]
    end_N = torch.cat(ends).to(like.device)
    return PrefixRow(
        torch.cat(ids),
        torch.cat(position_ids, 1),
        torch.cat(sources),
        torch.tensor(targets),
        paths,
        sizes,
        masks,
        end_N,
    )


def _block_mask(end_n: Tensor, trunk: int) -> Tensor:
    """[1, 1, n, trunk + n] with 0 where a node attends (the trunk, its ancestors, itself) and -inf elsewhere."""
    at = torch.arange(len(end_n))
    seen = (at[None] <= at[:, None]) & (at[:, None] < end_n[None])
    hidden = torch.cat([torch.zeros(len(end_n), trunk, dtype=torch.bool), ~seen], 1)
    return torch.zeros(hidden.shape).masked_fill(hidden, -torch.inf)[None, None]


__all__ = ["PrefixRow", "Tree", "grow", "pack"]
