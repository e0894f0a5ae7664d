"""Table 3: GRPO after SFT against either alone."""

from __future__ import annotations

from pathlib import Path

from raml.studies.answers import METRICS, describe_gain, measure_gain
from raml.studies.conclusion import Outcome
from raml.studies.ingredients import TECHNIQUES, find_model, get_seeds, plan_tested
from raml.studies.plan import Setup, Step
from raml.studies.techniques import LABELS, count_techniques, draw_table


def plan(setup: Setup) -> list[Step]:
    """List the steps."""
    return [
        step
        for seed in get_seeds(setup)
        for test_set in setup.options["test_sets"]
        for technique in TECHNIQUES
        for step in plan_tested(setup, technique, test_set, seed)
    ]


def conclude(setup: Setup, home: Path) -> Outcome:
    """Measure what GRPO after SFT gains on Zero-GRPO, and on SFT."""
    found = count_techniques(setup, home, TECHNIQUES)
    both, zero, sft = found["sft-grpo"], found["zero-grpo"], found["sft"]
    metric = METRICS["mG-Pass@8"]
    return Outcome(
        measures={"over Zero-GRPO": measure_gain(metric, both, zero), "over SFT": measure_gain(metric, both, sft)},
        figures={"": draw_table({LABELS[name]: found[name] for name in TECHNIQUES})},
        models=[find_model(setup, "base", 0)],
        seeds=get_seeds(setup),
        remarks=[
            describe_gain("GRPO after SFT minus Zero-GRPO", both, zero),
            describe_gain("GRPO after SFT minus SFT", both, sft),
            describe_gain("GRPO after SFT minus base", both, found["base"]),
        ],
    )
