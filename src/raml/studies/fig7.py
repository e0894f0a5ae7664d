"""Fig. 7: what training on one domain does to larger instances of it, and to another domain."""

from __future__ import annotations

from pathlib import Path

from raml.figures.trained import plot_models
from raml.studies.answers import METRICS, describe_gain, measure_gain, show_models
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import find_model, get_seeds, plan_tested
from raml.studies.plan import Setup, Step
from raml.studies.techniques import LABELS, count_techniques

TECHNIQUES = ("base", "sft", "sft-grpo")
RULED = {"Avg": METRICS["Pass@1"], "Pass@8": METRICS["Pass@8"]}


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    return [
        step
        for seed in get_seeds(setup)
        for test_sets in setup.options["domains"].values()
        for test_set in test_sets
        for technique in TECHNIQUES
        for step in plan_tested(setup, technique, test_set, seed)
    ]


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure what trained models gain on the base, domain by domain."""
    measures, panels, remarks = {}, {}, []
    for domain, test_sets in setup.options["domains"].items():
        found = count_techniques(setup, home, TECHNIQUES, test_sets)
        for name, metric in RULED.items():
            for technique in TECHNIQUES[1:]:
                gain = measure_gain(metric, found[technique], found["base"])
                measures[f"{LABELS[technique]}, {domain}, {name}"] = gain
        remarks.append(describe_gain(f"GRPO after SFT minus SFT, {domain}", found["sft-grpo"], found["sft"]))
        shown = show_models(METRICS, {LABELS[name]: counts for name, counts in found.items()})
        panels |= {f"{metric}, {domain}": models for metric, models in shown.items()}
    return Outcome(
        measures=measures,
        figures={"": plot_models(panels)},
        models=[find_model(setup, "base", 0)],
        seeds=get_seeds(setup),
        remarks=remarks,
    )
