"""Results of studies as text: one result, and the table of all claims."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from raml.records import Estimate, Finding, Rule, StudyResult
from raml.store import write_markdown_table
from raml.studies.plan import Setup

FINDING_HEADINGS = ("measure", "rule", "measured", "seeds alone", "verdict")
CLAIM_HEADINGS = ("study", "in the paper", "claim", "verdict", "measured")


def list_findings(result: StudyResult) -> list[tuple[str, ...]]:
    """List a result's findings as rows under `FINDING_HEADINGS`."""
    return [
        (rule.says, write_rule(rule), write_value(rule, finding), write_seeds(finding), finding.verdict)
        for rule, finding in zip(result.rules, result.findings, strict=True)
    ]


def write_result(result: StudyResult, images: str = "") -> str:
    """Write a result as Markdown; `images` is put before the names of its figures."""
    parts = [
        f"## {result.name}: {result.verdict}\n",
        f"*{result.source}, scale {result.scale}.* {result.claim}\n",
        write_markdown_table(FINDING_HEADINGS, list_findings(result)),
    ]
    notes = [f"{finding.measure}: {finding.note}" for finding in result.findings if finding.note]
    parts += [f"{' '.join((*notes, *result.remarks))}\n"] if notes or result.remarks else []
    if result.verdict != "supported":
        parts.append(f"**What would have to be true:** {result.otherwise}\n")
    parts += [
        f"![{result.source}, measured again]({images}{name})\n" for name in result.figures if name.endswith("png")
    ]
    seeds = ", ".join(map(str, result.seeds))
    parts.append(f"Models: {', '.join(result.models)}. Seeds: {seeds}. Steps took {write_minutes(result.wall_s)}.\n")
    return "\n".join(parts)


def list_claims(setups: Mapping[str, Setup], results: Sequence[StudyResult]) -> list[tuple[str, ...]]:
    """List every study, its claim and what came out as rows under `CLAIM_HEADINGS`; at most one result each."""
    found = {result.name: result for result in results}
    rows = []
    for name, setup in setups.items():
        result = found.get(name)
        verdict = result.verdict if result else "not run"
        rows.append((name, setup.source, setup.claim, verdict, write_effects(result) if result else ""))
    return rows


def write_claims(setups: Mapping[str, Setup], results: Sequence[StudyResult], images: str = "") -> str:
    """Write all claims and results as Markdown, the table first."""
    table = write_markdown_table(CLAIM_HEADINGS, list_claims(setups, results))
    return "\n".join([table, *(write_result(result, images) for result in results)])


def write_effects(result: StudyResult) -> str:
    """Write all measures of a result in one line."""
    pairs = zip(result.rules, result.findings, strict=True)
    return "; ".join(f"{rule.measure} {write_value(rule, finding)}" for rule, finding in pairs)


def write_rule(rule: Rule) -> str:
    """Write where a measure has to lie."""
    if rule.above is not None:
        return f"above {write_number(rule.above)} {rule.unit}".rstrip()
    assert rule.below is not None
    return f"below {write_number(rule.below)} {rule.unit}".rstrip()


def write_value(rule: Rule, finding: Finding) -> str:
    """Write a value with its interval and unit."""
    if finding.value is None:
        return "not measured"
    low = "−∞" if finding.low is None else write_number(finding.low)
    high = "∞" if finding.high is None else write_number(finding.high)
    return f"{write_number(finding.value)} [{low}, {high}] {rule.unit}".rstrip()


def write_estimate(estimate: Estimate, unit: str = "") -> str:
    """Write an estimate with its interval, if it has one."""
    ends = f" [{write_number(estimate.low)}, {write_number(estimate.high)}]" if math.isfinite(estimate.low) else ""
    return f"{write_number(estimate.value)}{ends} {unit}".rstrip()


def write_change(estimate: Estimate, spec: str) -> str:
    """Write a difference with its interval, all with their signs, such as "+2.3 [−0.4, +5.0]" with ".1f"."""
    low, high, value = (f"{end:+{spec}}" for end in (estimate.low, estimate.high, estimate.value))
    return f"{value} [{low}, {high}]".replace("-", "−")


def write_seeds(finding: Finding) -> str:
    """Write the values of single training seeds."""
    return ", ".join(map(write_number, finding.by_seed))


def write_number(value: float) -> str:
    """Write a number with three digits that count."""
    if value == 0:
        return "0"
    text = f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"
    return text.replace("-", "−")


def write_minutes(seconds: float) -> str:
    """Write a duration."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
