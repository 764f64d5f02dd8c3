"""Where a parameter of the trained model lies in vLLM's model, and how it is read back.

vLLM renames parameters, joins some (q, k, v; gate, up), pads the vocabulary, and on the CPU keeps its matrices in an opaque
packed form alone. A packed matrix is read by multiplying it with the identity. A layer that has a slot for adapters keeps its own
parameters one level lower, under `base_layer`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from common.errors import RunFailed

ROWS = 1024  # of the identity at a time: the product stays small


@dataclass(frozen=True)
class ParameterSlice:
    """A parameter is rows [start, stop) of the engine's parameter `name`, or all of it where it has no rows."""

    name: str
    start: int
    stop: int


def parameter_slices(model: nn.Module, shapes: Mapping[str, Sequence[int]]) -> dict[str, ParameterSlice]:
    """The slice of the engine's parameters that holds each parameter of the trained model; together they must fill the engine.

    Raises RunFailed naming what has no place, or nothing to fill it.
    """
    mapper: Any = model.hf_to_vllm_mapper
    packed = _packed(model)
    named = dict(model.named_parameters(remove_duplicate=False))
    own = {name.replace(".base_layer.", "."): name for name in named}
    held = {name: named[own[name]] for name in own}
    groups: dict[str, list[tuple[int, str]]] = {}
    for name in shapes:
        (target,) = mapper.apply_list([name]) or ("",)
        part = 0
        if target not in held:
            target, part = _fused(target, packed, held)
        if not target:
            raise RunFailed(f"weight sync: vLLM's model has no place for {name}; is it the same architecture?")
        groups.setdefault(target, []).append((part, name))
    targets = {}
    for target, parts in groups.items():
        start = 0
        for _, name in sorted(parts):
            rows = shapes[name][0] if shapes[name] else 1
            targets[name] = ParameterSlice(own[target], start, start + rows)
            start += rows
    filled = {id(named[p.name]) for p in targets.values()}
    if empty := sorted(name for name, p in held.items() if id(p) not in filled):
        raise RunFailed(f"weight sync: nothing of the trained model fills {empty[0]} of vLLM's ({len(empty)} such)")
    return targets


def _packed(model: nn.Module) -> dict[str, tuple[str, int]]:
    """Module name in a checkpoint -> joined module that it is part of, and which part."""
    joined: dict[str, Sequence[str]] = {}
    for module in model.modules():
        joined |= getattr(module, "packed_modules_mapping", None) or {}
    return {part: (whole, k) for whole, parts in joined.items() for k, part in enumerate(parts)}


def _fused(target: str, packed: Mapping[str, tuple[str, int]], held: Mapping[str, Tensor]) -> tuple[str, int]:
    path = target.split(".")
    if len(path) < 2 or path[-2] not in packed:
        return "", 0
    whole, part = packed[path[-2]]
    path[-2] = whole
    joined = ".".join(path)
    return (joined, part) if joined in held else ("", 0)


@torch.no_grad()
def read_back(
    model: nn.Module, shapes: Mapping[str, Sequence[int]], where: Mapping[str, ParameterSlice]
) -> Iterator[tuple[str, Tensor]]:
    """(name in the trained model, what the engine holds of it), engine parameter after engine parameter.

    Raises RunFailed for a parameter of another size, and where a matrix is held twice, packed and plain, with different
    values (the way in which tied weights go wrong).
    """
    by_target: dict[str, list[str]] = {}
    for name, place in where.items():
        by_target.setdefault(place.name, []).append(name)
    for target, names in by_target.items():
        whole = _matrix(model, target)
        for name in names:
            place, shape = where[name], torch.Size(shapes[name])
            piece = whole[place.start : place.stop] if shape else whole
            if piece.numel() != shape.numel():
                raise RunFailed(f"weight sync: vLLM holds {tuple(piece.shape)} for {name}, not {tuple(shape)}")
            yield name, piece.reshape(shape)


def _matrix(model: nn.Module, target: str) -> Tensor:
    """An engine parameter as plain numbers, from every form in which it is kept."""
    owner, _, leaf = target.rpartition(".")
    module: Any = model.get_submodule(owner)
    plain: Tensor = getattr(module, leaf)
    if leaf != "weight" or not hasattr(module, "cpu_linear"):
        return plain
    width = plain.shape[1] if plain.dim() == 2 else int(module.input_size)
    packed_dtype = plain.new_tensor([]).dtype
    rows = [module.cpu_linear(eye, plain, None) for eye in _identity(width, packed_dtype)]
    packed = torch.cat(rows).t().contiguous()
    if plain.numel() and not torch.equal(settled(packed), settled(plain)):
        raise RunFailed(f"weight sync: vLLM's packed copy of {target} is not the weight it holds beside it")
    return packed


def _identity(width: int, dtype: torch.dtype) -> Iterator[Tensor]:
    for start in range(0, width, ROWS):
        rows = torch.zeros(min(ROWS, width - start), width, dtype=dtype)
        rows[torch.arange(len(rows)), start + torch.arange(len(rows))] = 1
        yield rows


def settled(values: Tensor) -> Tensor:
    """The same numbers with -0 and subnormal ones as 0: a product with the identity cannot tell them apart."""
    return torch.where(values.abs() < torch.finfo(values.dtype).tiny, torch.zeros_like(values), values)


__all__ = ["ParameterSlice", "parameter_slices", "read_back", "settled"]
