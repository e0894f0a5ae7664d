"""Programs of good will, right and wrong, in the isolation of this machine."""

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from raml.answers.code import Limits, check_program, find_isolation, isolation
from raml.records import CodeTests

LIMITS = Limits(cpu_s=2, wall_s=20.0, memory_bytes=1 << 30)


def run(program, *cases, function=None):
    inputs, outputs = zip(*cases, strict=True)
    return check_program(program, CodeTests(inputs, outputs, function), limits=LIMITS)


@pytest.mark.parametrize(
    ("program", "given", "expected"),
    [
        ("a, b = map(int, input().split())\nprint(a + b)", "3 4\n", "7\n"),
        ("import sys\nfor line in sys.stdin:\n    print(line[::-1].strip())", "abc\nde\n", "cba\ned\n"),
        ("import sys\nprint(len(sys.stdin.buffer.read()))", "é\n", "3"),
        ("print(open(0).read().upper(), end='')", "straße 日本\n", "STRASSE 日本\n"),
        ("print('1.50   ')\nprint()\nprint()", "", "1.5\n"),
        ("if __name__ == '__main__':\n    print(1)", "", "1"),
        ("print(gcd(6, 4), deque([1])[0], heapq.heappop([2]), pow(2, 3, 5), inf)", "", "2 1 2 3 inf"),
        ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int\nprint(A(1).x)", "", "1"),
        ("print(1)\nexit()\nprint(2)", "", "1"),
        ("import os\nprint(1, flush=True)\nos._exit(0)", "", "1"),
        ("import atexit\natexit.register(lambda: print(2))\nprint(1)", "", "1\n2"),
        ("def f(n):\n    return n and 1 + f(n - 1)\nprint(f(20000))", "", "20000"),
        ("print(len(str(10 ** 20000)))", "", "20001"),
        ("open('a.txt', 'w').write('x')\nprint(open('a.txt').read())", "", "x"),
        ("print(os.listdir('.'))", "", "[]"),
        ("file = open(1, 'w')\nfile.write('1')", "", "1"),
        ("import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\nprint(1)", "", "1"),
        ("import sys\nkept = sys.stdout\nsys.stdout = sys.stderr\nkept.write('1')", "", "1"),
        ("from concurrent.futures import ThreadPoolExecutor as T\nprint(*T(2).map(int, '12'))", "", "1 2"),
        ("import numpy\nprint(numpy.arange(3).sum())", "", "3"),
        (
            "import threading\nthreading.stack_size(1 << 26)\nt = threading.Thread(target=lambda: print(1))\nt.start()",
            "",
            "1",
        ),
    ],
)
def test_a_program_that_prints_what_is_expected_is_right(program, given, expected):
    result = run(program, (given, expected))
    assert result.verdict == "right", result.detail


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("print(8)", "Test 1 of 1: line 1 is '8', expected '7'."),
        ("", "Test 1 of 1: line 1 is '', expected '7'."),
        ("print(7)\nimport sys\nsys.exit(3)", "Test 1 of 1: exit status 3."),
        ("import sys\nsys.exit('bad')", "Test 1 of 1: exit status 1: bad"),
        ("print(7)\n1 / 0", "Test 1 of 1: exit status 1: ZeroDivisionError: division by zero"),
        ("print(7", "Test 1 of 1: exit status 1: SyntaxError: '(' was never closed"),
        ("print(7)\0", None),
        ("print(input())\ninput()", "Test 1 of 1: exit status 1: EOFError: EOF when reading a line"),
        ("raise ValueError('\\x1b[2J')", "Test 1 of 1: exit status 1: ValueError: \\x1b[2J"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "Test 1 of 1: ended by SIGSEGV."),
        ("x = bytearray(10 << 30)", "Test 1 of 1: exit status 1: MemoryError"),
        ("print('\\ud800')", "Test 1 of 1: line 1 is '\\\\ud800', expected '7'."),
        ("\ud800", None),
    ],
)
def test_a_program_that_fails_is_wrong_and_its_detail_says_why(program, detail):
    result = run(program, ("7\n", "7\n"))
    assert result.verdict == "wrong"
    assert detail is None or result.detail == detail


def test_a_limit_that_the_machine_has_already_set_lower_is_no_fault_of_the_program():
    code = """
        import resource
        from raml.answers.code import check_program
        from raml.records import CodeTests
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        print(check_program("print(1)", CodeTests(("",), ("1",))).verdict)
    """
    printed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True, text=True)
    assert printed.stdout == "right\n"


def test_the_first_test_that_fails_decides():
    result = run("n = int(input())\nprint(n if n < 3 else 1 / 0)", ("1", "1"), ("2", "5"), ("3", "3"))
    assert (result.verdict, result.detail) == ("wrong", "Test 2 of 3: line 1 is '2', expected '5'.")


def test_tests_do_not_see_what_earlier_ones_left():
    program = "import os, builtins\nprint(os.listdir(), hasattr(builtins, 'kept'))\nopen('x', 'w')\nbuiltins.kept = 1"
    assert run(program, ("", "[] False"), ("", "[] False")).verdict == "right"


def test_recursion_without_end_is_wrong():
    assert run("import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()", ("", "1")).verdict in (
        "wrong",
        "timed out",
    )
    assert run("class A:\n    __getattr__ = lambda s, n: getattr(s, n + 'x')\nA().y", ("", "1")).verdict == "wrong"


@pytest.mark.parametrize(
    "program",
    [
        "def f(a, b):\n    return a + b",
        "class Solution:\n    def f(self, a: List[int], b: Optional[int]) -> int:\n        return a + b",
        "class Solution:\n    @lru_cache(None)\n    def f(self, a, b):\n        return a + b",
        "f = lambda a, b: b + a",
        "print('debug', 5)\ndef f(a, b):\n    print('more')\n    return float(a + b)",
        "def f(a, b):\n    return a + b\nif __name__ == '__main__':\n    print(f(*map(int, input().split())))",
    ],
)
def test_a_function_or_method_that_returns_what_is_expected_is_right(program):
    result = run(program, ("3\n4", "7"), ("-1\n1\n", "0"), function="f")
    assert result.verdict == "right", result.detail


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("(1, (2, 'é'))", '[1, [2, "é"]]'),
        ("{1: [None, True]}", '{"1": [null, true]}'),
        ("[0.1 + 0.2]", "[0.30000000000000004]"),
        ("None", "null"),
        ("[]", "[]"),
    ],
)
def test_values_are_compared_as_json_and_tuples_are_lists(returned, expected):
    assert run(f"def f():\n    return {returned}", ("", expected), function="f").verdict == "right"


def test_integers_of_any_length_are_given_to_a_function_and_taken_from_it():
    assert run("def f(a):\n    return a + 1", ("9" * 5000, "1" + "0" * 5000), function="f").verdict == "right"


def test_arguments_nested_too_deep_leave_a_program_undecided():
    result = run("def f(a):\n    return 1", ("[" * 5000 + "]" * 5000, "1"), function="f")
    assert (result.verdict, result.detail) == ("undecided", "The question's tests can't be used: nested too deep")


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("def f(a): return 8", "returned 8."),
        ("def f(a): return '7'", 'returned "7".'),
        (
            "def f(a): return {7}",
            "returned no value: exit status 1: TypeError: Object of type set is not JSON serializable",
        ),
        (
            "def f(): return 7",
            "returned no value: exit status 1: TypeError: f() takes 0 positional arguments but 1 was given",
        ),
        (
            "def g(a): return 7",
            "returned no value: exit status 1: NameError: neither a function f nor a class Solution that has it",
        ),
        ("def f(a): print(7)", "returned null."),
        ("def f(a): raise KeyError(a)", "returned no value: exit status 1: KeyError: 1"),
    ],
)
def test_a_function_that_returns_something_else_is_wrong(program, detail):
    result = run(program, ("1", "7"), function="f")
    assert (result.verdict, result.detail) == ("wrong", f"Test 1 of 1: {detail}")


def test_packages_may_lie_below_the_folder_that_programs_write_to(monkeypatch):
    """As in a clone below /tmp: they are seen, and can't be changed."""
    if find_isolation().name == "process":
        pytest.skip("programs see the machine's own folders here")
    program = """
folder = input()
print(open(folder + "/module.txt").read())
for name in ("module.txt", "new.txt"):
    try:
        open(folder + "/" + name, "w")
    except OSError:
        print("closed")
open("mine.txt", "w").write("open")
print(open("mine.txt").read())
"""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        Path(folder, "module.txt").write_text("seven")
        shown = [*isolation.find_shown_paths(), folder]
        monkeypatch.setattr("raml.answers.code.sandbox.find_shown_paths", lambda: shown)
        monkeypatch.setattr("raml.answers.code.isolation.find_shown_paths", lambda: shown)
        result = run(program, (folder, "seven\nclosed\nclosed\nopen"))
    assert (result.verdict, result.detail) == ("right", None)
