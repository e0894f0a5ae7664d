"""Nothing that is written in a figure lies over its neighbour or is cut off at the edge."""

import itertools

import numpy as np
import pytest

from raml.figures import plot_alignment, plot_traces, plot_training
from raml.figures.curves import plot_wrong_curves
from raml.records import Question
from tests.figures.test_traces import make_trace

LONG = "A long question with {} things in it, how many of them are left after all have gone away?"
MEASURES = (
    "cosine of the whole update with −∇L",
    "mean cosine of the steps with −∇L",
    "similarity of activations to an SGD step's",
)
QUANTITIES = ("loss", "reward", "correct_rate", "format_rate", "completion_tokens", "entropy", "kl")
CURVES = np.linspace(0, 1, 3), np.ones((43, 3)), np.ones((43, 3))


def draw_traces(make_trajectory):
    ids = [f"q{i}" for i in range(6)]
    questions = [Question(name, LONG.format(name), "1") for name in ids]
    trajectories = [make_trajectory(question_id=name) for name in ids]
    return plot_traces(questions, trajectories, [make_trace(f"{name}-0", [2, 1, 0]) for name in ids])


FIGURES = {
    "traces": draw_traces,
    "alignment": lambda _: plot_alignment({title: {"random direction": [0.1, 0.2]} for title in MEASURES}),
    "training": lambda _: plot_training({"a": [{"step": i, **dict.fromkeys(QUANTITIES, 0.5)} for i in (1, 2)]}),
    "curves": lambda _: plot_wrong_curves(
        {"thinking": CURVES, "no-thinking": CURVES},
        [(LONG, np.arange(3.0), np.ones(3), np.ones(3), 1)] * 2,
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_titles_and_labels_keep_clear_of_each_other_and_of_the_edge(name, make_trajectory):
    figure = FIGURES[name](make_trajectory)
    figure.draw_without_rendering()
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert len(panels) > 2
    texts = [text for axis in panels for text in (axis._left_title, axis.xaxis.label, axis.yaxis.label)]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    for (one, box), (other, its) in itertools.combinations(boxes, 2):
        assert not box.overlaps(its), f"{one} | {other}"
