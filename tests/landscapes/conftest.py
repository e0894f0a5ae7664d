"""Small models, rows of ids, and the slow way to a point of a landscape: weights written by hand into a copy."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy

from raml.landscapes import AnswerRow
from tests.scoring.conftest import build_model, draw_ids

BUILT = {}


@pytest.fixture
def build():
    """Build models by name, once each; they are checked to be as they were."""

    def get(name="llama", dtype=torch.float32, **changes):
        key = (name, dtype, *changes.items())
        if key not in BUILT:
            BUILT[key] = build_model(name, **changes).to(dtype)
        return BUILT[key]

    return get


def make_rows(sizes=((9, 3, 2), (5, 3, 4), (12, 3, 1)), seed=0):
    """Rows of random ids: lengths of prompt, bridge and answer."""
    rows = []
    for i, lens in enumerate(sizes):
        prompt, bridge, answer = (tuple(draw_ids(n, seed=100 * seed + 10 * i + k).tolist()) for k, n in enumerate(lens))
        rows.append(AnswerRow(f"q{i}", prompt, bridge, answer))
    return rows


@torch.no_grad()
def score_by_definition(model, rows):
    """Mean NLL of each answer, one forward pass a question, from the model's own logits."""
    losses = []
    for row in rows:
        ids = torch.tensor([row.prompt_ids + row.bridge_ids + row.answer_ids])
        n = len(row.answer_ids)
        logits = model(input_ids=ids, use_cache=False).logits[0, -n - 1 : -1].float()
        losses.append(cross_entropy(logits, ids[0, -n:]))
    return torch.stack(losses)


@torch.no_grad()
def move_by_hand(model, changes):
    """A copy of the model with changes of weights, in float64, added and rounded once."""
    moved = copy.deepcopy(model)
    for name, parameter in moved.named_parameters():
        if name in changes:
            parameter.copy_((parameter.double() + changes[name]).to(parameter.dtype))
    return moved


def lay_out(direction, model):
    """A random direction as whole tensors in float64."""
    return {name: entries.double() * direction.scales[name].double() for name, entries in direction.entries.items()}


def take_snapshot(model):
    """All a model holds, as bytes."""
    return {name: value.detach().clone().view(torch.uint8) for name, value in model.state_dict().items() if value.ndim}


def is_untouched(model, snapshot):
    """Whether weights are the same bits and no module has kept anything."""
    same = all(torch.equal(value, snapshot[name]) for name, value in take_snapshot(model).items())
    hidden = [m for m in model.modules() if m._parameters.keys() & m.__dict__.keys()]
    hooks = [m for m in model.modules() if m._forward_pre_hooks or m._forward_hooks]
    return same and not hidden and not hooks
