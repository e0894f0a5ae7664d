"""Steps that several studies share: a run that is probed, models that are trained, their answers to test questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raml.configs import list_configs
from raml.errors import DataError
from raml.studies.plan import Cost, Setup, Step

PROBE = "probe"
"""The run that is probed: its folder, and the start of its steps' names."""
TECHNIQUES = ("base", "sft", "zero-grpo", "sft-grpo")
"""The models that Tables 2 and 3 compare. The base is the same whatever the seed."""
TOKEN_BYTES = 12
"""Of a trajectory on the disk, per token: its id, its log-probability and its text."""
TRACE_BYTES = 120
"""Of traces and readouts on the disk, per token of a trajectory."""
BRANCH_TOKENS = 12
"""Bridge and answer, which are read after every prefix."""
WEIGHT_BYTES = 4
"""Of a weight on the disk, as training leaves it."""


def plan_probe(setup: Setup) -> list[Step]:
    """Sample trajectories with thinking and without, and trace all of them with readouts."""
    probe = setup.shared["probe"]
    n_tokens = probe["n_questions"] * probe["n"] * probe["mean_tokens"]
    parameters = probe["parameters"]
    n_without = probe["n_questions"] * probe["n"] * probe["mean_tokens_nothink"]
    n_both = n_tokens + n_without
    sampled = Cost(generated=n_tokens, parameters=parameters, n_bytes=n_tokens * TOKEN_BYTES)
    without = Cost(generated=n_without, parameters=parameters, n_bytes=n_without * TOKEN_BYTES)
    traced = Cost(scored=n_both * 3 * BRANCH_TOKENS, parameters=parameters, n_bytes=n_both * TRACE_BYTES)
    sample = ("sample", probe["model"], PROBE, *probe["sample"])
    return [
        *plan_questions(PROBE, probe["questions"]),
        _step(f"{PROBE}/sample", sample, (f"{PROBE}/questions",), PROBE, cost=sampled),
        _step(f"{PROBE}/sample-nothink", (*sample, "--mode", "nothink"), (f"{PROBE}/sample",), PROBE, cost=without),
        _step(f"{PROBE}/trace", ("trace", PROBE, *probe["trace"]), (f"{PROBE}/sample-nothink",), PROBE, cost=traced),
    ]


def plan_probe_stage(setup: Setup, words: Sequence[str], *, name: str = "", cost: Cost | None = None) -> list[Step]:
    """Run one more stage on the probed run; `words` are the command and its options."""
    stage = name or words[0]
    line = (words[0], PROBE, *words[1:])
    return [*plan_probe(setup), _step(f"{PROBE}/{stage}", line, (f"{PROBE}/trace",), PROBE, cost=cost or Cost())]


def plan_questions(folder: str, words: Sequence[str], seed: int = 0) -> list[Step]:
    """Bring questions into a run folder."""
    line = ("questions", *fill(words, seed), "--out", folder)
    return [_step(f"{folder}/questions", line, (), folder)]


def plan_model(setup: Setup, technique: str, seed: int) -> list[Step]:
    """Train a model by a technique of `TECHNIQUES`, with data, order and rollouts of a seed.

    Raises:
        DataError: there is no such technique.
    """
    if technique == "base":
        return []
    if technique == "sft":
        train = setup.shared["train"]
        steps = plan_rollouts(setup, seed)
        return [
            *steps,
            plan_sft(
                setup,
                name_model(technique, seed),
                [steps[-1].name],
                [f"train/sft-{seed}"],
                seed=seed,
                n_tokens=train["n_questions"] * train["n"] * train["mean_tokens"],
            ),
        ]
    if technique == "zero-grpo":
        return plan_grpo(setup, name_model(technique, seed), setup.shared["train"]["base"], (), seed)
    if technique == "sft-grpo":
        start = name_model("sft", seed)
        return [*plan_model(setup, "sft", seed), *plan_grpo(setup, name_model(technique, seed), start, (start,), seed)]
    raise DataError(f"There is no technique {technique}; there are {', '.join(TECHNIQUES)}.")


def plan_rollouts(setup: Setup, seed: int, *, folder: str = "", writing: Mapping[str, Any] | None = None) -> list[Step]:
    """Bring a seed's training questions, and let their writer solve them.

    `writing` stands in for some of the scale's settings under "train": other questions, another writer.
    """
    train = {**setup.shared["train"], **(writing or {})}
    folder = folder or f"train/sft-{seed}"
    n_tokens = train["n_questions"] * train["n"] * train["mean_tokens"]
    cost = Cost(generated=n_tokens, parameters=train.get("writer_parameters", 0), n_bytes=n_tokens * TOKEN_BYTES)
    writer, *options = fill(train["writer"], seed)
    line = ("sample", writer, folder, *options, "--seed", str(seed))
    return [
        *plan_questions(folder, train["questions"], seed),
        _step(f"{folder}/sample", line, (f"{folder}/questions",), folder, cost=cost),
    ]


def plan_sft(
    setup: Setup,
    model: str,
    needs: Sequence[str],
    runs: Sequence[str],
    *,
    seed: int,
    n_tokens: float,
    options: Sequence[str] = (),
) -> Step:
    """Train the base by SFT on runs; the step has the model folder's name."""
    train = setup.shared["train"]
    data = [word for run in runs for word in ("--trajectories", run)]
    line = (*train["sft"], "--model", train["base"], *data, "--out", model, "--seed", str(seed), *options)
    cost = Cost(trained=n_tokens, parameters=train["parameters"], n_bytes=train["parameters"] * WEIGHT_BYTES * 3)
    return _step(model, line, needs, model, launcher=train["launcher"], cost=cost)


def plan_grpo(
    setup: Setup,
    model: str,
    start: str,
    needs: Sequence[str],
    seed: int,
    *,
    options: Sequence[str] = (),
    share: float = 1.0,
) -> list[Step]:
    """Train a model by GRPO, learning a share of the rollouts; the last step has the model folder's name."""
    train = setup.shared["train"]
    folder = f"train/grpo-{seed}"
    n_tokens = train["n_grpo_rollouts"] * train.get("grpo_mean_tokens", train["mean_tokens"])
    cost = Cost(
        generated=n_tokens,
        scored=n_tokens,
        trained=n_tokens * share,
        parameters=train["parameters"],
        n_bytes=train["parameters"] * WEIGHT_BYTES * 3,
    )
    line = (*train["grpo"], "--model", start, "--questions", folder, "--out", model, "--seed", str(seed), *options)
    questions = plan_questions(folder, train["grpo_questions"], seed)
    launcher = train.get("grpo_launcher", train["launcher"])
    step = _step(model, line, (*needs, questions[-1].name), model, launcher=launcher, cost=cost)
    return [*questions, step]


def plan_test(setup: Setup, model: str, needs: Sequence[str], test_set: str, *, seed: int) -> list[Step]:
    """Let a model (a folder or a name) answer a test set; the last step and its run folder are `name_test`'s."""
    test = setup.shared["test"]
    own = test["sets"][test_set]
    folder = name_test(model, test_set, seed)
    n_tokens = own["n_questions"] * own.get("n", test["n"]) * own.get("mean_tokens", test["mean_tokens"])
    cost = Cost(generated=n_tokens, parameters=setup.shared["train"]["parameters"], n_bytes=n_tokens * TOKEN_BYTES)
    line = ("sample", model, folder, *own.get("sample", test["sample"]), "--seed", str(seed))
    return [
        *plan_questions(folder, own["questions"]),
        _step(folder, line, (*needs, f"{folder}/questions"), folder, cost=cost),
    ]


def plan_tested(setup: Setup, technique: str, test_set: str, seed: int) -> list[Step]:
    """Train a model of `TECHNIQUES` and let it answer a test set."""
    trained = plan_model(setup, technique, seed)
    needs = [step.name for step in trained[-1:]]
    return [*trained, *plan_test(setup, find_model(setup, technique, seed), needs, test_set, seed=seed)]


def find_model(setup: Setup, technique: str, seed: int) -> str:
    """Find the model that a technique leads to: a folder, or the base's name."""
    return setup.shared["train"]["base"] if technique == "base" else name_model(technique, seed)


def name_model(technique: str, seed: int) -> str:
    """Name the folder of a trained model."""
    return f"models/{technique}-{seed}"


def name_test(model: str, test_set: str, seed: int) -> str:
    """Name the run folder in which a model answers a test set."""
    short = model.removeprefix("models/").replace("/", "--")
    return f"test/{test_set}/{short}" if model.startswith("models/") else f"test/{test_set}/{short}-{seed}"


def fill(words: Sequence[str], seed: int) -> tuple[str, ...]:
    """Put a training seed into words."""
    return tuple(word.format(seed=seed) for word in words)


def get_seeds(setup: Setup) -> tuple[int, ...]:
    """Training seeds of the scale."""
    train: Mapping[str, Any] = setup.shared["train"]
    return tuple(train["seeds"])


def _step(
    name: str,
    words: Sequence[str],
    needs: Sequence[str],
    folder: str,
    *,
    launcher: Sequence[str] = (),
    cost: Cost | None = None,
) -> Step:
    # accelerate knows nothing of the names of packaged files.
    packaged = list_configs(".yaml")
    start = tuple(str(packaged.get(word, word)) for word in launcher)
    return Step(name, tuple(words), needs=tuple(needs), folder=folder, launcher=start, cost=cost or Cost())
