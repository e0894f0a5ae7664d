"""Results as figures."""

from raml.figures.traces import plot_traces, save_figure, smooth_ema
from raml.figures.training import plot_training

__all__ = ["plot_traces", "plot_training", "save_figure", "smooth_ema"]
