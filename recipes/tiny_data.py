"""Training rows for the tiny models: what the base reads, and what the SFT model reads."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from raml.prompts import THINK_CLOSE, build_prompt, encode_text
from raml.records import PromptSettings, Question, TraceSettings
from raml.tiny.expressions import HIGHEST, LOWEST, apply_reduction, find_reductions, render_expression
from raml.tiny.oracle import OracleTrajectory, write_trajectories
from raml.tiny.questions import make_questions, read_expression
from raml.tiny.tokenizer import TURN_END
from raml.training.examples import NO_LOSS, Example

THINK, NOTHINK = PromptSettings(), PromptSettings(mode="nothink")
NO_THOUGHT_ANSWER = "**Final Answer**\n\\boxed{"


@dataclass(frozen=True)
class Mix:
    """What share of questions brings which rows besides the trajectory itself."""

    slip: float
    """Chance per step of a slip that is put right; its line is read without loss."""
    wrong: float
    """Chance per step that the trajectory goes wrong for good; gives the base its mistakes."""
    malformed: float
    """Share of responses that break the format."""
    nothink: float
    """Share of questions that are also answered without thinking."""
    early: int
    """Early answers per question: rows that break another trajectory off and give the true answer."""


BASE_SHORT = Mix(slip=0.0, wrong=0.0, malformed=0.0, nothink=0.1, early=1)
BASE_NOISY = Mix(slip=0.03, wrong=0.15, malformed=0.3, nothink=0.08, early=1)
SFT = Mix(slip=0.03, wrong=0.0, malformed=0.0, nothink=0.08, early=1)


def make_solution_rows(
    tokenizer: PreTrainedTokenizerBase, questions: Sequence[Question], mix: Mix, rng: random.Random
) -> list[Example]:
    """Make the rows of one trajectory per question, with early answers and no-thinking rows as the mix says."""
    rows = []
    close_id, end_id = encode_text(tokenizer, THINK_CLOSE + TURN_END)
    for question in questions:
        prompt = list(build_prompt(tokenizer, question, THINK))
        oracles = write_trajectories(question, 1 + mix.early, seed=rng.getrandbits(32), slip=mix.slip)
        for number, oracle in enumerate(oracles):
            correct, loss = encode_response(tokenizer, oracle)
            response, loss = _spoil(tokenizer, correct, loss, oracle, mix, rng)
            if number == 0:
                rows.append(_make_row(prompt, [*response, end_id], [*loss, True]))
                continue
            # It leaves before the first mistake: the true answer after a wrong step would teach to ignore steps.
            same = [a == b for a, b in zip(correct, response, strict=False)]
            last_cut = min([*same, False].index(False), correct.index(close_id))
            cut = 0 if rng.random() < 0.05 else rng.randint(0, last_cut)
            rows.append(_make_early_answer(tokenizer, prompt, response[:cut], loss[:cut], question.answer))
        if rng.random() < mix.nothink:
            prompt_without = list(build_prompt(tokenizer, question, NOTHINK))
            answer = list(encode_text(tokenizer, f"{NO_THOUGHT_ANSWER}{question.answer}}}{TURN_END}"))
            rows.append(_make_row(prompt_without, answer, [True] * len(answer)))
    return rows


def encode_response(tokenizer: PreTrainedTokenizerBase, oracle: OracleTrajectory) -> tuple[list[int], list[bool]]:
    """Turn a response into token ids and, for each, whether loss is taken on it: not on the lines that are slips."""
    before, after = oracle.text.split(oracle.reasoning, 1)
    pieces = [(before, True)]
    pieces += [(line.text + "\n", not line.slip) for line in oracle.lines[:-1]]
    pieces += [(oracle.lines[-1].text, True), (after, True)]
    ids: list[int] = []
    loss: list[bool] = []
    for text, wanted in pieces:  # a line end is a token of its own, so lines encode alone as they do together
        more = encode_text(tokenizer, text)
        ids += more
        loss += [wanted] * len(more)
    return ids, loss


def make_text_rows(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[Example]:
    """Make rows of plain text with loss on every token."""
    rows = []
    for text in texts:
        ids = list(encode_text(tokenizer, text + TURN_END))
        rows.append(_make_row([], ids, [True] * len(ids)))
    return rows


def write_facts(rng: random.Random, n_lines: int = 12) -> str:
    """Write single steps as they occur inside trajectories, such as 17+8=25 or max[4,31]=31."""
    lines: list[str] = []
    while len(lines) < n_lines:
        kind = rng.choice(("+", "-", "*", "fold"))
        high = rng.choice((9, 20, HIGHEST))
        a, b = rng.randint(LOWEST, high), rng.randint(LOWEST, 9 if kind == "*" else high)
        if rng.random() < 0.5:
            a, b = b, a
        if kind == "fold":
            name = rng.choice(("max", "min", "sum"))
            text, value = f"{name}[{a},{b}]", {"max": max(a, b), "min": min(a, b), "sum": a + b}[name]
        else:
            text, value = f"{a}{kind}{b}", {"+": a + b, "-": a - b, "*": a * b}[kind]
        if LOWEST <= value <= HIGHEST:
            lines.append(f"{text}={value}")
    return "\n".join(lines)


def write_copies(question: Question, rng: random.Random) -> str:
    """Write a question's expression two or three times."""
    return "\n".join([render_expression(read_expression(question))] * rng.randint(2, 3))


def write_rewrites(question: Question, rng: random.Random) -> str:
    """Write an expression and one or two reduction steps from it."""
    expression = read_expression(question)
    lines = [render_expression(expression)]
    for _ in range(2):
        if steps := find_reductions(expression):
            step = rng.choice(steps)
            expression = apply_reduction(expression, step)
            lines.append(f"{step.text}={step.value} so {render_expression(expression)}")
    return "\n".join(lines)


def make_base_rows(tokenizer: PreTrainedTokenizerBase, scale: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Make the base model's two stages: skills (facts, copies, rewrites, short solutions), then noisy solutions."""
    rng = random.Random(seed)

    def draw(n: int, low: int, high: int) -> list[Question]:
        return make_questions(max(8, round(n * scale)), split="train", size=(low, high), seed=rng.getrandbits(32))

    skills = make_text_rows(tokenizer, [write_facts(rng) for _ in range(max(8, round(6000 * scale)))])
    skills += make_text_rows(tokenizer, [write_copies(question, rng) for question in draw(5000, 3, 7)])
    skills += make_text_rows(tokenizer, [write_rewrites(question, rng) for question in draw(14000, 3, 7)])
    skills += make_solution_rows(tokenizer, draw(6000, 2, 4), BASE_SHORT, rng)
    noisy = make_solution_rows(tokenizer, draw(9000, 3, 6), BASE_NOISY, rng)
    return skills, noisy


def make_sft_rows(tokenizer: PreTrainedTokenizerBase, scale: float, seed: int) -> list[Example]:
    """Make the SFT stage: one verbose oracle trajectory for each of many questions of the trained sizes."""
    rng = random.Random(seed)
    questions = make_questions(max(8, round(18000 * scale)), split="train", seed=rng.getrandbits(32))
    return make_solution_rows(tokenizer, questions, SFT, rng)


def _make_row(prompt: list[int], response: list[int], loss: list[bool]) -> Example:
    labels = [token if wanted else NO_LOSS for token, wanted in zip(response, loss, strict=True)]
    return Example((*prompt, *response), (*[NO_LOSS] * len(prompt), *labels))


def _make_early_answer(
    tokenizer: PreTrainedTokenizerBase, prompt: list[int], reasoning: list[int], loss: list[bool], answer: str
) -> Example:
    """Break a trajectory off, go over the bridge without loss, and state the true answer.

    Without such rows the answer's NLL along right trajectories rises in the middle: a model that never saw an answer
    there takes the bridge for a sign that the number before it is the answer.
    """
    bridge = list(encode_text(tokenizer, TraceSettings().bridge))
    stated = list(encode_text(tokenizer, f"{answer}}}{TURN_END}"))
    wanted = [*loss, *[False] * len(bridge), *[True] * len(stated)]
    return _make_row(prompt, [*reasoning, *bridge, *stated], wanted)


def _spoil(
    tokenizer: PreTrainedTokenizerBase,
    response: list[int],
    loss: list[bool],
    oracle: OracleTrajectory,
    mix: Mix,
    rng: random.Random,
) -> tuple[list[int], list[bool]]:
    """Put mistakes into a response, as often as the mix says: wrong numbers that are carried on, or a broken format."""
    text = oracle.text
    if rng.random() < mix.malformed:
        statement = text.partition(THINK_CLOSE)[2]
        text = rng.choice(
            (
                text.replace(statement, f"\nThe answer is {oracle.answer}."),
                text.replace(f"\n{THINK_CLOSE}", ""),
                text.replace("<think>\n", ""),
            )
        )
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if " so " in line and rng.random() < mix.wrong:
            head, _, state = line.rpartition(" so ")
            lines[i] = f"{head} so {_change_number(state, rng)}"
    if lines == oracle.text.split("\n"):
        return response, loss
    ids = list(encode_text(tokenizer, "\n".join(lines)))
    return ids, [True] * len(ids)


def _change_number(state: str, rng: random.Random) -> str:
    """Replace one digit of an expression by another one."""
    places = [i for i, character in enumerate(state) if character.isdigit()]
    place = rng.choice(places)
    return f"{state[:place]}{rng.randint(1, 9)}{state[place + 1 :]}"
