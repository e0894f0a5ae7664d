"""Tables 2 and 3, and Fig. 7: what is trained and tested, and what is made of the answers."""

import pytest

from raml.errors import RunError
from raml.store import Run
from raml.studies import fig7, load_setup, table2, table3
from raml.studies.plan import SCALES, collect_steps
from raml.studies.verdict import judge


def list_names(plan):
    return {step.name: step for step in collect_steps([plan])}


@pytest.mark.parametrize("scale", ["tiny", "paper"])
def test_table_2_trains_on_what_two_writers_say_to_the_same_questions(scale):
    setup = load_setup("table2", scale)
    steps = list_names(table2.plan(setup))
    for seed in setup.shared["train"]["seeds"]:
        long, short = (steps[f"train/{name}-{seed}/questions"].words for name in ("sft", "sft-short"))
        assert long[: long.index("--out")] == short[: short.index("--out")]
        writers = [steps[f"train/{name}-{seed}/sample"].words for name in ("sft", "sft-short")]
        assert [word for word in writers[0] if "train/" not in word] != [w for w in writers[1] if "train/" not in w]
        assert f"train/sft-short-{seed}" in steps[f"models/sft-short-{seed}"].words
        zero = steps[f"models/zero-grpo-{seed}"].words
        assert zero[zero.index("--model") + 1] == setup.shared["train"]["base"]
        for test_set in setup.options["test_sets"]:
            for model in ("sft", "sft-short", "zero-grpo"):
                assert f"models/{model}-{seed}" in steps[f"test/{test_set}/{model}-{seed}"].needs


def test_table_2_chooses_by_length_where_there_is_one_writer():
    steps = list_names(table2.plan(load_setup("table2", "small")))
    long, short = (dict(steps[f"train/sft-{length}-0"].arguments) for length in ("long", "short"))
    assert long["source"] == short["source"] == "train/sft-0"
    assert (long["longest"], short["longest"]) == (True, False)
    for length in ("long", "short"):
        assert f"train/sft-{length}-0" in steps[f"models/sft-{length}-0"].words
        assert f"models/sft-{length}-0" in steps[f"test/math500-l5/sft-{length}-0"].needs


@pytest.mark.parametrize(("longest", "expected"), [(True, [4, 5, 9]), (False, [1, 2, 6])])
def test_no_trajectory_is_both_long_and_short_and_wrong_ones_are_neither(
    tmp_path, write_answers, make_trajectory, longest, expected
):
    """Right ones of q0: 1, 2, 4 and 5 words, of q1: 6, 7 and 9, of q2: one; two are asked for."""
    write_answers("train/sft-0", [0, 0, 0], 0)
    lens = {"q0": [1, 2, 4, 5], "q1": [6, 7, 9], "q2": [8]}
    made = [
        make_trajectory("word " * n_words, question_id, repeat=i)
        for question_id, own in lens.items()
        for i, n_words in enumerate(own)
    ]
    wrong = [make_trajectory("word " * n_words, "q0", repeat=n_words, correct=False) for n_words in (10, 50)]
    Run(tmp_path / "train/sft-0").write_trajectories([*made, *wrong])
    options = {"source": "train/sft-0", "target": "new", "n": 2, "longest": longest}
    table2.take_by_length(tmp_path, **options)
    new = Run(tmp_path / "new")
    assert sorted(len(trajectory.token_ids) for trajectory in new.read_trajectories()) == expected
    assert [question.id for question in new.read_questions()] == ["q0", "q1"]
    before = new.trajectories_path.read_bytes()
    table2.take_by_length(tmp_path, **options)
    assert new.trajectories_path.read_bytes() == before


def test_trajectories_of_one_length_can_not_be_told_apart_where_no_question_has_two(tmp_path, write_answers):
    write_answers("train/sft-0", [1, 0], 3)
    with pytest.raises(RunError, match="no question with two right trajectories"):
        table2.take_by_length(tmp_path, source="train/sft-0", target="new", n=2, longest=True)


@pytest.mark.parametrize("scale", SCALES)
def test_table_3_starts_one_grpo_from_the_base_and_one_from_sft(scale):
    setup = load_setup("table3", scale)
    steps = list_names(table3.plan(setup))
    for seed in setup.shared["train"]["seeds"]:
        starts = {}
        for name in ("zero-grpo", "sft-grpo"):
            words = steps[f"models/{name}-{seed}"].words
            starts[name] = words[words.index("--model") + 1]
            assert words[words.index("--questions") + 1] == f"train/grpo-{seed}"
        assert starts == {"zero-grpo": setup.shared["train"]["base"], "sft-grpo": f"models/sft-{seed}"}
        assert f"models/sft-{seed}" in steps[f"models/sft-grpo-{seed}"].needs


def test_tiny_trains_three_seeds_and_tests_at_least_64_questions():
    shared = load_setup("table2", "tiny").shared
    assert len(set(shared["train"]["seeds"])) == 3
    for test_set in shared["test"]["sets"].values():
        words = test_set["questions"]
        assert int(words[words.index("--limit") + 1]) == test_set["n_questions"] >= 64
        sample = test_set.get("sample", shared["test"]["sample"])
        assert int(sample[sample.index("--n") + 1]) == test_set.get("n", shared["test"]["n"])


def test_table_2_measures_gains_over_zero_grpo_and_over_short_trajectories(tmp_path, write_answers):
    """Eight responses, so that Pass@8 is whether any is right and mG-Pass@8 is max(0, c − 4)/4."""
    setup = load_setup("table2", "tiny")
    for seed in (0, 1, 2):
        write_answers(f"test/arithmetic/sft-{seed}", [8, 6, 8, 6], 8)
        write_answers(f"test/arithmetic/zero-grpo-{seed}", [4, 4, 6, 4], 8)
        write_answers(f"test/arithmetic/sft-short-{seed}", [8, 6, 8, 6 - seed], 8)
        write_answers(f"test/arithmetic/tiny-base-{seed}", [0, 1, 0, 0], 8)
    outcome = table2.conclude(setup, tmp_path)
    stable, solved, long = (outcome.measures[name] for name in ("mG-Pass@8", "Pass@8", "long over short"))
    assert stable.estimate.value == pytest.approx(62.5)
    assert stable.by_seed == pytest.approx((62.5, 62.5, 62.5))
    assert solved.estimate.value == 0
    assert long.by_seed == pytest.approx((0, 6.25, 12.5))
    findings, verdict = judge(setup.rules, outcome.measures)
    assert [finding.verdict for finding in findings] == ["supported", "undecided", "undecided"]
    assert verdict == "undecided"
    assert outcome.remarks[0].startswith("SFT on long trajectories minus base, in points: Pass@1 +84.4")  # 28/32 − 1/32
    assert outcome.remarks[-1].startswith(
        "SFT on short trajectories minus base, in points: Pass@1 +81."
    )  # 81/96 − 3/96
    assert [axis.get_title(loc="left") for axis in outcome.figures[""].axes] == [
        *("Pass@8", "Pass@8, paper"),
        *("mG-Pass@8", "mG-Pass@8, paper"),
    ]


def test_table_3_measures_gains_over_both(tmp_path, write_answers):
    setup = load_setup("table3", "tiny")
    for seed in (0, 1, 2):
        write_answers(f"test/arithmetic/sft-{seed}", [8, 8, 8, 8, 8, 6], 8)
        write_answers(f"test/arithmetic/zero-grpo-{seed}", [4, 4, 4, 5, 4, 4], 8)
        write_answers(f"test/arithmetic/sft-grpo-{seed}", [6, 5, 6, 6, 6, 6], 8)
        write_answers(f"test/arithmetic/tiny-base-{seed}", [0, 0, 0, 0, 0, 1], 8)
    outcome = table3.conclude(setup, tmp_path)
    assert outcome.measures["over Zero-GRPO"].estimate.value == pytest.approx(100 * 2.5 / 6)
    assert outcome.measures["over SFT"].estimate.value == pytest.approx(-100 * 2.75 / 6)
    findings, verdict = judge(setup.rules, outcome.measures)
    assert [finding.verdict for finding in findings] == ["supported", "not supported"]
    assert verdict == "not supported"
    axes = outcome.figures[""].axes
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["base", "SFT", "Zero-GRPO", "SFT → GRPO"]


@pytest.mark.parametrize("scale", SCALES)
def test_fig_7_tests_larger_instances_and_another_domain_and_trains_on_neither(scale):
    setup = load_setup("fig7", scale)
    steps = list_names(fig7.plan(setup))
    domains = setup.options["domains"]
    assert set(domains) == {"larger", "other domain"}
    sets = setup.shared["test"]["sets"]
    for test_set in (name for names in domains.values() for name in names):
        assert sets[test_set]["questions"] not in (setup.shared["train"]["questions"],)
        for seed in setup.shared["train"]["seeds"]:
            assert {f"test/{test_set}/{model}-{seed}" for model in ("sft", "sft-grpo")} <= set(steps)
    if scale == "tiny":
        assert setup.shared["train"]["questions"][4] == setup.shared["train"]["grpo_questions"][4] == "arithmetic"
        assert sets["lists"]["questions"][4] == "lists"
        assert sets["arithmetic-large"]["questions"][5:7] == ["--size", "7-8"]


def test_fig_7_measures_each_domain_by_itself(tmp_path, write_answers):
    setup = load_setup("fig7", "tiny")
    for seed in (0, 1, 2):
        for model, larger, lists in (
            ("tiny-base", [0, 0, 1, 1], [4, 4, 4, 4]),
            ("sft", [2, 3, 3, 3], [2, 3, 2, 2]),
            ("sft-grpo", [4, 5, 6, 7], [4, 4, 5, 4]),
        ):
            write_answers(f"test/arithmetic-large/{model}-{seed}", larger, 8)
            write_answers(f"test/lists/{model}-{seed}", lists, 8)
    outcome = fig7.conclude(setup, tmp_path)
    values = {name: measure.estimate.value for name, measure in outcome.measures.items()}
    assert values == pytest.approx(
        {
            "SFT, larger, Avg": 100 * 9 / 32,
            "SFT → GRPO, larger, Avg": 100 * 20 / 32,
            "SFT, larger, Pass@8": 50,
            "SFT → GRPO, larger, Pass@8": 50,
            "SFT, other domain, Avg": -100 * 7 / 32,
            "SFT → GRPO, other domain, Avg": 100 / 32,
            "SFT, other domain, Pass@8": 0,
            "SFT → GRPO, other domain, Pass@8": 0,
        }
    )
    assert judge(setup.rules, outcome.measures)[1] == "not supported"
