"""Results as figures."""

from raml.figures.adaptation import plot_adaptation
from raml.figures.alignment import plot_alignment, plot_alignment_layers, plot_loss_changes
from raml.figures.curves import plot_mode_curves, plot_question_curves, plot_wrong_curves
from raml.figures.curves_readout import plot_readouts, plot_recognition
from raml.figures.evaluation import plot_evaluation
from raml.figures.faithfulness import plot_faithfulness
from raml.figures.frontier import plot_frontier
from raml.figures.influence import plot_influence, plot_influence_groups
from raml.figures.landscape import plot_landscape
from raml.figures.saving import save_figure
from raml.figures.traces import plot_traces, smooth_ema
from raml.figures.training import plot_training
from raml.figures.updates import plot_updates

__all__ = [
    "plot_adaptation",
    "plot_alignment",
    "plot_alignment_layers",
    "plot_evaluation",
    "plot_faithfulness",
    "plot_frontier",
    "plot_influence",
    "plot_influence_groups",
    "plot_landscape",
    "plot_loss_changes",
    "plot_mode_curves",
    "plot_question_curves",
    "plot_readouts",
    "plot_recognition",
    "plot_traces",
    "plot_training",
    "plot_updates",
    "plot_wrong_curves",
    "save_figure",
    "smooth_ema",
]
