import pytest

from raml.errors import RunError
from raml.studies.answers import METRICS, count_models, describe_gain, measure_gain, show_metric


@pytest.fixture
def models(write_answers):
    """Two seeds' models on two test sets, eight responses each: four questions."""
    write_answers("test/a/new-0", [8, 6], 8)
    write_answers("test/a/new-1", [8, 8], 8)
    write_answers("test/b/new-0", [4, 0], 8, "p")
    write_answers("test/b/new-1", [6, 0], 8, "p")
    for seed in (0, 1):
        write_answers(f"test/a/tiny-base-{seed}", [4, 4], 8)
        write_answers(f"test/b/tiny-base-{seed}", [4, 0], 8, "p")


def count(home, name, sets=("a", "b")):
    models = ["tiny-base"] * 2 if name == "base" else [f"models/{name}-0", f"models/{name}-1"]
    return count_models(home, models, (0, 1), sets)


def test_test_sets_are_joined_question_by_question_and_seeds_are_rows(tmp_path, models):
    counts = count(tmp_path, "new")
    assert counts.correct.tolist() == [[8, 6, 4, 0], [8, 8, 6, 0]]
    assert counts.n.tolist() == [[8] * 4] * 2


def test_a_gain_is_in_points_over_all_and_for_each_seed(tmp_path, models):
    """With k = n = 8, mG-Pass@8 of c right ones is max(0, c − 4)/4: seed 0 (1 + ½)/4, seed 1 (1 + 1 + ½)/4."""
    measure = measure_gain(METRICS["mG-Pass@8"], count(tmp_path, "new"), count(tmp_path, "base"))
    assert measure.by_seed == pytest.approx((37.5, 62.5))
    assert measure.estimate.value == pytest.approx(50)
    assert measure.estimate.low < 50 < measure.estimate.high


def test_what_is_shown_is_in_percent(tmp_path, models):
    shown = show_metric(METRICS["Pass@1"], count(tmp_path, "new"))
    assert shown.by_seed == pytest.approx((100 * 18 / 32, 100 * 22 / 32))
    assert shown.estimate.value == pytest.approx(62.5)


def test_a_gain_in_words_names_every_metric(tmp_path, models):
    line = describe_gain("new minus base", count(tmp_path, "new"), count(tmp_path, "base"))
    assert line.startswith("new minus base, in points: Pass@1 +25.0 [")
    assert "Pass@8 +0.0 [" in line
    assert "mG-Pass@8 +50.0 [" in line


def test_test_sets_of_unequal_numbers_of_responses_are_not_joined(tmp_path, models, write_answers):
    for seed in (0, 1):
        write_answers(f"test/c/tiny-base-{seed}", [1], 4)
    with pytest.raises(RunError, match=r"Test sets b, c have \[4, 8\] responses"):
        count(tmp_path, "base", ("b", "c"))


def test_a_question_with_fewer_responses_than_others_is_refused(tmp_path, models, write_answers):
    write_answers("test/d/tiny-base-0", [1, 2], 4)
    write_answers("test/d/tiny-base-1", [1, 2], 5)
    with pytest.raises(RunError, match=r"\[4, 5\] responses"):
        count(tmp_path, "base", ("d",))


def test_seeds_that_answered_other_questions_are_refused(tmp_path, models, write_answers):
    write_answers("test/e/tiny-base-0", [1, 2], 4)
    write_answers("test/e/tiny-base-1", [1, 2], 4, "other")
    with pytest.raises(RunError, match="do not hold the same questions"):
        count(tmp_path, "base", ("e",))
