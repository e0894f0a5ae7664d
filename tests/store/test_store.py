import os
import resource
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raml.errors import DataError, RunError
from raml.records import ModelIdentity, Question, Trace, TraceSettings, Trajectory, hash_key
from raml.store import Journal, Run, read_jsonl, write_atomically
from raml.store.lines import encode_line
from raml.store.tables import read_table, write_table

QUESTIONS = [Question(f"q{i}", f"What is {i}?", str(i), meta={"n": i}) for i in range(3)]


def make_trace(n=4, answer=2, seed=0):
    nll = np.random.default_rng(seed).exponential(size=(n, answer)).astype(np.float32)
    identity = ModelIdentity("m", None, "00", "float32", "cpu")
    return Trace(
        f"t{seed}",
        f"q-{seed}",
        identity,
        TraceSettings(),
        "one-pass",
        (1, 2),
        tuple(range(answer)),
        np.arange(n, dtype=np.int32),
        nll,
    )


def same_trace(a, b):
    plain = [{k: v for k, v in vars(t).items() if not isinstance(v, np.ndarray)} for t in (a, b)]
    return plain[0] == plain[1] and np.array_equal(a.nll, b.nll) and np.array_equal(a.prefix_lens, b.prefix_lens)


def test_records_come_back_from_jsonl_as_they_were(tmp_path, make_trajectory):
    path = tmp_path / "x.jsonl"
    for records in (QUESTIONS, [make_trajectory(logprobs=(-0.1, -2.5e-8, -3.0), error="“odd” \u2028 text")]):
        path.write_bytes(b"".join(map(encode_line, records)))
        assert read_jsonl(path, type(records[0])) == records


@given(st.integers(0, 9), st.integers(1, 4), st.integers(0, 5))
def test_traces_come_back_bit_for_bit_from_both_formats(tmp_path_factory, n, answer, seed):
    folder = tmp_path_factory.mktemp("traces")
    trace = make_trace(n, answer, seed)
    write_table(folder / "t.parquet", [trace], Trace)
    (folder / "t.jsonl").write_bytes(encode_line(trace))
    assert same_trace(read_table(folder / "t.parquet", Trace)[0], trace)
    assert same_trace(read_jsonl(folder / "t.jsonl", Trace)[0], trace)


def test_mean_nll_is_the_mean_over_answer_tokens():
    trace = replace(make_trace(2, 2), nll=np.array([[1, 3], [0.5, 0]], dtype=np.float32))
    assert trace.mean_nll.tolist() == [2.0, 0.25]


def test_a_torn_last_line_is_skipped_when_reading_and_cut_off_when_appending(tmp_path):
    path = tmp_path / "questions.jsonl"
    whole = b"".join(map(encode_line, QUESTIONS))
    for cut in range(2, len(encode_line(QUESTIONS[2]))):
        path.write_bytes(whole[:-cut])
        assert read_jsonl(path, Question) == QUESTIONS[:2]
        with Journal(path) as journal:
            journal.append(QUESTIONS[2:])
        assert path.read_bytes() == whole


def test_a_whole_last_line_without_newline_is_kept(tmp_path):
    """Editors save such files."""
    path = tmp_path / "questions.jsonl"
    path.write_bytes(b"".join(map(encode_line, QUESTIONS[:2]))[:-1])
    assert read_jsonl(path, Question) == QUESTIONS[:2]
    with Journal(path) as journal:
        journal.append(QUESTIONS[2:])
    assert path.read_bytes() == b"".join(map(encode_line, QUESTIONS))


@pytest.mark.parametrize(
    "changes", [{"reasoning_len": -1}, {"reasoning_len": 9}, {"token_ends": (1,)}, {"token_ids": (-1, 1, 2)}]
)
def test_a_trajectory_that_contradicts_itself_is_refused(tmp_path, make_trajectory, changes):
    path = tmp_path / "trajectories.jsonl"
    path.write_bytes(encode_line(make_trajectory(**changes)))
    with pytest.raises(DataError, match="line 1 is no Trajectory record"):
        read_jsonl(path, Trajectory)


def test_a_broken_line_in_the_middle_is_named_by_its_number(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_bytes(encode_line(QUESTIONS[0]) + b'{"v":1,"id":7}\n' + encode_line(QUESTIONS[1]))
    with pytest.raises(DataError, match=r"questions.jsonl line 2 is no Question record.*\$.id"):
        read_jsonl(path, Question)


@pytest.mark.parametrize("file", ["manifest.json", "questions.jsonl", "trajectories.jsonl", "traces.parquet"])
def test_whatever_a_newer_schema_wrote_is_refused_with_a_message_that_says_so(tmp_path, make_trajectory, file):
    run = Run(tmp_path)
    run.write_questions(QUESTIONS)
    path = tmp_path / file
    if file == "manifest.json":
        path.write_bytes(b'{"schema_version": 99, "stages": {}, "new_field": 1}')
    elif file == "traces.parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"x": [1]}).replace_schema_metadata({"raml.schema_version": "99"}), path)
    else:
        path.write_bytes(b'{"v":99,"something":"new"}\n')
    with pytest.raises(RunError, match="newer version of raml"):
        run.read_questions(), run.read_trajectories(), run.read_traces()


def test_an_atomic_write_that_fails_leaves_the_old_file_and_no_debris(tmp_path, monkeypatch):
    path = tmp_path / "manifest.json"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match="disk is full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_append_that_fails_half_way_leaves_whole_lines_only(tmp_path):
    """A limit on the file's size makes the kernel cut the write short, as a full disk does."""
    path = tmp_path / "questions.jsonl"
    limit = len(encode_line(QUESTIONS[0])) + 20
    code = f"""
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path.cwd())!r})
from tests.store.test_store import QUESTIONS
from raml.store import Journal
from raml.errors import RunError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Journal(Path({str(path)!r})) as journal:
    journal.append(QUESTIONS[:1])
    resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
    try:
        journal.append(QUESTIONS[1:])
    except RunError as error:
        print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "disk is full" in result.stdout
    assert path.read_bytes() == encode_line(QUESTIONS[0])
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="can't be written"):
        Run(tmp_path / "file" / "run").write_questions(QUESTIONS)


def test_a_journal_and_the_table_are_read_as_one_and_duplicates_once(tmp_path, make_trajectory):
    """A kill between writing the table and removing the journal leaves both."""
    run = Run(tmp_path)
    run.write_questions(QUESTIONS)
    write_table(run.traces_path, [make_trace(seed=0)], Trace)
    run.traces_journal_path.write_bytes(encode_line(make_trace(seed=0)) + encode_line(make_trace(seed=1)))
    assert [t.id for t in run.read_traces()] == ["t0", "t1"]
    run.close_traces()
    assert [t.id for t in read_table(run.traces_path, Trace)] == ["t0", "t1"]
    assert not run.traces_journal_path.exists()


def test_ordering_makes_the_bytes_independent_of_the_order_of_the_work(tmp_path, make_trajectory):
    made = [make_trajectory(question_id=f"q{q}", repeat=r) for q in range(3) for r in range(2)]
    contents = []
    for i, order in enumerate((made, made[::-1])):
        run = Run(tmp_path / str(i))
        run.write_questions(QUESTIONS)
        with Journal(run.trajectories_path) as journal:
            for trajectory in order:
                journal.append([trajectory])
        run.order_trajectories()
        contents.append(run.trajectories_path.read_bytes())
    assert contents[0] == contents[1]
    assert [t.id for t in Run(tmp_path / "0").read_trajectories()] == [t.id for t in made]


def test_keys_are_stable_and_differ_with_every_part():
    """SHA-256 of the JSON text ["a",1], first 16 digits, computed with sha256sum."""
    assert hash_key("a", 1) == "135f17a475a61afd"
    assert len({hash_key("a", 1), hash_key("a", 2), hash_key("a1"), hash_key("a", "1"), hash_key()}) == 5
    settings = TraceSettings()
    assert hash_key(settings) == hash_key(msgspec.to_builtins(settings)) == hash_key(asdict(settings))
