"""Made-up summaries for views, with numbers that are easy to recognise."""

from raml.records import (
    AlignmentDifference,
    AlignmentRow,
    AlignmentSettings,
    AlignmentSummary,
    Effect,
    Estimate,
    Frontier,
    FrontierPoint,
    InfluenceRow,
    InfluenceSettings,
    InfluenceSummary,
    LargestStep,
    TraceSettings,
)


def estimate(value, reach=0.05, name="made up", n_questions=20):
    return Estimate(name, value, value - reach, value + reach, 0.95, "BCa+t", n_questions)


def make_point(method, variant="", level=0.0, accuracy=0.5, tokens=(100, 110), passed=0.8, difference=None):
    return FrontierPoint(
        method=method,
        variant=variant,
        level=level,
        n_questions=20,
        n_trajectories=80,
        n_attempts=80,
        n_left_out=0,
        n_leaked=0,
        n_repeated=0,
        accuracy=estimate(accuracy),
        pass_at_n=None if passed is None else estimate(passed),
        n_thinking=estimate(tokens[0], 1),
        n_generated=estimate(tokens[1], 1),
        saved_context=None,
        saved_generated=None,
        difference=difference,
        p=None,
        p_holm=None,
    )


def make_frontier(points, **changes):
    values = {
        "model": "hub/made-up",
        "writer": "hub/made-up",
        "n": 4,
        "n_questions": 20,
        "n_trajectories": 80,
        "n_undecided": 0,
        "n_cut_off": 0,
        "n_elsewhere": 0,
        "tolerance": 0.01,
        "points": tuple(points),
        "empty": (),
        "controls": (),
        "choices": (),
        "level": 0.95,
    }
    return Frontier(**values | changes)


def make_effect(value, p_holm=0.001, reach=0.05):
    return Effect(estimate(value, reach), p_holm / 2, p_holm, 30)


def make_row(family, group, size=None, direction=None, mean=0.5, median=0.25, n=30, outcome="all"):
    return InfluenceRow(
        family=family,
        group=group,
        outcome=outcome,
        n_units=n,
        n_trajectories=10,
        n_questions=5,
        n_mixed=0,
        n_unmatched=2,
        mean_relative=mean,
        median_relative=median,
        n_undefined=0,
        mean_size=None,
        mean_direction=None,
        size=size,
        direction=direction,
        relative=None,
    )


def make_influence(rows, *, text="wait", **changes):
    values = {
        "model": "hub/made-up",
        "writer": "hub/made-up",
        "settings": InfluenceSettings(words=("wait", "since")),
        "trace": TraceSettings(),
        "mode": "think",
        "n_trajectories": 10,
        "n_right": 6,
        "n_wrong": 4,
        "n_questions": 5,
        "n_steps": 1000,
        "every_token": True,
        "n_sentences": 40,
        "n_sentences_unknown": 0,
        "largest": LargestStep("0123456789", text, 0.001, 0.5, 499.0, 3.8),
        "level": 0.95,
        "n_resamples": 999,
        "rows": tuple(rows),
    }
    return InfluenceSummary(**values | changes)


def make_alignment_summary(whole, step, nulls=(), **changes):
    """Right trajectories' two cosines, and by null text how much larger the whole update's is, with its p."""
    values = {
        "model": "made-up",
        "settings": AlignmentSettings(n_prefixes=2, n_directions=2),
        "rows": (AlignmentRow("right", 20, {"cosine": whole, "step cosine": step}, None, None),),
        "differences": tuple(AlignmentDifference("cosine", text, made, p, p) for text, made, p in nulls),
        "ceiling": 0.6,
        "spread": 0.01,
        "outside": None,
        "lowering": None,
        "raising": None,
        "n_undefined": 0,
    }
    return AlignmentSummary(**values | changes)


def find_part(view, key):
    (part,) = [part for part in view.parts if part.key == key]
    return part
