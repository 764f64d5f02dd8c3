"""How many logits exist at once: tensors as wide as the vocabulary are the largest of a training step."""

from __future__ import annotations

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class VocabularyRows(TorchDispatchMode):
    """While active, notes the rows of every tensor [..., vocabulary]: `most` of one tensor, and `most_held` of all that are
    alive at the same time, views counted once. The output layer's own weight and gradient, [width, vocabulary], are left out."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.vocabulary, self.weight = vocabulary, (width, vocabulary)
        self.most, self.most_held = 0, 0
        self._held: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, torch.Tensor) and tensor.ndim > 1 and tensor.shape[-1] == self.vocabulary:
                self._note(tensor)
        return out

    def _note(self, tensor: torch.Tensor) -> None:
        if tuple(tensor.shape) == self.weight:
            return
        rows = tensor.numel() // self.vocabulary
        reference = StorageWeakRef(tensor.untyped_storage())
        self._held = {key: held for key, held in self._held.items() if not held[0].expired()}
        self._held[reference.cdata] = (reference, max(rows, self._held.get(reference.cdata, (None, 0))[1]))
        self.most = max(self.most, rows)
        self.most_held = max(self.most_held, sum(n for _, n in self._held.values()))


__all__ = ["VocabularyRows"]
