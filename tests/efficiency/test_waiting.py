"""Reasoning made longer equals a slow definition, keeps to its budgets, and is counted honestly."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from raml.efficiency import waiting
from raml.efficiency.cut import CutSettings, cut_trajectories
from raml.efficiency.waiting import WaitSettings, choose_longer_budgets, key_wait, wait
from raml.errors import DataError, ModelError, NumericsError
from raml.prompts import decode_text, encode_text
from raml.records import ReadoutSettings, Trajectory
from raml.sampling import draw_uniforms


@torch.inference_mode()
def write_slowly(tiny, ids, uniforms=None, n=32):
    """Tokens after some ids, one forward pass each: by inverse transform sampling, or the most likely ones."""
    new = []
    for step in range(n):
        logits = tiny.model(torch.tensor([[*ids, *new]]), use_cache=False).logits[0, -1]
        if uniforms is None:
            token = int(logits.argmax())
        else:
            token = int(np.searchsorted(logits.double().softmax(-1).cumsum(-1).numpy(), uniforms[step], side="right"))
        if token in tiny.stop_ids:
            return new, True
        new.append(token)
        if uniforms is None and "}" in decode_text(tiny.tokenizer, new):
            break
    return new, False


def grow_slowly(tiny, trajectory, budget, max_waits):
    """Reasoning up to a budget, and how many tokens were generated for it."""
    ids = list(trajectory.token_ids[: trajectory.reasoning_len])
    if len(ids) >= budget:
        return ids[:budget], budget
    n_generated = len(trajectory.token_ids)
    for n_waits in range(1, max_waits + 1):
        ids = (ids + list(encode_text(tiny.tokenizer, "Wait")))[
            :budget
        ]  # the embedded model's lines end with a newline
        left = budget - len(ids)
        if left == 0:
            break
        uniforms = draw_uniforms(trajectory.sampling.seed, trajectory.id, n_waits, left)
        new, _ = write_slowly(tiny, [*trajectory.prompt_ids, *ids], uniforms, left)
        n_generated += len(new)
        text = decode_text(tiny.tokenizer, new)
        end = text.find("</think>")
        while end >= 0 and len(decode_text(tiny.tokenizer, new)) > end:
            new = new[:-1]
        ids += new
        if len(ids) == budget:
            break
    return ids, n_generated


@pytest.fixture(scope="module")
def two(pairs):
    return pairs[:2]


@pytest.fixture
def continue_with(monkeypatch, tiny, make_trajectory):
    """Let every continuation be the same text; returns what was asked for."""
    asked = []

    def use(text, **changes):
        ids = encode_text(tiny.tokenizer, text)
        ends = tuple(len(decode_text(tiny.tokenizer, ids[: i + 1])) for i in range(len(ids)))

        def stream(loaded, units, *, settings, batch_size):
            asked.extend((unit, settings) for unit in units)
            made = {"token_ids": ids, "token_ends": ends, "reasoning_len": len(ids), "finish": "stop"}
            yield [replace(make_trajectory(id=unit.id, **made | changes), text=text) for unit in units]

        monkeypatch.setattr(waiting, "stream_trajectories", stream)
        return asked

    return use


def test_the_longer_reasoning_and_its_answer_are_those_of_the_slow_definition(tiny, two):
    longest = max(trajectory.reasoning_len for trajectory, _ in two)
    budgets = (longest + 1, longest + 12, longest + 30)
    attempts, failures = wait(tiny, two, WaitSettings(budgets))
    assert failures == []
    assert len(attempts) == 6
    by_place = {(attempt.trajectory_id, attempt.level): attempt for attempt in attempts}
    bridge = encode_text(tiny.tokenizer, ReadoutSettings().bridge)
    for trajectory, question in two:
        for budget in budgets:
            attempt = by_place[trajectory.id, budget]
            ids, n_generated = grow_slowly(tiny, trajectory, budget, max_waits=2)
            answer, _ = write_slowly(tiny, [*trajectory.prompt_ids, *ids, *bridge])
            added = decode_text(tiny.tokenizer, ids[trajectory.reasoning_len :])
            assert (attempt.text or "") == added
            assert attempt.n_thinking == len(ids) <= budget
            assert attempt.n_generated == n_generated + len(answer)
            assert attempt.answer == decode_text(tiny.tokenizer, answer).partition("}")[0]
            assert attempt.correct == (attempt.answer == question.answer)


def test_another_word_or_number_of_waits_is_a_line_of_its_own(tiny, two):
    settings = [WaitSettings((20,)), WaitSettings((20,), "Hmm"), WaitSettings((20,), max_waits=1)]
    variants = [wait(tiny, two[:1], each)[0][0].variant for each in settings]
    assert variants == ["", "'Hmm' at most 2 times", "'Wait' at most 1 time"]


def test_of_no_reasoning_nothing_is_kept(tiny, two):
    trajectory, question = two[0]
    [attempt], _ = wait(tiny, [(replace(trajectory, reasoning_len=0), question)], WaitSettings((1,)))
    assert attempt.kept == ()
    assert attempt.text


def test_reasoning_longer_than_the_budget_is_cut_as_cutting_does(tiny, two):
    budget = min(trajectory.reasoning_len for trajectory, _ in two) - 3
    waited, _ = wait(tiny, two, WaitSettings((budget,)))
    cut, _ = cut_trajectories(tiny, two, CutSettings((budget,)))
    for own, other in zip(waited, cut, strict=True):
        assert own.text is None
        for name in ("answer", "correct", "n_thinking", "n_generated", "kept"):
            assert getattr(own, name) == getattr(other, name)


def test_a_budgets_attempt_does_not_depend_on_the_other_budgets(tiny, two):
    n = two[0][0].reasoning_len
    alone, _ = wait(tiny, two[:1], WaitSettings((n + 20,)))
    together, _ = wait(tiny, two[:1], WaitSettings((n + 5, n + 20, n + 60)))
    assert alone == [together[1]]


def test_word_and_thrown_away_answers_are_counted_by_hand(tiny, two, continue_with):
    """Each of two waits adds "Wait" and a line; what the model wrote after `</think>` was generated and is gone."""
    asked = continue_with("1+1\n</think>2")
    trajectory, _ = two[0]
    n, n_all = trajectory.reasoning_len, len(trajectory.token_ids)
    n_part = len(encode_text(tiny.tokenizer, "1+1\n"))
    n_made = len(encode_text(tiny.tokenizer, "1+1\n</think>2"))
    [attempt], _ = wait(tiny, two[:1], WaitSettings((n + 100,), max_waits=2))
    assert n_part < n_made
    assert attempt.text == "Wait1+1\nWait1+1\n"
    assert attempt.n_thinking == n + 2 * (1 + n_part)
    n_answer = attempt.n_generated - n_all - 2 * n_made
    assert 1 <= n_answer <= ReadoutSettings().max_new_tokens
    assert attempt.kept == ((0, n),)
    assert [settings.max_new_tokens for _, settings in asked] == [99, 99 - 1 - n_part]


def test_of_a_continuation_beyond_its_budget_only_what_fits_counts(tiny, two, continue_with):
    continue_with("1+1=2 so 2\n" * 5)
    trajectory, _ = two[0]
    n = trajectory.reasoning_len
    [attempt], _ = wait(tiny, two[:1], WaitSettings((n + 6,)))
    assert attempt.n_thinking == n + 6
    n_answer = attempt.n_generated - len(trajectory.token_ids) - 5
    assert 1 <= n_answer <= ReadoutSettings().max_new_tokens


def test_a_trajectory_that_was_cut_off_goes_on_without_the_word(tiny, two, continue_with):
    continue_with("1+1\n</think>")
    trajectory, question = two[0]
    n = trajectory.reasoning_len - 1  # in the middle of its last line
    ends = trajectory.token_ends[:n]
    half = replace(
        trajectory,
        token_ids=trajectory.token_ids[:n],
        token_ends=ends,
        text=trajectory.text[: ends[-1]],
        reasoning_len=n,
        finish="length",
    )
    [attempt], _ = wait(tiny, [(half, question)], WaitSettings((n + 50,), max_waits=1))
    assert attempt.text == "1+1\nWait1+1\n"
    [ended], _ = wait(tiny, [(replace(half, finish="stop"), question)], WaitSettings((n + 50,), max_waits=1))
    assert ended.text == "\nWait1+1\n"


def test_a_continuation_that_breaks_down_leaves_the_others_alone(tiny, two, monkeypatch, make_trajectory):
    real, victim = waiting.stream_trajectories, two[0][0].id

    def stream(loaded, units, **options):
        broken = [i for i, unit in enumerate(units) if unit.question.id == victim]
        for batch in real(loaded, units, **options):
            yield [
                replace(made, finish=None, error="numbers broke down") if int(made.id) in broken else made
                for made in batch
            ]

    monkeypatch.setattr(waiting, "stream_trajectories", stream)
    longest = max(trajectory.reasoning_len for trajectory, _ in two)
    attempts, failures = wait(tiny, two, WaitSettings((longest + 10,)))
    assert [attempt.trajectory_id for attempt in attempts] == [two[1][0].id]
    [(name, error)] = failures
    assert name == victim
    assert isinstance(error, NumericsError)
    assert "numbers broke down" in str(error)


def test_imported_reasoning_is_left_out_with_the_reason_and_the_others_go_on(tiny, two, import_text):
    imported = import_text(two[0][1], "<think>\n1+1=2 so 2\n</think>\n\\boxed{2}")
    attempts, [(name, error)] = wait(tiny, [(imported, two[0][1]), two[1]], WaitSettings((20,)))
    assert name == imported.id
    assert "imported" in str(error)
    assert [attempt.trajectory_id for attempt in attempts] == [two[1][0].id]


def test_a_budget_beyond_the_context_window_is_refused_with_both_numbers(tiny, two):
    with pytest.raises(ModelError, match=r"a budget of 5000.* accepts 1024"):
        key_wait(tiny, *two[0], WaitSettings((10, 5000)))


def test_ids_tell_word_waits_bridge_and_budget_apart_and_nothing_else(tiny, two):
    def key(**changes):
        return key_wait(tiny, *two[0], replace(WaitSettings((50, 90)), **changes))

    base = key()
    assert len(set(base)) == 2
    assert key(budgets=(90, 120))[0] == base[1]
    assert key(readout=ReadoutSettings(every=7)) == base
    for changes in ({"word": "Hmm"}, {"max_waits": 3}, {"readout": ReadoutSettings(bridge="So: ")}):
        assert not set(key(**changes)) & set(base)
    attempts, _ = wait(tiny, two[:1], WaitSettings((20, 30)))
    assert [attempt.id for attempt in attempts] == key_wait(tiny, *two[0], WaitSettings((20, 30)))


@pytest.mark.parametrize("changes", [{"budgets": ()}, {"budgets": (0,)}, {"word": " "}, {"max_waits": 0}])
def test_settings_that_make_no_sense_are_refused(tiny, two, changes):
    with pytest.raises(DataError):
        key_wait(tiny, *two[0], replace(WaitSettings((50,)), **changes))


def test_default_budgets_are_multiples_of_the_median(make_trajectory):
    lens = [make_trajectory("x " * n) for n in (10, 20, 90)]
    assert all(isinstance(one, Trajectory) for one in lens)
    assert choose_longer_budgets(lens) == (30, 40, 60)
