"""The loss surface around a model's weights, on a plane through them."""

from raml.landscapes.batch import AnswerRow, LossBatch, make_answer_rows
from raml.landscapes.checkpoints import CheckpointDirection, lead_to, read_checkpoint
from raml.landscapes.directions import DenseDirection, Direction, RandomDirection, draw_direction, measure_plane
from raml.landscapes.grid import (
    Maker,
    PlaneLoss,
    build_landscape,
    find_landscape_id,
    list_steps,
    make_directions,
    measure_points,
)
from raml.landscapes.paths import follow_probe, project_path, span_path
from raml.landscapes.perturb import Perturbation

__all__ = [
    "AnswerRow",
    "CheckpointDirection",
    "DenseDirection",
    "Direction",
    "LossBatch",
    "Maker",
    "Perturbation",
    "PlaneLoss",
    "RandomDirection",
    "build_landscape",
    "draw_direction",
    "find_landscape_id",
    "follow_probe",
    "lead_to",
    "list_steps",
    "make_answer_rows",
    "make_directions",
    "measure_plane",
    "measure_points",
    "project_path",
    "read_checkpoint",
    "span_path",
]
