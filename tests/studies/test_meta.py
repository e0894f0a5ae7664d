"""Algorithm 1 beside Algorithm 2: what is planned, what a loop leaves, and what is made of it."""

import msgspec
import pytest
import torch

from raml.errors import NumericsError, RunError
from raml.models import load_model
from raml.probes.spans import find_span_len
from raml.prompts import encode_answer, encode_text
from raml.records import TraceSettings
from raml.sampling import ask_oracle
from raml.scoring import answer_nll_by_definition
from raml.store import Run
from raml.studies import load_setup, loops, meta
from raml.studies.loops import Losses
from raml.studies.plan import SCALES, collect_steps
from raml.studies.verdict import judge
from raml.tiny import make_questions


@pytest.mark.parametrize("scale", SCALES)
def test_each_algorithm_trains_a_model_for_each_seed_on_that_seeds_questions_and_one_is_left_as_it_is(scale):
    setup = load_setup("meta", scale)
    steps = {step.name: step for step in collect_steps([meta.plan(setup)])}
    seeds = setup.options["seeds"]
    assert len(set(seeds)) == 3
    for seed in seeds:
        for loop in ("algorithm-1", "algorithm-2"):
            step = steps[f"meta/{loop}-{seed}"]
            assert step.needs == (f"meta/train-{seed}/sample", "meta/test/sample")
            given = dict(step.arguments)
            assert (given["loop"], given["seed"]) == (loop, seed)
        assert steps[f"meta/algorithm-1-{seed}"].cost.trained > steps[f"meta/algorithm-2-{seed}"].cost.trained
    left = [name for name in steps if name.startswith("meta/untrained")]
    assert left == ["meta/untrained"]
    questions = [steps[f"meta/{folder}/questions"].words for folder in ("test", *(f"train-{s}" for s in seeds))]
    assert questions[0] not in questions[1:]


def test_tiny_tests_at_least_64_questions_and_draws_other_training_questions_for_each_seed():
    setup = load_setup("meta", "tiny")
    steps = {step.name: step.words for step in meta.plan(setup)}
    test = steps["meta/test/questions"]
    assert test[test.index("--split") + 1] == "test"
    assert int(test[test.index("--limit") + 1]) == setup.options["test"]["n_questions"] >= 64
    trains = {steps[f"meta/train-{seed}/questions"] for seed in setup.options["seeds"]}
    assert len({words[: words.index("--out")] for words in trains}) == 3


def write_losses(home, loop, seed, plain, explicit, implicit, n_left_out=0):
    (home / "meta").mkdir(exist_ok=True)
    losses = Losses(0.1, ("q0", "q1"), plain, explicit, implicit, n_left_out)
    (home / "meta" / f"{loops.name_loop(loop, seed)}.json").write_bytes(msgspec.json.encode(losses))


@pytest.fixture
def home(tmp_path):
    """Two questions. Algorithm 1 makes its step better and reading worse; Algorithm 2 reading better and its step not.

    Seeds differ by multiples of 0.1.
    """
    write_losses(tmp_path, "untrained", 0, (2.0, 3.0), (2.5, 3.0), (0.5, 0.7))
    for seed in (0, 1, 2):
        more = 0.1 * seed
        write_losses(tmp_path, "algorithm-1", seed, (2.0, 3.0), (1.0 + more, 1.4 + more), (0.9, 1.11))
        write_losses(tmp_path, "algorithm-2", seed, (2.0, 2.5), (2.0 - more, 3.3 - more), (0.1, 0.2))
    return tmp_path


def test_what_training_changed_is_averaged_over_seeds_within_questions(home):
    """Means over the three seeds lie at seed 1.

    2 reads: (0.1 − 0.5, 0.2 − 0.7). 1 steps: (1.1 − 2.5, 1.5 − 3). 2 steps: (1.9 − 2.5, 3.2 − 3).
    2 gains: (1.9 − 2, 3.2 − 2.5). 1 reads: (0.9 − 0.5, 1.11 − 0.7).
    """
    outcome = meta.conclude(load_setup("meta", "tiny"), home)
    values = {name: measure.estimate.value for name, measure in outcome.measures.items()}
    assert values == pytest.approx(
        {"2 reads": -0.45, "1 steps": -1.45, "2 steps": -0.2, "2 gains": 0.3, "1 reads": 0.405}
    )
    assert outcome.measures["2 gains"].by_seed == pytest.approx((0.4, 0.3, 0.2))
    assert outcome.measures["1 reads"].by_seed == pytest.approx((0.405, 0.405, 0.405))
    assert "by +0.25 [−2.9, +3.4] nats." in outcome.remarks[0]
    assert len(outcome.remarks) == 2
    figure = outcome.figures[""]
    assert [axis.get_title(loc="left")[:11] for axis in figure.axes] == ["Algorithm 1", "Algorithm 2"]


def test_the_claim_needs_each_algorithm_to_serve_the_others_way(home):
    """First Algorithm 1 makes reading worse by 0.4 and 0.41; then both algorithms serve both ways."""
    setup = load_setup("meta", "tiny")
    findings, verdict = judge(setup.rules, meta.conclude(setup, home).measures)
    assert (findings[-1].measure, findings[-1].verdict, verdict) == ("1 reads", "not supported", "not supported")
    write_losses(home, "untrained", 0, (2.0, 3.0), (2.5, 3.5), (0.5, 0.7))
    for seed in (0, 1, 2):
        for loop in ("algorithm-1", "algorithm-2"):
            write_losses(home, loop, seed, (2.0, 3.0), (1.0, 2.01), (0.1, 0.31))
    findings, verdict = judge(setup.rules, meta.conclude(setup, home).measures)
    assert {finding.verdict for finding in findings} == {verdict} == {"supported"}


def test_questions_that_were_left_out_are_told(home):
    write_losses(home, "untrained", 0, (2.0, 3.0), (2.5, 3.0), (0.5, 0.7), n_left_out=5)
    assert "5 test questions have no right trajectory" in meta.conclude(load_setup("meta", "tiny"), home).remarks[-1]


def test_what_is_missing_or_no_result_is_an_error(home):
    setup = load_setup("meta", "tiny")
    path = home / "meta" / "algorithm-2-1.json"
    path.write_text("{")
    with pytest.raises(RunError, match=r"algorithm-2-1\.json holds no losses of a trained model"):
        meta.conclude(setup, home)
    path.unlink()
    with pytest.raises(RunError, match=r"algorithm-2-1\.json holds no losses"):
        meta.conclude(setup, home)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A home with two questions to learn and to test alike, and what both algorithms and none leave after few steps."""
    home = tmp_path_factory.mktemp("studies")
    base = load_model("tiny-base", device="cpu")
    questions = make_questions(2, split="train")
    for folder in ("train-7", "test"):
        run = Run(home / "meta" / folder)
        run.path.mkdir(parents=True)
        run.write_questions(questions)
        run.write_trajectories([one for question in questions for one in ask_oracle(base, question, 2)])
    options = {
        "seed": 7,
        "model": "tiny-base",
        "inner_rate": 0.3,
        "rates": (0.3,),
        "inner_weights": "",
        "outer_rate": 3e-4,
        "n_outer_steps": 4,
        "tasks_per_step": 2,
        "n_choice": 2,
        "n_support": 1,
    }
    for loop in ("untrained", "algorithm-1", "algorithm-2"):
        loops.train_loop(home, loop=loop, **options)
    return home, base, questions


def test_losses_before_training_are_those_of_the_definition(trained):
    """Right after the prompt, and after the first of a question's trajectories, which is the only one taken."""
    home, base, questions = trained
    losses = loops.read_losses(home, "untrained", 7)
    assert losses.question_ids == tuple(question.id for question in questions)
    bridge = TraceSettings.bridge
    for i, question in enumerate(questions):
        one = ask_oracle(base, question, 2)[0]
        n = find_span_len(one, "reasoning")
        parts = (one.prompt_ids, one.token_ids, encode_text(base.tokenizer, bridge))
        rows = answer_nll_by_definition(
            base.model,
            *map(torch.tensor, parts),
            torch.tensor(encode_answer(base.tokenizer, bridge, question.answer)),
            torch.tensor([0, n]),
        )
        assert (losses.plain[i], losses.implicit[i]) == pytest.approx(rows.mean(dim=1).tolist(), abs=1e-4)


def test_each_algorithm_lowers_what_it_descends(trained):
    home, *_ = trained
    before, first, second = (loops.read_losses(home, loop, 7) for loop in ("untrained", "algorithm-1", "algorithm-2"))
    assert sum(first.explicit) < sum(before.explicit)
    assert sum(second.implicit) < sum(before.implicit)
    assert first.rate == second.rate == before.rate == 0.3


def test_the_step_size_is_the_one_that_serves_the_questions_and_does_not_break_the_model(trained):
    from raml.training.maml import MetaSettings, make_meta_tasks

    home, base, questions = trained
    run = Run(home / "meta" / "test")
    tasks, _ = make_meta_tasks(base, questions, run.read_trajectories())
    settings = MetaSettings()
    assert loops._choose_rate(base.model, tasks[:1], settings, None, (0.0, 1e4)) == 0.0
    broken = {name: value * float("nan") for name, value in base.model.named_parameters()}
    with pytest.raises(NumericsError, match=r"No step size of 0\.1, 1\.0"):
        loops._choose_rate(base.model, tasks[:1], settings, broken, (0.1, 1.0))
