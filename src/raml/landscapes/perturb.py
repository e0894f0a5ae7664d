"""A model at θ + α d₁ + β d₂ whose weights are never written.

While a module runs, its instance has an attribute with the name of the parameter that hides it: a scratch tensor with
the moved weights. One scratch serves all modules in turn. The parameters stay registered and untouched, so there is
nothing to undo and nothing to drift: adding and subtracting in place in bfloat16 changes the weights by 4 % of their
norm over 121 points.
"""

from __future__ import annotations

import bisect
import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel

from raml.errors import ModelError
from raml.landscapes.directions import TILE, Direction, Piece, check_plain, count_rows

ALIGNMENT = 64
"""Elements to whose multiples scratch tensors are aligned, which matrix kernels like."""
TRIAL_STEP = 2.0**-10
"""How far along both directions the pass goes that finds out how parameters are read."""

Move = tuple[Direction, float]
"""A direction and the step along it."""


@dataclass(frozen=True, eq=False)
class _Slot:
    """A parameter as attribute of a module; tied ones have several."""

    module: torch.nn.Module
    attribute: str
    name: str
    parameter: Tensor


class Perturbation:
    """Moves a model along two directions while a block runs; see `at`.

    It takes the scratch for the largest module, and for those parameters that are read while no module of theirs runs,
    such as the output layer's where they are part of the plane. What is then left of a second copy of the model, as the
    two directions leave it, keeps weights that the first direction has moved: along a row of a grid they stay the same.
    """

    def __init__(self, model: PreTrainedModel, first: Direction, second: Direction) -> None:
        check_plain(model)
        self.directions = (first, second)
        self._slots = _list_slots(model, {*first.names, *second.names})
        self._held: set[str] = set()
        self._scratch: dict[tuple[torch.device, torch.dtype], _Scratch] = {}
        self._moves: list[Move] = []
        self._rows: dict[str, Tensor] = {}  # weights + alpha × first direction, by parameter
        self._row_steps: dict[str, float] = {}  # the alpha of each
        self._last_alpha, self._is_row = 0.0, False
        self._watcher: _Watcher | None = None
        self._n_bytes = sum(parameter.nbytes for parameter in model.parameters())

    def learn(self, run: Callable[[], object]) -> None:
        """Find out in one pass how parameters are read; to be called once, before `at`.

        Most are read by the module they belong to. What is read past it, as a Mamba layer does with its convolution, or
        the output layer that is cut into blocks, will be moved for the whole pass.

        Raises:
            ModelError: a parameter of the plane isn't read at all, so that the plane would be another than it seems.
        """
        self._watcher = _Watcher([slot for slots in self._slots.values() for slot in slots])
        try:
            with self.at(TRIAL_STEP, TRIAL_STEP), self._watcher:
                run()
            self._held = self._watcher.read_past
            read = self._watcher.read | self._held
        finally:
            self._watcher = None
        names = {slot.name for slots in self._slots.values() for slot in slots}
        kinds = {_forget_numbers(name) for name in read}  # an expert that no token chose is read in another layer
        for name in sorted(names):
            if _forget_numbers(name) not in kinds:
                raise ModelError(
                    f"{name} is not read in a forward pass of this model, or from a copy elsewhere: "
                    "a landscape can't move it. Choose another model or plane."
                )
        self._rows = self._plan_rows()

    def _plan_rows(self) -> dict[str, Tensor]:
        """Make room for weights that the first direction has moved, in a model that is in float32, up to two copies."""
        first, second = self.directions
        if first.leads_to or second.leads_to:
            return {}
        largest = max(sum(slot.parameter.nbytes for slot in slots) for slots in self._slots.values())
        held = {slot.name: slot.parameter.nbytes for slots in self._slots.values() for slot in slots}
        left = self._n_bytes - first.n_bytes - second.n_bytes - 2 * largest
        left -= sum(n for name, n in held.items() if name in self._held)
        rows: dict[str, Tensor] = {}
        for slot in (slot for slots in self._slots.values() for slot in slots):
            is_wanted = slot.name in first.names and slot.name in second.names and slot.name not in rows
            if is_wanted and slot.parameter.itemsize >= 4 and slot.parameter.nbytes <= left:
                rows[slot.name] = torch.empty_like(slot.parameter, requires_grad=False)
                left -= slot.parameter.nbytes
        return rows

    @contextlib.contextmanager
    def at(self, alpha: float, beta: float) -> Iterator[None]:
        """Let the model compute at θ + alpha d₁ + beta d₂ while the block runs, in inference mode.

        Weights are added up in float32 at least and rounded once to the model's arithmetic. A direction whose step is 0
        is left out: at (0, 0) the model runs as it is, to the bit.
        """
        self._moves = [
            (direction, step) for direction, step in zip(self.directions, (alpha, beta), strict=True) if step
        ]
        self._is_row = bool(alpha) and alpha == self._last_alpha  # worth keeping from the second point of a row on
        self._last_alpha = alpha
        handles: list[torch.utils.hooks.RemovableHandle] = []
        with torch.inference_mode():
            try:
                self._hold()
                for module, slots in self._slots.items():
                    moved = [slot for slot in slots if slot.name not in self._held and self._is_moved(slot.name)]
                    if moved:
                        handles += self._hook(module, moved)
                yield
            finally:
                for handle in handles:
                    handle.remove()
                for slots in self._slots.values():
                    _uncover(slots)
                for scratch in self._scratch.values():
                    scratch.used = 0
                self._moves = []

    def _is_moved(self, name: str) -> bool:
        return any(name in direction.names for direction, _ in self._moves)

    def _hold(self) -> None:
        """Cover what is read past its module, for the whole pass."""
        covers: dict[str, Tensor] = {}
        for slot in (slot for slots in self._slots.values() for slot in slots):
            if slot.name in self._held and self._is_moved(slot.name):
                if slot.name not in covers:
                    covers[slot.name] = self._find_scratch(slot.parameter).take(slot.parameter)
                    self._fill(covers[slot.name], slot, None)
                slot.module.__dict__[slot.attribute] = covers[slot.name]

    def _hook(self, module: torch.nn.Module, slots: list[_Slot]) -> list[torch.utils.hooks.RemovableHandle]:
        """Cover a module's parameters while it runs."""
        scratches = {id(scratch): scratch for scratch in (self._find_scratch(slot.parameter) for slot in slots)}
        marks: list[list[int]] = []

        def cover(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            marks.append([scratch.used for scratch in scratches.values()])
            rows = _find_embedded(module, args, kwargs)
            for slot in slots:
                moved = self._find_scratch(slot.parameter).take(slot.parameter)
                self._fill(moved, slot, rows)
                slot.module.__dict__[slot.attribute] = moved

        def uncover(*_: object) -> None:
            _uncover(slots)
            if self._watcher is not None:
                self._watcher.forget(slots)
            for scratch, mark in zip(scratches.values(), marks.pop(), strict=True):
                scratch.used = mark

        return [
            module.register_forward_pre_hook(cover, with_kwargs=True),
            module.register_forward_hook(uncover),
        ]

    def _fill(self, moved: Tensor, slot: _Slot, wanted: Tensor | None) -> None:
        """Write moved weights, all or only wanted rows."""
        with self._watcher.pausing() if self._watcher is not None else contextlib.nullcontext():
            moves = [(direction, step) for direction, step in self._moves if slot.name in direction.names]
            own = 1.0 - sum(step for direction, step in moves if direction.leads_to)
            before: Tensor = slot.parameter
            if self._is_row and slot.name in self._rows:
                before, moves = self._move_row(slot, *moves[0]), moves[1:]
            self._write(moved, before, own, moves, slot.name, wanted)
        if self._watcher is not None:
            self._watcher.expect(slot, moved, is_partial=wanted is not None)

    def _write(
        self, moved: Tensor, before: Tensor, own: float, moves: list[Move], name: str, wanted: Tensor | None
    ) -> None:
        """Write own × the weights before + the sum of steps × directions."""
        precise = torch.promote_types(moved.dtype, torch.float32)
        work = self._find_scratch(moved, precise)
        mark = work.used
        if wanted is not None or not moved.ndim:
            rows = ... if wanted is None else wanted
            source = before[rows]
            tile = work.take(source)
            _add_up(tile, source, own, moves, [direction.pick(name, rows) for direction, _ in moves])
            moved[rows] = tile.to(moved.dtype)
        else:
            n = count_rows(moved)
            cuts = [direction.cut(name, n) for direction, _ in moves]
            for target, source, *pieces in zip(moved.split(n), before.split(n), *cuts, strict=False):
                tile = target if precise == moved.dtype else work.take(source)
                _add_up(tile, source, own, moves, pieces)
                if tile is not target:
                    target.copy_(tile)
                work.used = mark
        work.used = mark

    def _move_row(self, slot: _Slot, direction: Direction, step: float) -> Tensor:
        """The weights that the first direction has moved, kept since the last point of the row or made now."""
        kept = self._rows[slot.name]
        if self._row_steps.get(slot.name) != step:
            self._row_steps.pop(slot.name, None)  # while it is half made, it is of no step
            self._write(kept, slot.parameter, 1.0, [(direction, step)], slot.name, None)
            self._row_steps[slot.name] = step
        return kept

    def _find_scratch(self, like: Tensor, dtype: torch.dtype | None = None) -> _Scratch:
        key = (like.device, dtype or like.dtype)
        if key not in self._scratch:
            self._scratch[key] = _Scratch(*key)
        return self._scratch[key]


class _Scratch:
    """Memory that is lent out in stacks: modules that run inside others lie above theirs."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.buffer = torch.empty(TILE, device=device, dtype=dtype)
        self.used = 0

    def take(self, like: Tensor) -> Tensor:
        """Lend a tensor of another's shape, until `used` is set back."""
        end = self.used + like.numel()
        if end > len(self.buffer):
            self.buffer = torch.empty(end, device=self.buffer.device, dtype=self.buffer.dtype)
        taken = self.buffer[self.used : end].view(like.shape)
        self.used = -(-end // ALIGNMENT) * ALIGNMENT
        return taken


class _Watcher(TorchDispatchMode):
    """Sees which memory each operation reads."""

    def __init__(self, slots: list[_Slot]) -> None:
        super().__init__()
        places = {slot.parameter.data_ptr(): slot for slot in slots if slot.parameter.numel()}
        self._starts = sorted(places)
        self._pristine = [places[start] for start in self._starts]
        self._covers: dict[_Slot, tuple[int, int, bool]] = {}
        self._is_paused = False
        self.read: set[str] = set()
        """Parameters that were read as moved."""
        self.read_past: set[str] = set()
        """Parameters that were read as they are, although they should move."""

    @contextlib.contextmanager
    def pausing(self) -> Iterator[None]:
        """Leave out the operations of a block."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def expect(self, slot: _Slot, moved: Tensor, *, is_partial: bool) -> None:
        """Take reading this memory as reading the moved parameter."""
        start = moved.data_ptr()
        self._covers[slot] = (start, start + moved.numel() * moved.element_size(), is_partial)

    def forget(self, slots: list[_Slot]) -> None:
        """Their memory will serve others."""
        for slot in slots:
            del self._covers[slot]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        if not self._is_paused:
            for value in tree_leaves((args, kwargs)):
                if isinstance(value, Tensor) and value.numel():
                    self._note(func, value.data_ptr())
        return func(*args, **(kwargs or {}))

    def _note(self, func: Any, place: int) -> None:  # noqa: ANN401
        for slot, (start, end, is_partial) in self._covers.items():
            if start <= place < end:
                self.read.add(slot.name)
                if is_partial and func is not torch.ops.aten.embedding.default:
                    self.read_past.add(slot.name)  # more than the rows that were filled
        i = bisect.bisect_right(self._starts, place) - 1
        if i >= 0:
            slot = self._pristine[i]
            if place < self._starts[i] + slot.parameter.numel() * slot.parameter.element_size():
                self.read_past.add(slot.name)


def _list_slots(model: PreTrainedModel, names: set[str]) -> dict[torch.nn.Module, list[_Slot]]:
    """Find the modules that own the parameters of a plane.

    Raises:
        ModelError: the model has no such parameter.
    """
    own = {id(parameter): name for name, parameter in model.named_parameters()}
    if strange := names - set(own.values()):
        raise ModelError(f"The plane moves {min(strange)}, which is no parameter of this model.")
    slots: dict[torch.nn.Module, list[_Slot]] = {}
    for module in model.modules():
        for attribute, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            if own[id(parameter)] in names:
                slots.setdefault(module, []).append(_Slot(module, attribute, own[id(parameter)], parameter))
    return slots


def _add_up(tile: Tensor, source: Tensor, own: float, moves: list[Move], pieces: Sequence[Piece]) -> None:
    """Write own × a part of the weights + the sum of steps × parts of directions into a tile."""
    start = source
    if own != 1 or source.dtype != tile.dtype:
        start = torch.mul(source, own, out=tile)
    for (direction, step), piece in zip(moves, pieces, strict=True):
        direction.add(tile, start, piece, step)
        start = tile
    if start is not tile:
        tile.copy_(start)


def _find_embedded(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The rows of its table that a call of an embedding will read; None for other modules: all."""
    ids = args[0] if args else kwargs.get("input")
    if not isinstance(module, torch.nn.Embedding) or not isinstance(ids, Tensor) or ids.is_floating_point():
        return None
    return ids.flatten()


def _uncover(slots: list[_Slot]) -> None:
    for slot in slots:
        slot.module.__dict__.pop(slot.attribute, None)


def _forget_numbers(name: str) -> str:
    return re.sub(r"\d+", "#", name)
