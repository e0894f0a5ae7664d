"""Proposition 2.1: what is planned, what one-layer models give, and what is made of it."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from raml.cli.study_commands import parse_words
from raml.errors import RunError
from raml.records import Question, Update
from raml.store import Journal, Run
from raml.studies import load_setup, prop21, readers
from raml.studies.plan import SCALES, collect_steps
from raml.studies.readers import PairErrors
from raml.studies.verdict import judge

SEEDS = (0, 1, 2)


@pytest.mark.parametrize("scale", SCALES)
def test_whole_trajectories_are_compiled_and_a_one_layer_model_is_trained_for_each_seed(scale):
    setup = load_setup("prop21", scale)
    steps = {step.name: step for step in collect_steps([prop21.plan(setup)])}
    compiled = steps["probe/update-ends"]
    assert parse_words(compiled.words).arguments["settings"] == prop21.SETTINGS
    assert compiled.needs == ("probe/trace",)
    assert compiled.cost.scored > 0
    seeds = [dict(steps[f"prop21/reader-{seed}"].arguments)["seed"] for seed in setup.options["seeds"]]
    assert len(set(seeds)) == 3
    assert setup.options["n_test"] >= 64
    assert setup.options["tokens"][0] == 1  # what the proposition speaks of


def test_a_one_layer_model_is_measured_on_held_out_questions_that_are_the_same_for_every_seed(tmp_path):
    """The exact construction is exact but for rounding, whatever the weights; those of an unfinished model too."""
    for seed in (0, 1):
        readers.measure_reader(tmp_path, seed=seed, d=8, n_train=3, n_test=2, n_steps=2, tokens=(1, 4))
    one, other = (readers.read_errors(tmp_path / "prop21" / f"reader-{seed}.json") for seed in (0, 1))
    assert [(e.question_id, e.n_tokens) for e in one] == [(e.question_id, e.n_tokens) for e in other]
    assert [e.n_tokens for e in one] == [1, 4, 1, 4]
    assert len({e.question_id for e in one}) == 2
    for errors in (*one, *other):
        assert errors.exact < 1e-12
        assert min(errors.unchanged, errors.query, errors.paper) > 1e-6
    assert [e.paper for e in one] != [e.paper for e in other]


def make_update(trajectory, gap, settings=prop21.SETTINGS, exact=True):
    each = np.zeros((2, 1), dtype=np.float32)
    return Update(
        id=f"{trajectory.id}, {settings.n_prefixes}",
        trajectory_id=trajectory.id,
        model=trajectory.model,
        settings=settings,
        bridge_ids=(1,),
        answer_ids=(2,),
        prefix_lens=np.arange(2, dtype=np.int32),
        rank=2,
        exact=exact,
        loss=each[:, 0],
        updated_loss=each[:, 0],
        logit_gap=gap,
        prompt_gap=0.0,
        residual=each,
        norm=each,
        weight_norm=each[0],
        condition=each,
        gram=np.zeros((2, 2)),
        other_ids=(),
        other_change=np.zeros(0, dtype=np.float32),
    )


@pytest.fixture
def home(tmp_path, make_trajectory):
    """Two questions of three trajectories; the last one has no update. Three seeds of a one-layer model."""
    run = Run(tmp_path / "probe")
    run.write_questions([Question(f"q{i}", f"What is {i} + 1?", str(i + 1)) for i in range(2)])
    own = [make_trajectory(question_id=f"q{i}", repeat=j) for i in range(2) for j in range(3)]
    run.write_trajectories(own)
    gaps = [1e-5, 2e-5, 3e-5, 7e-5, 1e-5]
    finer = replace(prop21.SETTINGS, n_prefixes=100)  # what another stage made is not this study's
    with Journal(run.updates_journal_path) as journal:
        journal.append([make_update(one, gap) for one, gap in zip(own, gaps, strict=False)])
        journal.append([make_update(own[0], 1.0, settings=finer)])
    write_errors(tmp_path, {0: (0.02, 0.04), 1: (0.03, 0.07), 2: (0.04, 0.04)})
    return tmp_path


def write_errors(home, papers):
    """Write seeds' errors of Eq. 19 on the two questions after one token; ten times as much after 8 and 32."""
    (home / "prop21").mkdir(exist_ok=True)
    for seed, values in papers.items():
        errors = [
            PairErrors(f"q{i}", n, 1.0, paper / 2 * size, paper * size, (1 + i) * 1e-16)
            for i, paper in enumerate(values)
            for n, size in ((1, 1), (8, 10), (32, 10))
        ]
        (home / "prop21" / f"reader-{seed}.json").write_bytes(msgspec.json.encode(errors))


def test_the_largest_gap_of_each_question_counts_and_seeds_are_averaged_within_questions(home):
    """Gaps (3e-5 + 7e-5) / 2. Eq. 19: questions (0.02 + 0.03 + 0.04) / 3 and (0.04 + 0.07 + 0.04) / 3."""
    setup = load_setup("prop21", "tiny")
    outcome = prop21.conclude(setup, home)
    values = {name: measure.estimate.value for name, measure in outcome.measures.items()}
    assert values == pytest.approx({"logit gap": 5e-5, "exact": 1.5e-16, "Eq. 19": 0.04})
    assert {measure.estimate.n_questions for measure in outcome.measures.values()} == {2}
    assert outcome.measures["Eq. 19"].by_seed == pytest.approx((0.03, 0.05, 0.04))
    assert outcome.measures["logit gap"].by_seed == ()
    remarks = " ".join(outcome.remarks)
    assert "0.04 and 0.02 after 1, 0.4 and 0.2 after 8, 0.4 and 0.2 after 32" in remarks
    assert "5 trajectories of made-up; the largest gap is 7e-05" in remarks
    assert "1 trajectories have no update" in remarks
    assert len(outcome.figures[""].axes) == 4


def test_the_claim_falls_with_eq_19_alone_and_stands_where_that_is_near(home):
    setup = load_setup("prop21", "tiny")
    write_errors(home, dict.fromkeys(SEEDS, (0.04, 0.041)))
    findings, verdict = judge(setup.rules, prop21.conclude(setup, home).measures)
    assert [finding.verdict for finding in findings] == ["supported", "supported", "not supported"]
    assert verdict == "not supported"
    write_errors(home, dict.fromkeys(SEEDS, (0.004, 0.0041)))
    assert judge(setup.rules, prop21.conclude(setup, home).measures)[1] == "supported"


def test_updates_that_miss_their_target_count_and_are_told(home):
    run = Run(home / "probe")
    with Journal(run.updates_journal_path) as journal:
        journal.append([make_update(run.read_trajectories()[-1], 0.5, exact=False)])
    outcome = prop21.conclude(load_setup("prop21", "tiny"), home)
    assert outcome.measures["logit gap"].estimate.value == pytest.approx((3e-5 + 0.5) / 2)
    assert any("1 updates do not reach their target" in remark for remark in outcome.remarks)


def test_what_is_missing_or_no_result_is_an_error(home, tmp_path):
    setup = load_setup("prop21", "tiny")
    path = home / "prop21" / "reader-1.json"
    path.write_text('[{"question_id": "q0"}]')
    with pytest.raises(RunError, match=r"reader-1\.json holds no errors of a one-layer model"):
        prop21.conclude(setup, home)
    path.unlink()
    with pytest.raises(RunError, match=r"reader-1\.json holds no errors"):
        prop21.conclude(setup, home)
    Run(home / "probe").updates_journal_path.unlink()
    with pytest.raises(RunError, match="updates of 0 models"):
        prop21.conclude(setup, home)
