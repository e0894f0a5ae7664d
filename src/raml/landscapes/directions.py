"""Directions in weight space: random ones made from a seed, and ones that are written out.

Li et al. 2018 (arXiv 1712.09913) scale a random direction to the weights filter by filter, because a network whose
layers are multiplied by 10 and divided by 10 is the same network, yet looks flat to unscaled directions.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from statistics import NormalDist
from types import EllipsisType
from typing import Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from raml.errors import DataError, ModelError

TILE = 2**16
"""Elements that are worked on at a time: what a CPU core's cache holds of weights, direction and result together."""
STEPS_PER_SIGMA = 16
"""A random entry is rounded to one of so many levels per standard deviation."""

Rows = slice | Tensor | EllipsisType
"""Part of a parameter along its first axis: a range, indices, or all of one without axes."""


Piece = tuple[Tensor, ...]
"""Part of a direction; what its tensors are, only the direction knows."""


class Direction(Protocol):
    """A displacement of some of a model's parameters, applied without ever being laid out as a whole."""

    @property
    def names(self) -> Collection[str]:
        """The parameters it moves, as `named_parameters` calls them."""
        ...

    @property
    def leads_to(self) -> bool:
        """Whether `add` adds the weights where the direction ends, so that the caller takes the model's own off."""
        ...

    @property
    def n_bytes(self) -> int:
        """How much memory it takes."""
        ...

    def pick(self, name: str, rows: Rows) -> Piece:
        """Its part for some rows of a parameter."""
        ...

    def cut(self, name: str, n_rows: int) -> Iterable[Piece]:
        """Its parts for a parameter with axes, of so many rows each; much faster than picking them one by one."""
        ...

    def add(self, tile: Tensor, start: Tensor, piece: Piece, factor: float) -> None:
        """Write start + factor × a part of the direction into a tile of the same shape.

        `start` may be the tile itself; both are float32 at least.
        """
        ...


class RandomDirection:
    """A random direction with the norms of a model's weights; see `draw_direction`.

    An entry is an odd number from −127 to 127, one byte, times a scale in float32 for each filter: the direction is
    this discrete one, so that nothing is lost by keeping it so. Odd, so that no filter of few weights is zero.
    """

    leads_to = False

    def __init__(self, entries: Mapping[str, Tensor], scales: Mapping[str, Tensor]) -> None:
        self.entries = entries
        self.scales = scales

    @property
    def names(self) -> Collection[str]:
        """The parameters it moves."""
        return self.entries.keys()

    @property
    def n_bytes(self) -> int:
        """How much memory it takes."""
        return sum(part.nbytes for part in (*self.entries.values(), *self.scales.values()))

    def pick(self, name: str, rows: Rows) -> Piece:
        """Its part for some rows of a parameter."""
        entries, scale = self.entries[name], self.scales[name]
        return entries[rows], scale[rows] if scale.shape[:1] == entries.shape[:1] else scale

    def cut(self, name: str, n_rows: int) -> Iterable[Piece]:
        """Its parts for a parameter, of so many rows each."""
        entries, scale = self.entries[name], self.scales[name]
        has_rows = scale.shape[:1] == entries.shape[:1]
        return zip(entries.split(n_rows), scale.split(n_rows) if has_rows else itertools.repeat(scale), strict=False)

    def add(self, tile: Tensor, start: Tensor, piece: Piece, factor: float) -> None:
        """Write start + factor × a part of the direction into a tile."""
        entries, scale = piece
        torch.addcmul(start, entries, scale, value=factor, out=tile)


class DenseDirection:
    """Changes of some weights, written out."""

    leads_to = False

    def __init__(self, entries: Mapping[str, Float[Tensor, ...]]) -> None:
        self.entries = entries

    @property
    def names(self) -> Collection[str]:
        """The parameters it moves."""
        return self.entries.keys()

    @property
    def n_bytes(self) -> int:
        """How much memory it takes."""
        return sum(part.nbytes for part in self.entries.values())

    def pick(self, name: str, rows: Rows) -> Piece:
        """Its part for some rows of a parameter."""
        return (self.entries[name][rows],)

    def cut(self, name: str, n_rows: int) -> Iterable[Piece]:
        """Its parts for a parameter, of so many rows each."""
        return zip(self.entries[name].split(n_rows))

    def add(self, tile: Tensor, start: Tensor, piece: Piece, factor: float) -> None:
        """Write start + factor × a part of the direction into a tile."""
        torch.add(start, piece[0], alpha=factor, out=tile)


@torch.no_grad()
def draw_direction(
    model: PreTrainedModel, seed: int, index: int, normalization: Literal["filter", "tensor"] = "filter"
) -> RandomDirection:
    """Draw a normal random direction over all weights but embedding tables and the output layer.

    With "filter" each output row of a weight gets the norm of that row, and norms and biases stay where they are (Li et
    al. 2018); with "tensor" each weight, norm and bias gets the norm of the whole. The same seed and index give the
    same direction for the same parameter in any process and on any device. It takes a byte for each weight.

    Raises:
        DataError: there is no such normalization, or seed or index is negative.
        ModelError: the model is quantised, or parked on the disk.
    """
    if normalization not in ("filter", "tensor"):
        raise DataError(f"normalization is {normalization!r}; choose filter or tensor.")
    if min(seed, index) < 0:
        raise DataError(f"The seed of a direction is {min(seed, index)}; it must be at least 0.")
    entries, scales = {}, {}
    for name, owner, parameter in list_weights(model):
        if normalization == "filter" and (parameter.ndim < 2 or name.endswith("bias")):  # experts have biases in rows
            continue
        entries[name] = _draw_entries(parameter, [seed, index, *name.encode()])
        axes = _find_filter_axes(owner, parameter) if normalization == "filter" else tuple(range(parameter.ndim))
        norm, own = (_measure_norm(value, axes) for value in (parameter, entries[name]))
        scales[name] = (norm / own).float()
    return RandomDirection(entries, scales)


@torch.no_grad()
def measure_plane(model: PreTrainedModel, first: Direction, second: Direction) -> tuple[float, float, float]:
    """Length of both directions and the cosine between them, 0 where one of them moves nothing.

    A direction that leads to other weights is as long as the difference of both.
    """
    products = torch.zeros(3, dtype=torch.float64)
    for name, parameter in model.named_parameters():
        if name not in first.names and name not in second.names:
            continue
        for rows in split_rows(parameter):
            a, b = (lay_out(direction, name, parameter[rows], rows) for direction in (first, second))
            products += torch.stack([a.dot(a), b.dot(b), a.dot(b)]).double().cpu()
    one, two, both = products.tolist()
    return math.sqrt(one), math.sqrt(two), both / math.sqrt(one * two) if one * two else 0.0


def split_rows(parameter: Tensor) -> Iterator[slice | EllipsisType]:
    """Cut a parameter along its first axis into tiles of about TILE elements."""
    if not parameter.ndim:
        yield ...
        return
    n_rows, step = parameter.shape[0], count_rows(parameter)
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def count_rows(parameter: Tensor) -> int:
    """How many rows of a parameter with axes make a tile."""
    return max(1, TILE * parameter.shape[0] // max(1, parameter.numel()))


def list_weights(model: PreTrainedModel) -> list[tuple[str, torch.nn.Module, torch.nn.Parameter]]:
    """List a model's parameters but embedding tables and the output layer: name, the module it belongs to, and itself.

    Raises:
        ModelError: the model is quantised, or parked on the disk.
    """
    check_plain(model)
    tables = [m for m in model.modules() if isinstance(m, torch.nn.Embedding)]
    tables += [m for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m is not None]
    apart = {id(parameter) for table in tables for parameter in table.parameters()}
    named = [(name, parameter) for name, parameter in model.named_parameters() if id(parameter) not in apart]
    return [(name, model.get_submodule(name.rpartition(".")[0]), parameter) for name, parameter in named]


def check_plain(model: PreTrainedModel) -> None:
    """Refuse weights that can't be added to.

    Raises:
        ModelError: the model is quantised, or parked on the disk.
    """
    for name, parameter in model.named_parameters():
        if parameter.device.type == "meta":
            raise ModelError(f"{name} is not in memory but parked elsewhere; a landscape needs all weights in memory.")
        if parameter.dtype not in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
            raise ModelError(f"{name} is quantised ({parameter.dtype}); load the model in float32 or bfloat16.")
    if getattr(model, "is_quantized", False):
        raise ModelError("The model is quantised; load it in float32 or bfloat16.")


def lay_out(direction: Direction, name: str, weight: Tensor, rows: Rows) -> Tensor:
    """Rows of a direction, flat, in float32 at least."""
    tile = torch.zeros(weight.shape, dtype=torch.promote_types(weight.dtype, torch.float32), device=weight.device)
    if name in direction.names:
        direction.add(tile, tile, direction.pick(name, rows), 1.0)
        if direction.leads_to:
            tile -= weight
    return tile.flatten()


def _find_filter_axes(owner: torch.nn.Module, parameter: Tensor) -> tuple[int, ...]:
    """Axes of a weight over which the norm of one output is taken."""
    if isinstance(owner, Conv1D):
        return (0,)  # GPT-2 keeps its weights [in, out]
    if parameter.ndim == 3 and hasattr(owner, "is_transposed"):  # experts, [expert, out, in] or [expert, in, out]
        return (1,) if owner.is_transposed else (2,)
    if parameter.ndim == 3 and not isinstance(owner, torch.nn.Conv1d):
        return (2,)
    return tuple(range(1, parameter.ndim))


def _measure_norm(values: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Norms over some axes, kept with length 1, in float64."""
    if not values.ndim:
        return values.double().abs()
    over_rows, inside = 0 in axes, [axis for axis in axes if axis]
    squares = []
    for rows in split_rows(values):
        tile = values[rows].float().square()
        tile = (tile.sum(dim=inside, keepdim=True) if inside else tile).double()
        squares.append(tile.sum(dim=0, keepdim=True) if over_rows else tile)
    joined = torch.cat(squares)
    return (joined.sum(dim=0, keepdim=True) if over_rows else joined).sqrt_()


def _draw_entries(parameter: Tensor, key: list[int]) -> Tensor:
    """Draw int8 entries of a parameter's shape on its device; a key gives the same ones everywhere."""
    source = np.random.PCG64(np.random.SeedSequence(key))
    levels, n = _list_levels(), parameter.numel()
    drawn = np.empty(n, dtype=np.int8)
    for start in range(0, n, 4 * TILE):
        raw = source.random_raw(TILE).astype("<u8", copy=False).view("<u2")
        drawn[start : start + 4 * TILE] = levels[raw[: n - start]]
    return torch.from_numpy(drawn).view(parameter.shape).to(parameter.device)


@functools.cache
def _list_levels() -> NDArray[np.int8]:
    """The entry for each of 65,536 equally likely numbers: normal, in odd multiples of half a level."""
    half = [NormalDist().inv_cdf((i + 0.5) / 2**16) for i in range(2**15)]
    below = [max(-127, 2 * math.floor(value * STEPS_PER_SIGMA) + 1) for value in half]
    return np.array(below + [-value for value in reversed(below)], dtype=np.int8)
