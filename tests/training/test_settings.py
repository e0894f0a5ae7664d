from pathlib import Path

import pytest

from raml.errors import DataError
from raml.training import DpoSettings, GrpoSettings, SftSettings

RUN = (Path("run"),)


def test_the_defaults_are_the_paper_s_where_it_names_them():
    sft, grpo = SftSettings(model="m", trajectories=RUN), GrpoSettings(model="m", questions=("q",))
    assert (sft.batch_size, sft.learning_rate, sft.epochs, sft.balance) == (256, 1e-5, 1, "paper")
    assert (grpo.group_size, grpo.batch_size, grpo.learning_rate, grpo.temperature) == (16, 1024, 1e-6, 1.0)
    assert grpo.format == "conclusion"
    assert grpo.kl == 0


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("learning_rate", 0.0, "learning_rate is 0.0; it must be above 0"),
        ("learning_rate", float("nan"), "learning_rate is nan"),
        ("batch_size", -1, "batch_size is -1"),
        ("micro_batch_size", 0, "micro_batch_size is 0"),
        ("epochs", float("inf"), "epochs is inf"),
        ("warmup_steps", -1, "warmup_steps is -1; it must be at least 0"),
        ("final_share", 1.5, "final_share is 1.5; it must be between 0 and 1"),
        ("schedule", "sine", "schedule is 'sine'; choose one of constant, linear, cosine"),
        ("balance", "fair", "balance is 'fair'; choose one of paper, tokens, once"),
        ("n", 0, "n is 0"),
        ("keep_checkpoints", 0, "keep_checkpoints is 0"),
        ("seed", -1, "seed is -1"),
    ],
)
def test_a_setting_out_of_range_is_named(field, value, what):
    with pytest.raises(DataError, match=what):
        SftSettings(**{"model": "m", "trajectories": RUN, field: value})


def test_sft_wants_one_kind_of_data():
    with pytest.raises(DataError, match="either trajectories"):
        SftSettings(model="m")
    with pytest.raises(DataError, match="not both"):
        SftSettings(model="m", trajectories=RUN, rows=RUN)
    with pytest.raises(DataError, match="DPO needs trajectories"):
        DpoSettings(model="m", trajectories=())
    with pytest.raises(DataError, match="GRPO needs questions"):
        GrpoSettings(model="m", questions=())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"group_size": 1}, "at least 2 rollouts"),
        ({"n_update": 0}, "n_update is 0; it must be between 1 and group_size"),
        ({"n_update": 17}, "n_update is 17"),
        ({"batch_size": 100}, "batch_size 100 is no multiple of group_size 16"),
        ({"updates_per_generation": 4, "save_every": 10}, "save_every 10 is no multiple of updates_per_generation 4"),
        ({"format": "xml"}, "format is 'xml'"),
        ({"temperature": 0}, "temperature is 0"),
        ({"schedule": "linear", "final_share": 0.5}, "final_share is for the cosine schedule"),
    ],
)
def test_sizes_that_do_not_fit_each_other_are_refused(changes, what):
    with pytest.raises(DataError, match=what):
        GrpoSettings(**{"model": "m", "questions": ("q",), **changes})


def test_a_cold_start_takes_from_grpo_what_is_no_matter_of_sft():
    cold = SftSettings(model="other", trajectories=RUN, learning_rate=1e-3)
    made = GrpoSettings(model="m", questions=("q",), seed=5, threads=1, device="cpu", cold_start=cold).cold_start
    assert (made.model, made.seed, made.threads, made.device) == ("m", 5, 1, "cpu")
    assert (made.learning_rate, made.trajectories) == (1e-3, RUN)
