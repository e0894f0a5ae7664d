"""Checksums of lines, tables, landscapes and manifests, and what is left of killed writers."""

import fcntl
import json
import zlib
from pathlib import Path

import pytest

from raml.errors import DataError, RunError
from raml.records import Question, Trace
from raml.store import Run, read_jsonl, write_atomically
from raml.store.checksums import find_misfit, seal
from raml.store.landscapes import read_landscape, write_landscape
from raml.store.lines import encode_line
from raml.store.tables import GROUP, read_table, write_table
from tests.store.test_landscapes import make_landscape
from tests.store.test_store import QUESTIONS, make_trace


def test_a_checksum_is_the_crc_of_the_line_without_it():
    """CRC-32 of the seven bytes {"a":1} by the definition: bitwise division by the reflected polynomial 0xEDB88320."""
    crc = 0xFFFFFFFF
    for byte in b'{"a":1}':
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    assert seal(b'{"a":1}') == b'{"a":1,"crc":"%08x"}' % (crc ^ 0xFFFFFFFF)


@pytest.mark.parametrize("at", range(len(encode_line(QUESTIONS[0])) - 1))
def test_a_changed_bit_anywhere_in_a_line_is_told_or_harmless(tmp_path, at):
    """Harmless: in the name of the checksum, after which there is none, and the record is what it was."""
    path = tmp_path / "questions.jsonl"
    line = bytearray(encode_line(QUESTIONS[0]))
    name = line.rindex(b'"crc"')
    line[at] ^= 1
    path.write_bytes(bytes(line) + encode_line(QUESTIONS[1]))
    if name < at < name + 4:
        assert read_jsonl(path, Question) == QUESTIONS[:2]
    else:
        with pytest.raises(DataError, match=r"questions.jsonl line 1.*raml check .* --repair"):
            read_jsonl(path, Question)


def test_a_line_whose_checksum_does_not_fit_is_refused_by_number(tmp_path):
    path = tmp_path / "questions.jsonl"
    lines = [encode_line(question) for question in QUESTIONS]
    path.write_bytes(lines[0] + lines[1].replace(QUESTIONS[1].answer.encode(), b"77", 1) + lines[2])
    with pytest.raises(DataError, match=r"line 2: the checksum does not fit.*take the field crc out of the line"):
        read_jsonl(path, Question)


def test_lines_without_a_checksum_and_lines_written_anew_are_read(tmp_path):
    """Older files have none; most programs put blanks after colons, and then there is nothing to compare."""
    path = tmp_path / "questions.jsonl"
    plain = json.loads(encode_line(QUESTIONS[0])) | {"answer": "77"}
    del plain["crc"]
    edited = json.dumps(json.loads(encode_line(QUESTIONS[1])) | {"answer": "78"})
    path.write_text(json.dumps(plain, separators=(",", ":")) + "\n" + edited + "\n")
    assert [question.answer for question in read_jsonl(path, Question)] == ["77", "78"]


def test_windows_line_ends_do_not_count():
    assert find_misfit(encode_line(QUESTIONS[0]).replace(b"\n", b"\r\n")) == ""


def test_a_last_line_whose_end_was_changed_is_no_torn_one(tmp_path):
    path = tmp_path / "trajectories.jsonl"
    path.write_bytes(encode_line(QUESTIONS[0]) + encode_line(QUESTIONS[1])[:-1] + b"x")
    with pytest.raises(DataError, match="line 2"):
        read_jsonl(path, Question)


def test_questions_are_replaced_whole_so_a_torn_line_of_them_is_damage(tmp_path):
    run = Run(tmp_path)
    run.write_questions(QUESTIONS)
    run.questions_path.write_bytes(run.questions_path.read_bytes()[:-9])
    with pytest.raises(DataError, match=f"line {len(QUESTIONS)} is no Question record"):
        run.read_questions()


def test_a_changed_byte_in_a_table_is_refused_and_other_groups_are_whole(tmp_path):
    """Two and a half groups; a bit in every hundredth byte of the first two thirds, where pages are."""
    path = tmp_path / "traces.parquet"
    traces = [make_trace(seed=i) for i in range(2 * GROUP + GROUP // 2)]
    write_table(path, traces, Trace)
    content = path.read_bytes()
    nll = content.find(b"\x28\xb5\x2f\xfd")  # where the first page compressed with zstd begins
    damaged = bytearray(content)
    damaged[nll + 8] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(RunError, match=r"no readable file of traces.*raml check"):
        read_table(path, Trace)


def test_a_changed_manifest_is_refused_unless_its_checksum_is_taken_out(tmp_path):
    run = Run(tmp_path)
    run.manifest_path.write_text('{"stages": [], "schema_version": 2, "crc": "00000000"}')
    with pytest.raises(RunError, match="checksum does not fit"):
        run.read_manifest()
    body = b'{"stages":[],"schema_version":2}'
    run.manifest_path.write_text(f'{{"stages": [], "schema_version": 2, "crc": "{zlib.crc32(body):08x}"}}')
    assert run.read_manifest().stages == ()
    run.manifest_path.write_text('{"stages": [], "schema_version": 2}')
    assert run.read_manifest().stages == ()


def test_what_a_killed_writer_left_is_removed_and_what_is_being_written_stays(tmp_path):
    left, busy = tmp_path / ".a.json.1.partial", tmp_path / ".a.json.2.partial"
    left.write_bytes(b"half")
    other = tmp_path / ".b.json.1.partial"
    other.write_bytes(b"of another file")
    with busy.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_atomically(tmp_path / "a.json", b"whole")
        assert {path.name for path in tmp_path.iterdir()} == {"a.json", busy.name, other.name}
    write_atomically(tmp_path / "a.json", b"whole")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", other.name}


def test_a_file_that_is_swept_up_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    """The sweeper may come between making the file and locking it."""
    real, swept = fcntl.flock, []

    def sweep_first(descriptor, operation):
        if not swept:
            swept.append(Path(f"/proc/self/fd/{descriptor}").readlink())
            swept[0].unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    write_atomically(tmp_path / "a.json", b"whole")
    assert swept
    assert (tmp_path / "a.json").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_changed_byte_anywhere_in_a_landscape_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    write_landscape(path, make_landscape())
    content = path.read_bytes()
    for at in range(0, len(content), 41):
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(RunError, match=r"a.safetensors is no"):
            read_landscape(path)
