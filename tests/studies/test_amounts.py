"""Figs. 4, 8 and 9: more questions, more trajectories, more rollouts."""

import json
import math

import pytest

from raml.errors import RunError
from raml.store import Run
from raml.studies import fig4, fig8, fig9, load_setup
from raml.studies.plan import SCALES, collect_steps
from raml.studies.verdict import judge


def list_steps(plan):
    return {step.name: step for step in collect_steps([plan])}


def get_option(step, name):
    return step.words[step.words.index(name) + 1] if name in step.words else None


def write_curve(home, model, rewards):
    rows = [{"step": i + 1, "reward": reward, "correct_rate": 0.5} for i, reward in enumerate(rewards)]
    (home / model).mkdir(parents=True)
    (home / model / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


@pytest.mark.parametrize("scale", SCALES)
def test_fig_4_trains_on_nested_sets_the_largest_of_which_all_studies_share(scale):
    setup = load_setup("fig4", scale)
    steps = list_steps(fig4.plan(setup))
    *fewer, most = setup.options["n_questions"]
    assert most == setup.shared["train"]["n_questions"]
    for seed in setup.shared["train"]["seeds"]:
        assert get_option(steps[f"models/sft-{seed}"], "--trajectories") == f"train/sft-{seed}"
        for amount in fewer:
            name = f"train/sft-{amount}-{seed}"
            assert dict(steps[name].arguments) == {
                "source": f"train/sft-{seed}",
                "target": name,
                "n_questions": amount,
            }
            assert steps[name].needs == (f"train/sft-{seed}/sample",)
            assert get_option(steps[f"models/sft-{amount}-{seed}"], "--trajectories") == name


def test_the_first_questions_are_taken_with_what_was_answered_to_them(tmp_path, write_answers):
    write_answers("all", [1, 2, 0, 3], 3)
    fig4.take_questions(tmp_path, source="all", target="some", n_questions=2)
    some = Run(tmp_path / "some")
    assert [question.id for question in some.read_questions()] == ["q0", "q1"]
    assert [t.question_id for t in some.read_trajectories()] == ["q0"] * 3 + ["q1"] * 3
    before = some.trajectories_path.read_bytes()
    fig4.take_questions(tmp_path, source="all", target="some", n_questions=2)
    assert some.trajectories_path.read_bytes() == before
    with pytest.raises(RunError, match="has 4 questions; 5 were asked for"):
        fig4.take_questions(tmp_path, source="all", target="more", n_questions=5)


def test_fig_4_compares_the_most_questions_with_the_fewest(tmp_path, write_answers):
    """With k = n = 32, mG-Pass@32 of c right ones is max(0, c − 16)/16, and Pass@32 whether there is one."""
    setup = load_setup("fig4", "tiny")
    for seed in (0, 1, 2):
        write_answers(f"train/grpo-{seed}", [0] * 7, 0)
        for model, right in (
            ("tiny-base", [0, 1, 0, 0]),
            ("zero-grpo", [9, 9, 9, 9]),
            ("sft-250", [16, 0, 16, 16]),
            ("sft-1000", [20, 20, 20, 20]),
            ("sft", [24, 24, 28, 24]),
        ):
            write_answers(f"test/arithmetic-many/{model}-{seed}", right, 32)
    outcome = fig4.conclude(setup, tmp_path)
    assert outcome.measures["Pass@32"].estimate.value == pytest.approx(25)
    assert outcome.measures["mG-Pass@32"].by_seed == pytest.approx([100 * (3 * 0.5 + 0.75) / 4] * 3)
    assert outcome.remarks[0].startswith("The share of right responses rises by 40.6 points")  # 100/128 − 48/128
    axis = outcome.figures[""].axes[0]
    assert axis.get_xticks().tolist() == [7, 250, 1000, 4000]  # GRPO saw seven
    assert [finding.verdict for finding in judge(setup.rules, outcome.measures)[0]] == ["undecided", "supported"]


@pytest.mark.parametrize("scale", SCALES)
def test_fig_8_changes_the_number_of_trajectories_and_nothing_else(scale):
    setup = load_setup("fig8", scale)
    steps = list_steps(fig8.plan(setup))
    for seed in setup.shared["train"]["seeds"]:
        own = [step for step in steps.values() if step.name.startswith("models/fig8-") and step.name[-1] == str(seed)]
        told = {(get_option(step, "--balance"), int(get_option(step, "--n"))) for step in own}
        expected = {(balance, n) for balance in ("paper", "tokens") for n in setup.options["ns"]}
        if scale == "tiny":
            expected -= {("tokens", 32)}  # all that the oracle wrote: the same training set
        assert told == expected
        assert len({get_option(step, "--trajectories") for step in own}) == 1
        for step in own:
            assert get_option(step, "--out") == step.name
    if scale == "tiny":
        assert get_option(steps["train/fig8-0/sample"], "--n") == "32"


def test_fig_8_compares_the_most_trajectories_with_one_both_ways(tmp_path, write_answers):
    setup = load_setup("fig8", "tiny")
    for seed in (0, 1, 2):
        write_answers(f"test/arithmetic/tiny-base-{seed}", [0, 1, 0], 8)
        for n in setup.options["ns"]:
            write_answers(f"test/arithmetic/fig8-paper-{n}-{seed}", [4, 4, 4 + int(math.log2(n)) // 2], 8)
            if n < 32:
                write_answers(f"test/arithmetic/fig8-tokens-{n}-{seed}", [0, 0, 4], 8)
    outcome = fig8.conclude(setup, tmp_path)
    values = {name: measure.estimate.value for name, measure in outcome.measures.items()}
    assert values == pytest.approx(
        {
            "Pass@8, frequency": 0,
            "mG-Pass@8, frequency": 100 * 0.5 / 3,
            "Pass@8, tokens": 100 * 2 / 3,
            "mG-Pass@8, tokens": 100 * 0.5 / 3,
        }
    )
    assert any("both balances are one model" in remark for remark in outcome.remarks)


@pytest.mark.parametrize("scale", SCALES)
def test_fig_9_takes_all_rollouts_as_zero_grpo_does_and_fewer_by_its_option(scale):
    setup = load_setup("fig9", scale)
    steps = list_steps(fig9.plan(setup))
    assert setup.options["ns"][-1] == fig9.GROUP_SIZE
    for seed in setup.shared["train"]["seeds"]:
        assert get_option(steps[f"models/zero-grpo-{seed}"], "--n-update") is None
        for n in setup.options["ns"][:-1]:
            step = steps[f"models/grpo-{n}-{seed}"]
            assert get_option(step, "--n-update") == str(n)
            assert get_option(step, "--questions") == f"train/grpo-{seed}"
            assert step.cost.trained == pytest.approx(steps[f"models/zero-grpo-{seed}"].cost.trained * n / 16)


def test_fig_9_measures_the_end_and_the_way_there(tmp_path, write_answers):
    setup = load_setup("fig9", "tiny")
    for seed in (0, 1, 2):
        write_answers(f"test/arithmetic/tiny-base-{seed}", [0, 1, 0], 8)
        for n in (1, 2, 4, 8):
            write_answers(f"test/arithmetic/grpo-{n}-{seed}", [4, 4, 5], 8)
            write_curve(tmp_path, f"models/grpo-{n}-{seed}", [0.0, 0.1, 0.2, 0.2])
        write_answers(f"test/arithmetic/zero-grpo-{seed}", [6, 7, 8], 8)
        write_curve(tmp_path, f"models/zero-grpo-{seed}", [0.0, 0.4, 0.3, 0.4])
    outcome = fig9.conclude(setup, tmp_path)
    assert outcome.measures["mG-Pass@8"].estimate.value == pytest.approx(100 * (0.5 + 0.75 + 0.75) / 3)
    curve = outcome.measures["learning curve"]
    assert curve.estimate.value == pytest.approx(0.15)  # (0 + 0.3 + 0.1 + 0.2)/4
    assert curve.by_seed == pytest.approx((0.15, 0.15, 0.15))
    assert "over 12 batches" in curve.note
    findings, _ = judge(setup.rules, outcome.measures)
    assert [finding.verdict for finding in findings] == ["supported", "undecided", "supported"]
    labels = [text.get_text() for text in outcome.figures[""].legends[0].get_texts()]
    assert labels == ["1 of 16", "2 of 16", "4 of 16", "8 of 16", "16 of 16"]


def test_curves_are_averaged_update_by_update(tmp_path):
    first = write_curve(tmp_path, "a", [0.0, 0.5, None])
    second = write_curve(tmp_path, "b", [0.2, 0.7, 0.9])
    assert fig9.average_rows([first, second]) == [
        {"step": 1, "reward": pytest.approx(0.1), "correct_rate": 0.5},
        {"step": 2, "reward": pytest.approx(0.6), "correct_rate": 0.5},
        {"step": 3, "reward": None, "correct_rate": 0.5},
    ]


def test_an_update_without_a_reward_is_counted_and_one_curve_without_any_is_no_measure(tmp_path):
    full = write_curve(tmp_path, "a", [0.2, 0.6, 0.8])
    torn = write_curve(tmp_path, "b", [0.1, None, 0.6])
    measure = fig9.compare_curves([full], [torn])
    assert measure.by_seed == pytest.approx((0.15,))
    assert "over 2 batches" in measure.note
    assert "1 updates had no reward" in measure.note
    empty = write_curve(tmp_path, "c", [None] * 3)
    assert fig9.compare_curves([full], [empty]).estimate is None


def test_curves_of_other_lengths_are_not_compared(tmp_path):
    rows = write_curve(tmp_path, "a", [0.2, 0.6, 0.8])
    with pytest.raises(RunError, match="3, 2 updates"):
        fig9.compare_curves([rows], [rows[:2]])
    with pytest.raises(RunError, match="3, 2 updates"):
        fig9.average_rows([rows, rows[:2]])
