"""See where along a reasoning trajectory a language model makes its answer.

Everything here is a function over the records of `raml.records`; the command line composes the same functions:

    import raml
    from raml.tiny import make_questions

    loaded = raml.load_model("tiny")
    questions = make_questions(8, split="test")
    trajectories = raml.sample_trajectories(loaded, questions, n=4)
    gold = {question.id: question.answer for question in questions}
    traces = [raml.trace_trajectory(loaded, t, gold[t.question_id]) for t in trajectories]
    raml.plot_traces(questions, trajectories, traces, alpha=0.1)
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raml.answers import extract_answer, grade_response, same_answer
    from raml.curves import CurveSettings, group_curves, summarize_curves
    from raml.efficiency import (
        CutSettings,
        ExitRule,
        PruneSettings,
        build_frontier,
        cut_trajectories,
        prune_trajectories,
        simulate_exits,
        verify_exits,
    )
    from raml.errors import DataError, MissingExtra, ModelError, NumericsError, RamlError, RunError, UndecidedError
    from raml.evaluation import choose_metrics, collect_cells, evaluate
    from raml.figures import (
        plot_adaptation,
        plot_alignment,
        plot_evaluation,
        plot_landscape,
        plot_traces,
        plot_training,
        plot_updates,
        save_figure,
        smooth_ema,
    )
    from raml.influence import measure_influence, summarize_faithfulness, summarize_influences
    from raml.landscapes import build_landscape, draw_direction, measure_points, project_path, span_path
    from raml.models import LoadedModel, load_model
    from raml.probes import read_out_trajectory, resample_trajectory, trace_trajectory
    from raml.questions import clean_questions, read_question_file
    from raml.questions.sources import SourceSettings, load_source
    from raml.records import (
        Adaptation,
        AdaptSettings,
        Alignment,
        AlignmentSettings,
        CodeTests,
        Estimate,
        Evaluation,
        Landscape,
        LandscapeSettings,
        Manifest,
        ModelIdentity,
        PromptSettings,
        Question,
        Readout,
        ReadoutSettings,
        SamplingSettings,
        Trace,
        TraceSettings,
        Trajectory,
        Update,
        UpdateSettings,
    )
    from raml.report import build_report
    from raml.sampling import make_imported, sample_trajectories
    from raml.scale import Workers, open_pool
    from raml.scoring import Job, answer_nll_by_definition, answer_nll_in_one_pass, find_obstacle, score_in_one_pass
    from raml.stats import (
        Counts,
        Metric,
        compare_metric,
        compute_p_value,
        compute_paired_p_value,
        estimate_mean,
        estimate_metric,
    )
    from raml.store import Run
    from raml.training import (
        DpoSettings,
        GrpoSettings,
        SftSettings,
        TrainingResult,
        train_dpo,
        train_grpo,
        train_sft,
    )
    from raml.updates import (
        adapt_to_trajectory,
        applying,
        compile_trajectory,
        measure_alignment,
        trace_path,
        write_adapter,
    )

__version__ = version("raml")

# Loaded at first use: `import raml` costs no torch.
_ROOMS = {
    "raml.answers": "extract_answer grade_response same_answer",
    "raml.curves": "CurveSettings group_curves summarize_curves",
    "raml.efficiency": (
        "CutSettings ExitRule PruneSettings build_frontier cut_trajectories prune_trajectories simulate_exits "
        "verify_exits"
    ),
    "raml.errors": "DataError ModelError MissingExtra NumericsError RamlError RunError UndecidedError",
    "raml.evaluation": "choose_metrics collect_cells evaluate",
    "raml.figures": (
        "plot_adaptation plot_alignment plot_evaluation plot_landscape plot_traces plot_training plot_updates "
        "save_figure smooth_ema"
    ),
    "raml.influence": "measure_influence summarize_faithfulness summarize_influences",
    "raml.landscapes": "build_landscape draw_direction measure_points project_path span_path",
    "raml.models": "LoadedModel load_model",
    "raml.probes": "read_out_trajectory resample_trajectory trace_trajectory",
    "raml.questions": "clean_questions read_question_file",
    "raml.questions.sources": "SourceSettings load_source",
    "raml.records": (
        "AdaptSettings Adaptation Alignment AlignmentSettings CodeTests Estimate Evaluation Landscape "
        "LandscapeSettings Manifest ModelIdentity PromptSettings Question Readout ReadoutSettings SamplingSettings "
        "Trace TraceSettings Trajectory Update UpdateSettings"
    ),
    "raml.report": "build_report",
    "raml.sampling": "make_imported sample_trajectories",
    "raml.scale": "Workers open_pool",
    "raml.scoring": "Job answer_nll_by_definition answer_nll_in_one_pass find_obstacle score_in_one_pass",
    "raml.stats": "Counts Metric compare_metric compute_p_value compute_paired_p_value estimate_mean estimate_metric",
    "raml.store": "Run",
    "raml.updates": "adapt_to_trajectory applying compile_trajectory measure_alignment trace_path write_adapter",
    "raml.training": "DpoSettings GrpoSettings SftSettings TrainingResult train_dpo train_grpo train_sft",
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names.split()}

__all__ = [
    "AdaptSettings",
    "Adaptation",
    "Alignment",
    "AlignmentSettings",
    "CodeTests",
    "Counts",
    "CurveSettings",
    "CutSettings",
    "DataError",
    "DpoSettings",
    "Estimate",
    "Evaluation",
    "ExitRule",
    "GrpoSettings",
    "Job",
    "Landscape",
    "LandscapeSettings",
    "LoadedModel",
    "Manifest",
    "Metric",
    "MissingExtra",
    "ModelError",
    "ModelIdentity",
    "NumericsError",
    "PromptSettings",
    "PruneSettings",
    "Question",
    "RamlError",
    "Readout",
    "ReadoutSettings",
    "Run",
    "RunError",
    "SamplingSettings",
    "SftSettings",
    "SourceSettings",
    "Trace",
    "TraceSettings",
    "TrainingResult",
    "Trajectory",
    "UndecidedError",
    "Update",
    "UpdateSettings",
    "Workers",
    "__version__",
    "adapt_to_trajectory",
    "answer_nll_by_definition",
    "answer_nll_in_one_pass",
    "applying",
    "build_frontier",
    "build_landscape",
    "build_report",
    "choose_metrics",
    "clean_questions",
    "collect_cells",
    "compare_metric",
    "compile_trajectory",
    "compute_p_value",
    "compute_paired_p_value",
    "cut_trajectories",
    "draw_direction",
    "estimate_mean",
    "estimate_metric",
    "evaluate",
    "extract_answer",
    "find_obstacle",
    "grade_response",
    "group_curves",
    "load_model",
    "load_source",
    "make_imported",
    "measure_alignment",
    "measure_influence",
    "measure_points",
    "open_pool",
    "plot_adaptation",
    "plot_alignment",
    "plot_evaluation",
    "plot_landscape",
    "plot_traces",
    "plot_training",
    "plot_updates",
    "project_path",
    "prune_trajectories",
    "read_out_trajectory",
    "read_question_file",
    "resample_trajectory",
    "same_answer",
    "sample_trajectories",
    "save_figure",
    "score_in_one_pass",
    "simulate_exits",
    "smooth_ema",
    "span_path",
    "summarize_curves",
    "summarize_faithfulness",
    "summarize_influences",
    "trace_path",
    "trace_trajectory",
    "train_dpo",
    "train_grpo",
    "train_sft",
    "verify_exits",
    "write_adapter",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'raml' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
