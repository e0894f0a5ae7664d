"""Results as figures."""

from raml.figures.evaluation import plot_evaluation
from raml.figures.traces import plot_traces, save_figure, smooth_ema
from raml.figures.training import plot_training
from raml.figures.updates import plot_updates

__all__ = ["plot_evaluation", "plot_traces", "plot_training", "plot_updates", "save_figure", "smooth_ema"]
