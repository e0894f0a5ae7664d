from pathlib import Path

import pytest

from raml.errors import RunError
from raml.training import SftSettings
from raml.training.folder import TrainingFolder, make_plan


def plan(data="d", **changes):
    settings = {"model": "m", "trajectories": (Path("run"),), **changes}
    return make_plan("sft", SftSettings(**settings), "weights", data)


def add_checkpoint(folder, step, *, complete=True):
    path = folder.checkpoints_path / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_text("")
    (path / "training_args.bin").write_text("")
    if complete:
        folder.mark_checkpoint(step, keep=9)
    return path


def test_a_new_folder_begins_from_nothing(tmp_path):
    folder = TrainingFolder(tmp_path / "new" / "model")
    assert folder.begin(plan()) is None
    assert folder.plan_path.is_file()


def test_the_newest_complete_checkpoint_is_taken_up_and_a_torn_one_is_removed(tmp_path):
    folder = TrainingFolder(tmp_path)
    folder.begin(plan())
    add_checkpoint(folder, 20)
    newest = add_checkpoint(folder, 100)
    torn = add_checkpoint(folder, 120, complete=False)
    assert folder.begin(plan()) == newest
    assert not torn.exists()


def test_a_marked_checkpoint_has_no_pickle_and_older_ones_go(tmp_path):
    folder = TrainingFolder(tmp_path)
    folder.begin(plan())
    old, new = add_checkpoint(folder, 10), add_checkpoint(folder, 20)
    folder.mark_checkpoint(20, keep=1)
    assert not old.exists()
    assert not (new / "training_args.bin").exists()


def test_other_settings_are_refused_with_the_difference(tmp_path):
    folder = TrainingFolder(tmp_path)
    folder.begin(plan())
    add_checkpoint(folder, 10)
    with pytest.raises(RunError, match=r"learning_rate was 1e-05, now 0.001; seed was 0, now 1"):
        folder.begin(plan(learning_rate=1e-3, seed=1))
    with pytest.raises(RunError, match="data was 'd', now 'e'"):
        folder.begin(plan("e"))
    assert folder.begin(plan()) is not None


def test_settings_that_change_no_weight_may_change(tmp_path):
    folder = TrainingFolder(tmp_path)
    folder.begin(plan())
    checkpoint = add_checkpoint(folder, 10)
    assert folder.begin(plan(save_every=7, keep_checkpoints=3, log_every=5, report_to=("wandb",))) == checkpoint


def test_another_path_to_the_same_data_is_the_same_run(tmp_path):
    folder = TrainingFolder(tmp_path)
    folder.begin(plan())
    checkpoint = add_checkpoint(folder, 10)
    assert folder.begin(plan(model="elsewhere", trajectories=(Path("/other/run"),))) == checkpoint


def test_what_a_kill_left_of_a_file_being_written_is_no_obstacle(tmp_path):
    (tmp_path / ".training.json.77.partial").write_text("{")
    assert TrainingFolder(tmp_path).begin(plan()) is None


def test_without_a_checkpoint_nothing_is_lost_and_other_settings_begin_anew(tmp_path):
    folder = TrainingFolder(tmp_path)
    folder.begin(plan())
    assert folder.begin(plan(seed=5)) is None


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "questions.jsonl").write_text("{}")
    with pytest.raises(RunError, match=r"holds something that is no training run \(such as questions.jsonl\)"):
        TrainingFolder(tmp_path).begin(plan())
    assert [path.name for path in tmp_path.iterdir()] == ["questions.jsonl"]
    with pytest.raises(RunError, match="is a file"):
        TrainingFolder(tmp_path / "questions.jsonl").begin(plan())
