import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from raml.answers import extract_answer
from raml.errors import DataError, ModelError, NumericsError
from raml.models import load_model
from raml.probes import trace_trajectory
from raml.probes.resampling import choose_borders, key_resampling, resample_trajectory, resolve_resampling
from raml.records import Question, ResamplingSettings, SamplingSettings
from raml.sampling import make_imported

TEXT = "<think>\nFirst 3+4=7 so 7*2\nNext 7*2=14 so 14\n</think>\n\n**Final Answer**\n\\boxed{14}"
QUESTION = Question("q", "Calculate (3+4)*2.", "14")
SAMPLING = SamplingSettings(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=80)
SETTINGS = ResamplingSettings(n=3, sampling=SAMPLING)


@pytest.fixture(scope="module")
def written(tiny):
    return make_imported(tiny, QUESTION, TEXT, 0)


@pytest.fixture(scope="module")
def resampled(tiny, written):
    return resample_trajectory(tiny, written, QUESTION, SETTINGS)


def test_borders_are_where_the_sentences_end_and_the_first_follows_the_opening_mark(written, resampled):
    pieces = written.pieces
    ends = ["".join(pieces[:n]) for n in resampled.prefix_lens]
    assert ends == ["<think>", "<think>\nFirst 3+4=7 so 7*2\n", "<think>\nFirst 3+4=7 so 7*2\nNext 7*2=14 so 14\n"]
    assert resampled.prefix_lens[-1] == written.reasoning_len


def test_of_many_borders_some_are_taken_evenly_and_the_first_and_last_among_them(make_trajectory):
    text = " ".join(f"Sentence {i}." for i in range(10))  # two tokens a sentence, so borders at 0, 2, … 20
    trajectory = make_trajectory(text)
    assert choose_borders(trajectory, 100) == list(range(0, 21, 2))
    assert choose_borders(trajectory, 6) == [0, 4, 8, 12, 16, 20]
    assert choose_borders(trajectory, 2) == [0, 20]
    assert choose_borders(trajectory, 4) == [0, 6, 14, 20]  # places 0, 10/3, 20/3, 10 of eleven, rounded


def test_losses_at_the_borders_are_those_of_the_trace(tiny, written, resampled):
    wrong = replace(written, answer="15", correct=False)
    own = resample_trajectory(tiny, wrong, QUESTION, replace(SETTINGS, n=1)).own_loss
    for losses, answer in ((resampled.loss, "14"), (own, "15")):
        trace = trace_trajectory(tiny, written, answer)
        np.testing.assert_allclose(losses, trace.mean_nll[resampled.prefix_lens], atol=1e-4)


def test_without_an_answer_of_its_own_a_trajectory_has_no_own_loss(tiny, written):
    silent = replace(written, answer=None, correct=False)
    record = resample_trajectory(tiny, silent, QUESTION, replace(SETTINGS, n=1))
    assert np.isnan(record.own_loss).all()
    assert np.isfinite(record.loss).all()


def test_greedy_continuations_are_what_generate_writes_after_prompt_and_prefix(tiny, written):
    settings = ResamplingSettings(n=2, sampling=SamplingSettings(temperature=0, max_new_tokens=80))
    record = resample_trajectory(tiny, written, QUESTION, settings)
    for border, answers, grades in zip(record.prefix_lens, record.answers, record.correct, strict=True):
        ids = [*written.prompt_ids, *written.token_ids[:border]]
        with torch.inference_mode():
            output = tiny.model.generate(
                inputs=torch.tensor([ids]),
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                do_sample=False,
                max_new_tokens=80 - int(border),
                eos_token_id=tiny.stop_ids,
                pad_token_id=tiny.stop_ids[0],
            )
        text = tiny.tokenizer.decode(output[0, len(written.prompt_ids) :], skip_special_tokens=False)
        expected = extract_answer(text)
        assert answers == (expected, expected)
        assert grades == (expected == "14",) * 2


def test_neither_the_batch_nor_the_other_borders_change_what_is_written(tiny, written, resampled):
    for batch_size in (2, 5):
        again = resample_trajectory(tiny, written, QUESTION, SETTINGS, batch_size=batch_size)
        assert (again.id, again.answers) == (resampled.id, resampled.answers)
    ends = resample_trajectory(tiny, written, QUESTION, replace(SETTINGS, max_borders=2))
    assert ends.answers == (resampled.answers[0], resampled.answers[-1])
    fewer = resample_trajectory(tiny, written, QUESTION, replace(SETTINGS, n=2))
    assert fewer.answers == tuple(answers[:2] for answers in resampled.answers)


def test_seed_trajectory_and_repeat_have_random_numbers_of_their_own(tiny, written):
    def draw(trajectory, seed):
        settings = ResamplingSettings(
            n=3, max_borders=2, sampling=replace(SAMPLING, temperature=3.0, max_new_tokens=50, seed=seed)
        )
        return resample_trajectory(tiny, trajectory, QUESTION, settings).n_written

    first = draw(written, 0)
    assert len({n for row in first for n in row}) > 1
    assert first == draw(written, 0)
    assert first != draw(written, 1)
    assert first != draw(replace(written, id="another"), 0)


def test_prefix_and_continuation_have_no_more_tokens_than_a_response_may_have(tiny, written):
    limit = written.reasoning_len + 2  # too few for the answer's statement
    settings = replace(SETTINGS, sampling=replace(SAMPLING, max_new_tokens=limit))
    record = resample_trajectory(tiny, written, QUESTION, settings)
    rooms = limit - record.prefix_lens[:, None]
    assert np.shape(record.n_written) == (len(rooms), 3)
    assert (np.array(record.n_written) <= rooms).all()
    assert record.n_written[-1] == (2, 2, 2)
    assert record.answers[-1] == (None,) * 3
    assert record.correct[-1] == (False,) * 3


def test_the_answer_is_taken_from_prefix_and_continuation_together(tiny):
    """Two more tokens make no new box, so the one inside the reasoning is the last."""
    early = make_imported(tiny, QUESTION, "So \\boxed{14} it is.\nOr is it.\nSo \\boxed{15}", 0)
    settings = replace(SETTINGS, sampling=replace(SAMPLING, max_new_tokens=early.reasoning_len + 2))
    record = resample_trajectory(tiny, early, QUESTION, settings)
    assert record.answers[-1] == ("14",) * 3
    assert record.correct[-1] == (True,) * 3


def test_settings_that_are_left_open_are_the_trajectorys_own(tiny, written):
    own = replace(SAMPLING, temperature=0.7, max_new_tokens=99)
    assert resolve_resampling(tiny, replace(written, sampling=own)).sampling == own
    open_ended = ResamplingSettings(sampling=SamplingSettings(temperature=0.2))
    resolved = resolve_resampling(tiny, replace(written, sampling=own), open_ended).sampling
    assert (resolved.temperature, resolved.max_new_tokens) == (0.2, 99)
    assert resolve_resampling(tiny, written).sampling.max_new_tokens == tiny.context_len // 2


def test_a_response_never_exceeds_the_models_context(tiny, written):
    huge = replace(SETTINGS, sampling=replace(SAMPLING, max_new_tokens=10**6))
    limit = resolve_resampling(tiny, written, huge).sampling.max_new_tokens
    assert limit + len(written.prompt_ids) == tiny.context_len


def test_the_key_changes_with_settings_trajectory_and_gold_answer(tiny, written, resampled):
    def key(trajectory=written, question=QUESTION, **changes):
        return key_resampling(tiny, trajectory, question, replace(SETTINGS, **changes))

    assert key() == resampled.id
    others = {
        key(n=4),
        key(max_borders=2),
        key(sampling=replace(SAMPLING, seed=1)),
        key(replace(written, id="another")),
        key(question=replace(QUESTION, answer="15")),
    }
    assert len(others | {resampled.id}) == 6


def test_the_key_says_whether_code_may_run_only_where_checking_needs_that(tiny, written):
    """Else a run that left all undecided would be taken for one that has checked them."""

    def keys(kind):
        question = replace(QUESTION, kind=kind)
        return {key_resampling(tiny, written, question, SETTINGS, allow_code=allow) for allow in (True, False)}

    assert len(keys("reasoning-gym")) == 2
    assert len(keys("math")) == 1


def test_the_key_changes_with_the_answer_whose_loss_it_holds(tiny, written, resampled):
    assert key_resampling(tiny, replace(written, answer="15"), QUESTION, SETTINGS) != resampled.id


@pytest.mark.parametrize(("n_sound", "grade"), [(2, None), (3, True)])
def test_numbers_that_break_down_after_a_continuations_end_leave_it_as_it_is(tiny, monkeypatch, n_sound, grade):
    """A batch of several borders writes on until the first may end; the last one has three tokens of room here."""
    early = make_imported(tiny, QUESTION, "So \\boxed{14} it is.\nOr is it.\nSo \\boxed{15}", 0)

    def stream(loaded, units, *, settings, batch_size):
        ids = early.token_ids[:1] * n_sound
        yield [replace(early, id=unit.id, token_ids=ids, finish=None, error="broken") for unit in units]

    monkeypatch.setattr("raml.probes.resampling.stream_trajectories", stream)
    settings = replace(SETTINGS, sampling=replace(SAMPLING, max_new_tokens=early.reasoning_len + 3))
    record = resample_trajectory(tiny, early, QUESTION, settings)
    assert record.correct[-1] == (grade,) * 3
    assert record.correct[0] == (None,) * 3


def test_a_reasoning_that_fills_its_response_is_refused(tiny, written):
    settings = replace(SETTINGS, sampling=replace(SAMPLING, max_new_tokens=written.reasoning_len))
    with pytest.raises(DataError, match=f"{written.id} reasons for {written.reasoning_len} tokens"):
        resample_trajectory(tiny, written, QUESTION, settings)


def test_an_empty_reasoning_has_no_sentence(tiny, written):
    with pytest.raises(DataError, match="no sentence of reasoning"):
        resample_trajectory(tiny, replace(written, reasoning_len=0), QUESTION, SETTINGS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "n is 0"),
        ({"max_borders": 1}, "max_borders is 1"),
        *(
            ({"sampling": replace(SAMPLING, **{name: value})}, f"{name} is {value}; it must be")
            for name, value in [
                ("temperature", -1.0),
                ("temperature", math.nan),
                ("temperature", math.inf),
                ("top_p", 2.0),
                ("top_k", -1),
                ("min_p", -0.1),
                ("max_new_tokens", 0),
                ("max_new_tokens", -5),
            ]
        ),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(tiny, written, changes, message):
    with pytest.raises(DataError, match=message):
        resample_trajectory(tiny, written, QUESTION, replace(SETTINGS, **changes))


def test_a_question_that_asks_for_a_program_is_refused(tiny, written):
    with pytest.raises(DataError, match="asks for a program"):
        resample_trajectory(tiny, written, replace(QUESTION, kind="code"), SETTINGS)


def test_ids_of_another_tokenizer_are_refused(tiny, written):
    foreign = replace(written, token_ids=tuple(token + 1 for token in written.token_ids))
    with pytest.raises(ModelError, match="mean something else to tiny"):
        resample_trajectory(tiny, foreign, QUESTION, SETTINGS)


def test_a_model_that_gives_nan_is_an_error_and_no_wrong_answer(written):
    broken = load_model("tiny", device="cpu")
    with torch.no_grad():
        broken.model.get_output_embeddings().weight[5] = torch.nan
    with pytest.raises(NumericsError, match=f"Trajectory {written.id}"):
        resample_trajectory(broken, written, QUESTION, SETTINGS)


def test_an_answer_that_can_t_be_checked_is_undecided(tiny, written):
    """A gold answer without anything to compare leaves all continuations undecided, with the answers they gave."""
    record = resample_trajectory(tiny, written, replace(QUESTION, answer="$"), replace(SETTINGS, n=1))
    assert all(grades == (None,) for grades in record.correct)
    assert record.answers[-1] != (None,)
