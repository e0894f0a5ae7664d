"""Results as figures."""

from raml.figures.evaluation import plot_evaluation
from raml.figures.traces import plot_traces, save_figure, smooth_ema
from raml.figures.training import plot_training

__all__ = ["plot_evaluation", "plot_traces", "plot_training", "save_figure", "smooth_ema"]
