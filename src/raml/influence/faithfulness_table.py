"""The comparison of probe and resampling as a sentence and tables, for terminal and Markdown, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from raml.influence.agreement import PAIRS, Agreement, Lead
from raml.influence.faithfulness import MIN_SENTENCES, FaithfulnessSummary, Reliability
from raml.influence.sentences import CONTRAST, FALL, OWN, SHARE
from raml.records import Estimate
from raml.stats import SIGNIFICANT, write_p, write_relation
from raml.store import escape_markdown, write_markdown_table

Table = tuple[list[str], list[list[str]]]
"""Headings, and rows of as many cells."""
_PLAINLY = {
    FALL: "fall of L̂ of the gold answer",
    OWN: "change of log(L̂ + ε) of the own answer, either way",
    SHARE: "rise of the share of right continuations",
    CONTRAST: "contrast of the answers after and before",
}


def judge_faithfulness(summary: FaithfulnessSummary) -> str:
    """Say in plain words whether the probe finds the sentences that resampling finds.

    Two pairs decide: how far L̂ of the gold answer falls, against the share of right continuations; how far log(L̂ + ε)
    of the own answer changes, against the contrast of the answers. The probe agrees with resampling in a pair if the
    interval of their mean rank correlation lies above 0, and the permutation test's p is below 5 % after Holm's
    correction. It is worth its name if it agrees better than a sentence's place and better than its length, both at 5 %
    after the correction, each baseline turned the way that suits it better.
    """
    return " ".join(_judge_pair(summary, *pair) for pair in PAIRS[:2])


def _judge_pair(summary: FaithfulnessSummary, resampled: str, measure: str) -> str:
    made = summary.find_agreement(resampled, measure)
    subject = f"{summary.model}, {_PLAINLY[measure]} against {_PLAINLY[resampled]}"
    if made is None or made.spearman is None or made.p_holm is None:
        return f"{subject}: nothing can be said, no trajectory has an order on both sides."
    rho = made.spearman
    if not math.isfinite(rho.low):
        return f"{subject}: nothing can be said, one question tells nothing about others."
    agrees = made.p_holm < SIGNIFICANT and rho.low > 0
    if made.p_holm >= SIGNIFICANT or rho.low <= 0 <= rho.high:
        verdict = "probe and resampling are not shown to agree on which sentences matter"
    elif rho.high < 0:
        verdict = "probe and resampling disagree, sentences that matter more to one matter less to the other"
    else:
        verdict = "probe and resampling agree on which sentences matter"
    found = next((row for row in summary.reliabilities if row.resampled == resampled), None)
    ceiling = f"; the noise of {summary.n} continuations allows {found.ceiling:.2f}" if found else ""
    text = (
        f"{subject}: {verdict} (mean rank correlation {write_estimate(rho)} over {rho.n_questions} questions, "
        f"p {write_relation(made.p_holm)}{ceiling})."
    )
    return f"{text} {_judge_leads(summary, resampled, measure)}".rstrip() if agrees else text


def _judge_leads(summary: FaithfulnessSummary, resampled: str, measure: str) -> str:
    """Say whether the probe is worth more than place and length; nothing if it can't be compared with them."""
    leads = [lead for lead in summary.leads if (lead.resampled, lead.measure) == (resampled, measure)]
    if not leads:
        return ""
    parts = [f"{lead.baseline} {write_estimate(lead.difference)}, p {write_relation(lead.p_holm)}" for lead in leads]
    is_ahead = len(leads) == 2 and all(lead.difference.low > 0 and lead.p_holm < SIGNIFICANT for lead in leads)
    verdict = "It is" if is_ahead else "It is not shown to be"
    return f"{verdict} a better guide than place and length of the sentence (difference to {'; to '.join(parts)})."


def list_agreements(summary: FaithfulnessSummary) -> Table:
    """List how well probe and baselines rank sentences as resampling does."""
    headings = ["trajectories", "resampling", "against", "n", "questions", "Spearman", "Kendall τ-b", "p", "p (Holm)"]
    return [*headings, "constant", "unranked"], [_list_agreement(made) for made in summary.agreements]


def list_leads(summary: FaithfulnessSummary) -> Table:
    """List how much better the probe agrees than a sentence's place and length do."""
    headings = ["resampling", "probe", "minus", "questions", "difference", "p", "p (Holm)"]
    return headings, [_list_lead(lead) for lead in summary.leads]


def list_reliabilities(summary: FaithfulnessSummary) -> Table:
    """List how well resampling agrees with itself."""
    headings = ["resampling", "questions", "halves", "reliability", "most that can be reached"]
    return headings, [_list_reliability(row) for row in summary.reliabilities]


def describe_summary(summary: FaithfulnessSummary) -> list[str]:
    """Say what a reader of the tables must know, a line each."""
    lines = [
        f"{summary.n_trajectories} trajectories ({summary.n_right} right, {summary.n_wrong} wrong) of "
        f"{summary.n_questions} questions, {summary.n_sentences} sentences, {summary.n_continuations:,} continuations, "
        f"{summary.n} from each border; {summary.n_silent:,} gave no answer, {summary.n_undecided:,} are undecided.",
        "share right: change of the share of right continuations; contrast: how alike the answers change in two halves "
        "of the continuations, ½ Σ Δ_even Δ_odd; distance: total variation distance of the answers after a sentence "
        "from those before it; divergence: Kullback–Leibler, with one added to each count.",
        "Correlations are within a trajectory, averaged over questions, with 95 % intervals over questions. p: the "
        "probe's values shuffled within each trajectory; of differences a paired sign-flip test over questions; Holm: "
        "for all rows of a table.",
        "constant: resampling calls all sentences of the trajectory equally important, such as when each continuation "
        "is right; there is then nothing to agree with. unranked: the other side does, or it is not known of two "
        "sentences how important they are.",
    ]
    if summary.n_short:
        lines.append(f"{summary.n_short} trajectories have fewer than {MIN_SENTENCES} sentences and are left out.")
    if summary.distance is not None and summary.chance is not None:
        lines.append(
            f"A sentence changes the answers by a distance of {write_estimate(summary.distance)}; were it without "
            f"effect, chance alone would give {write_estimate(summary.chance)}. That is more where answers vary more, "
            "so the rank of a distance, or of a divergence, is in part that of the noise; contrast and share right "
            "are as likely below 0 as above where a sentence has no effect."
        )
    return lines


def write_markdown(summaries: Sequence[FaithfulnessSummary]) -> str:
    """Write sentence, tables and notes of each model."""
    parts: list[str] = []
    for summary in summaries:
        parts += [f"# {escape_markdown(summary.model)}\n", f"{escape_markdown(judge_faithfulness(summary))}\n"]
        tables = (list_agreements(summary), list_leads(summary), list_reliabilities(summary))
        parts += [write_markdown_table(*table) for table in tables if table[1]]
        parts.append("".join(f"* {escape_markdown(line)}\n" for line in describe_summary(summary)))
    return "\n".join(parts)


def write_json(summaries: Sequence[FaithfulnessSummary]) -> str:
    """Write the summaries as a list, each with its sentence; an interval without ends has null there."""
    plain = [{**msgspec.to_builtins(one), "sentence": judge_faithfulness(one)} for one in summaries]
    return msgspec.json.format(msgspec.json.encode(plain), indent=2).decode() + "\n"


def write_estimate(estimate: Estimate) -> str:
    """A correlation or distance with its interval, where it has one."""
    if not math.isfinite(estimate.low):
        return f"{estimate.value:z.2f}"
    return f"{estimate.value:z.2f} [{estimate.low:z.2f}, {estimate.high:z.2f}]"


def _list_agreement(made: Agreement) -> list[str]:
    return [
        made.text,
        made.resampled,
        made.measure,
        str(made.n_trajectories),
        str(made.spearman.n_questions if made.spearman else 0),
        *("" if value is None else write_estimate(value) for value in (made.spearman, made.kendall)),
        *("" if p is None else write_p(p) for p in (made.p, made.p_holm)),
        str(made.n_constant),
        str(made.n_unranked),
    ]


def _list_lead(lead: Lead) -> list[str]:
    return [
        lead.resampled,
        lead.measure,
        lead.baseline,
        str(lead.difference.n_questions),
        write_estimate(lead.difference),
        *(write_p(p) for p in (lead.p, lead.p_holm)),
    ]


def _list_reliability(row: Reliability) -> list[str]:
    corrected = (
        f"{row.value:z.2f}"
        if not math.isfinite(row.halves.low)
        else (f"{row.value:z.2f} [{row.low:z.2f}, {row.high:z.2f}]")
    )
    return [row.resampled, str(row.halves.n_questions), write_estimate(row.halves), corrected, f"{row.ceiling:.2f}"]
