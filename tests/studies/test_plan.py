"""Plans of studies: each resolves at each scale, and steps that several want are there once."""

import shlex
from pathlib import Path

import pytest

from raml.errors import DataError
from raml.studies.conclusion import plan_study
from raml.studies.ingredients import name_model, name_test
from raml.studies.plan import SCALES, STUDIES, Step, collect_steps, load_setup, write_step


@pytest.fixture(scope="module", params=SCALES)
def plans(request):
    return {name: plan_study(name, request.param) for name in STUDIES}


def test_every_study_is_planned_at_every_scale_and_ends_by_concluding(plans):
    for name, steps in plans.items():
        assert steps[-1].name == f"{name}/conclude"
        assert set(steps[-1].needs) == {step.name for step in steps[:-1]}
        assert steps[-1].again
        assert not any(step.again for step in steps[:-1])


def test_all_studies_together_have_each_step_once_and_in_order(plans):
    steps = collect_steps(list(plans.values()))
    place = {step.name: i for i, step in enumerate(steps)}
    assert len(place) == len(steps)
    assert set(place) == {step.name for plan in plans.values() for step in plan}
    assert all(place[need] < place[step.name] for step in steps for need in step.needs)


def test_each_step_is_either_a_command_or_a_call(plans):
    for step in (step for plan in plans.values() for step in plan):
        assert bool(step.words) != bool(step.call), step.name


def test_two_commands_write_one_folder_only_one_after_the_other(plans):
    """Nothing that fills a folder may come between questions and what reads them: of any two, one needs the other."""
    steps = collect_steps(list(plans.values()))
    before: dict[str, set[str]] = {}
    for step in steps:
        before[step.name] = set(step.needs).union(*(before[need] for need in step.needs))
    for step in steps:
        if step.folder and step.words[:1] == ("questions",):
            others = [other for other in steps if other.folder == step.folder and other is not step]
            assert all(step.name in before[other.name] for other in others), step.name


def test_tiny_trains_with_three_seeds_at_least_and_asks_64_questions_at_least():
    shared = load_setup("fig3", "tiny").shared
    assert len(shared["train"]["seeds"]) >= 3
    assert shared["probe"]["n_questions"] >= 64
    assert all(own["n_questions"] >= 64 for own in shared["test"]["sets"].values())


@pytest.mark.parametrize("scale", SCALES)
def test_the_numbers_for_the_cost_are_those_of_the_command_lines(scale):
    shared = load_setup("fig3", scale).shared

    def read(words, flag):
        return int(words[words.index(flag) + 1]) if flag in words else None

    probe, train, test = shared["probe"], shared["train"], shared["test"]
    pairs = [(probe["n"], read(probe["sample"], "--n")), (train["n"], read(train["writer"], "--n"))]
    pairs += [(train["n_questions"], read(train["questions"], "--limit"))]
    pairs += [(probe["n_questions"], read(probe["questions"], "--limit"))]
    for own in test["sets"].values():
        pairs.append((own.get("n", test["n"]), read(own.get("sample", test["sample"]), "--n")))
        pairs.append((own["n_questions"], read(own["questions"], "--limit")))
    assert all(given == said for given, said in pairs if said is not None), pairs
    assert sum(said is not None for _, said in pairs) >= 5


def test_a_launcher_names_a_file_that_is_there():
    steps = collect_steps([plan_study("table3", "paper")])
    launched = [step for step in steps if step.launcher]
    assert {Path(step.launcher[-1]).name for step in launched} == {"fsdp.yaml", "deepspeed.yaml"}
    assert all(Path(step.launcher[-1]).is_file() for step in launched)
    (sft,) = (step for step in launched if step.name == "models/sft-0")
    assert write_step(sft).startswith(f"accelerate launch --config_file {sft.launcher[-1]} -m raml --config paper/sft ")


def test_a_step_is_written_as_one_would_type_it():
    step = Step("x", ("trace", "a b", "--bridge", "it's"))
    assert write_step(step) == """raml trace 'a b' --bridge 'it'"'"'s'"""
    call = Step("y", call="some.module:make", arguments=(("seed", 1), ("loop", "one")))
    python, flag, code = shlex.split(write_step(call))
    assert (python, flag) == ("python", "-c")
    assert code == "from pathlib import Path; from some.module import make; make(Path(), seed=1, loop='one')"


def test_steps_come_after_what_they_need_whatever_their_order_was():
    a, b, c = Step("a", ("demo",)), Step("b", ("demo",), needs=("a",)), Step("c", ("demo",), needs=("b",))
    assert collect_steps([[c, b], [a, b]]) == [a, b, c]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([Step("a", ("demo",)), Step("a", ("trace",))], "different things by step a"),
        ([Step("a", ("demo",), needs=("nowhere",))], "a needs nowhere"),
        ([Step("a", ("demo",), needs=("b",)), Step("b", ("demo",), needs=("a",))], "a needs b"),
        ([Step("a", ("demo",), needs=("a",))], "a needs a"),
    ],
)
def test_steps_that_can_t_be_brought_into_an_order_are_refused(steps, told):
    with pytest.raises(DataError, match=told):
        collect_steps([steps])


@pytest.mark.parametrize(
    ("name", "scale", "told"),
    [
        ("fig1", "tiny", "no study fig1; there are fig2"),
        ("fig3", "huge", "no scale huge; there are tiny, small, paper"),
    ],
)
def test_an_unknown_study_or_scale_is_refused_with_those_there_are(name, scale, told):
    with pytest.raises(DataError, match=told):
        load_setup(name, scale)


def test_folders_of_tests_differ_between_models_and_seeds():
    """The base has no seed in its name, so that its tests carry the seed of their sampling."""
    names = [name_test(name_model("sft", seed), "s", seed) for seed in (0, 1)]
    names += [name_test(base, "s", seed) for seed in (0, 1) for base in ("tiny-base", "Qwen/Qwen2.5-7B")]
    assert len(set(names)) == 6
    assert all(name.count("/") == 2 for name in names)
