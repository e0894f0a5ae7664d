import base64
import json
import os
import pickle
import pickletools
import sys
import zlib

import pytest

from raml.answers.code import (
    CodeResult,
    check_program,
    count_usable_cpus,
    decode_private_tests,
    extract_code,
    find_isolation,
)
from raml.answers.code import program as program_module
from raml.answers.code.isolation import Isolation, User
from raml.answers.code.limits import write_detail
from raml.answers.code.outputs import are_same_values, find_difference, read_value
from raml.errors import DataError
from raml.records import CodeTests


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("```python\nprint(1)\n```", "print(1)\n"),
        ("```py\na\n```\nand\n```python3\nb\n```\n", "b\n"),
        ("```\nplain\n```", "plain\n"),
        ("~~~ Python\na\n~~~", "a\n"),
        ("```{.python}\na\n```", "a\n"),
        ("```python title=x.py\na\n```", "a\n"),
        ("````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''\n"),
        ("~~~python\n```\n~~~", "```\n"),
        ("1. so\n   ```python\n   if x:\n       y\n   ```", "if x:\n    y\n"),
        ("```python\na\n```\n```cpp\nb\n```\n```output\n3\n```", "a\n"),
        ("```python\na\n```\n```python\nb", "a\n"),
        ("<think>```python\na\n```</think>```python\nb\n```", "b\n"),
        ("```python\n\n\n```", "\n\n"),
        ("```python\r\na = '\u2028'\r\n```\r\n", "a = '\u2028'\n"),
        ("```python\na\n``` prints a.\n```\n", "a\n``` prints a.\n"),
    ],
)
def test_the_last_closed_python_or_plain_block_is_the_program(text, code):
    assert extract_code(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "print(1)",
        "```python\nprint(1)",
        "`print(1)`",
        "```print(1)```",
        "<think>```python\na\n```</think> Done.",
        "```java\na\n```",
        "```python\na\n~~~",
        "````python\na\n```",
    ],
)
def test_a_response_without_such_a_block_has_no_program(text):
    assert extract_code(text) is None


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("1 2\n3\n", "1 2\n3"),
        ("  1 2  \n3\r\n\n\n", "1 2\n3\n"),
        ("0.50 1e0\n", ".5 1"),
        ("100000000000000000001", "100000000000000000001.0"),
        ("-0", "0"),
        ("", "\n"),
    ],
)
def test_outputs_that_differ_in_blanks_or_in_the_writing_of_numbers_are_the_same(printed, expected):
    assert find_difference(printed, expected) is None


@pytest.mark.parametrize(
    ("printed", "expected", "reason"),
    [
        ("1\n2", "1\n3", "line 2 is '2', expected '3'"),
        ("1\n\n2", "1\n2", "3 lines printed, 2 expected"),
        ("", "1", "line 1 is '', expected '1'"),
        ("0.3333333", "0.3333334", "line 1 is '0.3333333', expected '0.3333334'"),
        ("100000000000000000001", "100000000000000000000", None),
        ("a 1.0", "a 1", None),
        ("1  a", "1 a", None),
        ("1_0", "10", None),
        ("nan", "NaN", None),
        ("١", "1", None),
        ("yes", "YES", None),
    ],
)
def test_outputs_that_differ_otherwise_are_not_the_same(printed, expected, reason):
    difference = find_difference(printed, expected)
    assert difference is not None
    assert reason is None or difference == reason


def test_values_are_equal_as_python_compares_them():
    assert are_same_values(read_value('[1, [2.0, true], {"a": null}]'), read_value('[1.0, [2, 1], {"a": null}]'))
    assert not are_same_values(read_value("[1, 2]"), read_value("[2, 1]"))
    assert not are_same_values(read_value('"1"'), read_value("1"))
    assert not are_same_values(read_value("0.1"), read_value("0.10000001"))


def test_a_value_of_a_million_digits_or_brackets_is_read_or_refused_at_once():
    assert read_value("9" * 1_000_000) == read_value("9" * 1_000_000)
    with pytest.raises(ValueError, match="deep"):
        read_value("[" * 1_000_000)


def test_a_detail_is_one_short_line_without_control_characters():
    detail = write_detail("\x1b[31mred\nnext\u202e é" + "x" * 1000)
    assert detail.startswith("\\x1b[31mred\\nnext\\u202e é")
    assert len(detail) < 400
    assert detail.isprintable()


def pack(tests):
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests)))).decode()


TESTS = [{"input": "1\né\n", "output": "2\n", "testtype": "stdin"}]


def test_private_tests_are_read_packed_and_as_plain_json():
    assert decode_private_tests(pack(TESTS)) == TESTS
    assert decode_private_tests(json.dumps(TESTS)) == TESTS
    long = [{"input": "x" * 100_000, "output": "", "testtype": "stdin"}]
    assert decode_private_tests(pack(long)) == long


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_private_tests_are_read_from_every_version_of_pickle(protocol):
    pickled = pickle.dumps(json.dumps(TESTS), protocol)
    assert decode_private_tests(base64.b64encode(zlib.compress(pickled)).decode()) == TESTS


class Hostile:
    def __reduce__(self):
        return print, ("unpickled",)


def test_a_pickle_that_does_anything_is_refused_and_not_run(capsys):
    packed = base64.b64encode(zlib.compress(pickle.dumps(Hostile()))).decode()
    with pytest.raises(DataError, match="opcode STACK_GLOBAL"):
        decode_private_tests(packed)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("pickled", [b"", b"\x80\x04.", b"\x80\x04X\x05\x00", b"\xff", pickle.dumps("[]") + b"more"])
def test_a_broken_pickle_is_an_error_of_the_data(pickled):
    with pytest.raises(DataError):
        decode_private_tests(base64.b64encode(zlib.compress(pickled)).decode())


def test_private_tests_that_grow_too_large_are_refused():
    bomb = base64.b64encode(zlib.compress(b"\0" * 10_000_000)).decode()
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        decode_private_tests(bomb, max_bytes=1000)


@pytest.mark.parametrize(
    "text", ["", "!!!", "[1]", "[{", base64.b64encode(b"not zlib").decode(), pack({"a": 1}), pack(TESTS)[:40]]
)
def test_private_tests_that_are_something_else_are_an_error_of_the_data(text):
    with pytest.raises(DataError):
        decode_private_tests(text)


def test_the_opcodes_of_a_pickled_text_are_those_that_are_accepted():
    names = {opcode.name for opcode, _, _ in pickletools.genops(pickle.dumps("x"))}
    assert names == {"PROTO", "FRAME", "SHORT_BINUNICODE", "MEMOIZE", "STOP"}


@pytest.mark.parametrize(
    "tests",
    [
        CodeTests((), ()),
        CodeTests(("1",), ()),
        CodeTests(("1",), ("not json",), "f"),
        CodeTests(("not json",), ("1",), "f"),
    ],
)
def test_tests_that_cannot_be_used_leave_a_program_undecided(tests):
    result = check_program("print(1)", tests)
    assert result.verdict == "undecided"
    assert "tests can't be used" in result.detail


def test_where_nothing_can_be_run_a_program_is_undecided(monkeypatch):
    monkeypatch.setattr(program_module, "find_isolation", lambda: Isolation("none", reason="no such kernel."))
    expected = CodeResult("undecided", "Programs can't be run: no such kernel.")
    assert check_program("print(1)", CodeTests(("",), ("1",))) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")
def test_many_sandboxes_at_the_same_time_have_different_users():
    users = [User() for _ in range(40)]
    assert len({user.uid for user in users}) == 40
    assert all(0 < user.uid < 2**31 for user in users)
    for user in users:
        user.release()


@pytest.mark.parametrize(
    ("membership", "files", "n_cpus"),
    [
        ("0::/a/b", {"a/cpu.max": "150000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("0::/a/b", {"a/cpu.max": "800000 100000", "a/b/cpu.max": "300000 100000"}, 3),
        ("0::/elsewhere", {"cpu.max": "20000 100000"}, 1),
        ("0::/", {"cpu.max": "max 100000"}, 16),
        ("0::/", {}, 16),
        ("3:cpu,cpuacct:/a\n0::/", {"cpu/a/cpu.cfs_quota_us": "250000", "cpu/a/cpu.cfs_period_us": "100000"}, 2),
        ("3:cpu:/a", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 16),
        ("3:cpuset:/", {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 16),
        ("", {"cpu.max": "2000000 100000"}, 16),
    ],
)
def test_as_many_cpus_are_usable_as_a_container_may_use(monkeypatch, tmp_path, membership, files, n_cpus):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(membership)
    for name, content in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    assert count_usable_cpus(tmp_path) == n_cpus


def test_the_isolation_says_in_a_sentence_what_programs_can_reach():
    closed = {"has_network": False, "reads_files": False, "writes_files": False, "starts_processes": False}
    assert (
        str(Isolation("namespaces", **closed)) == "Programs run in namespaces, without network and without your files."
    )
    exposed = "network, files they may read, files they may change, other processes"
    assert str(Isolation("process")) == f"Programs run in a process of their own, WITHOUT isolation from {exposed}."
    assert str(find_isolation()).startswith("Programs ")
