"""Pickles in a training checkpoint that somebody else put there."""

import io
import shutil
import struct
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from raml.errors import RunError
from raml.training import SftSettings, train_sft


class Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    rows = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(pa.table({"input_ids": [[1, 2, 3]] * 6, "labels": [[-100, 2, 3]] * 6}), rows)
    return SftSettings(model="tiny-base", rows=(rows,), batch_size=2, device="cpu", threads=1, save_every=1)


@pytest.fixture(scope="module")
def interrupted(settings, tmp_path_factory):
    """A run that was ended after the second of three updates."""
    folder = tmp_path_factory.mktemp("interrupted") / "model"

    def stop(done, total, metrics):
        if done == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_sft(settings, folder, progress=stop)
    return folder


@pytest.fixture
def checkpoint(interrupted, tmp_path):
    shutil.copytree(interrupted, tmp_path / "model")
    return tmp_path / "model" / "checkpoints" / "checkpoint-2"


def resume(settings, checkpoint):
    return train_sft(settings, checkpoint.parents[1])


READ = ["optimizer.pt", "scheduler.pt", "rng_state.pth", "pytorch_model.bin"]
"""What a resumed run reads; the last one only where there are no weights as safetensors."""
NOT_READ = ["training_args.bin", "optimizer.bin", "custom_checkpoint_0.pkl", "rng_state_0.pth"]


@pytest.mark.parametrize(
    ("name", "write"), [*((name, "as_torch_file") for name in READ), ("optimizer.pt", "as_pickle")]
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_that_would_run_something_is_refused_and_nothing_runs(settings, checkpoint, trap, name, write):
    if name == "pytorch_model.bin":
        (checkpoint / "model.safetensors").unlink()
    else:
        assert (checkpoint / name).is_file()
    (checkpoint / name).write_bytes(getattr(trap, write)())
    with pytest.raises(RunError, match="holds more than tensors, numbers and names; nothing was run"):
        resume(settings, checkpoint)


def pack(content):
    """Write an archive anew with compressed members, as a bomb would be."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return packed.getvalue()


def flip(content, place, mask=1):
    """Flip bits of a byte."""
    return content[:place] + bytes([content[place] ^ mask]) + content[place + 1 :]


def flip_data(content):
    """Flip a bit of the last member's first byte."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        start = archive.infolist()[-1].header_offset
    n_name, n_extra = struct.unpack("<HH", content[start + 26 : start + 30])
    return flip(content, start + 30 + n_name + n_extra)


DIRECTORY = b"PK\x01\x02"
HARMS = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "packed": pack,
    "flipped in a member": flip_data,
    "said to be encrypted": lambda content: flip(content, content.index(DIRECTORY) + 8),
    "said to need a later program": lambda content: flip(content, content.index(DIRECTORY) + 6, 0xFF),
    "without its directory": lambda content: flip(content, content.rindex(b"PK\x05\x06") + 1),
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("harm", HARMS)
def test_a_file_of_torch_that_was_cut_short_or_damaged_is_refused_by_name(settings, checkpoint, name, harm):
    path = checkpoint / name
    if name == "pytorch_model.bin":
        torch.save(load_file(checkpoint / "model.safetensors"), path)
        (checkpoint / "model.safetensors").unlink()
    path.write_bytes(HARMS[harm](path.read_bytes()))
    with pytest.raises(RunError, match=rf"checkpoint-2/{name} is broken.*goes on from the one before"):
        resume(settings, checkpoint)


def test_pickles_that_a_resumed_run_has_no_use_for_are_not_run(settings, checkpoint, trap):
    for name in NOT_READ:
        (checkpoint / name).write_bytes(trap.as_torch_file())
        (checkpoint.parents[1] / name).write_bytes(trap.as_torch_file())
    assert resume(settings, checkpoint).n_new == 1


def test_the_trap_works_where_pickles_are_run(trap):
    torch.load(io.BytesIO(trap.as_torch_file()), weights_only=False)["state"].close()
    assert trap.sprung.exists()
    trap.sprung.unlink()
