"""Results as figures."""

from raml.figures.traces import plot_traces, save_figure, smooth_ema

__all__ = ["plot_traces", "save_figure", "smooth_ema"]
