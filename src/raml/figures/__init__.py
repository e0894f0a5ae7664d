"""Results as figures."""

from raml.figures.evaluation import plot_evaluation
from raml.figures.landscape import plot_landscape
from raml.figures.landscape_page import build_landscape_page
from raml.figures.traces import plot_traces, save_figure, smooth_ema
from raml.figures.training import plot_training
from raml.figures.updates import plot_updates

__all__ = [
    "build_landscape_page",
    "plot_evaluation",
    "plot_landscape",
    "plot_traces",
    "plot_training",
    "plot_updates",
    "save_figure",
    "smooth_ema",
]
