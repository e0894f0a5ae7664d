"""Check a program against its tests."""

from __future__ import annotations

import itertools
import signal
from typing import Any

from raml.answers.code.isolation import Isolation
from raml.answers.code.limits import CodeResult, Limits, write_detail
from raml.answers.code.outputs import are_same_values, find_difference, read_value
from raml.answers.code.probe import find_isolation
from raml.answers.code.sandbox import Outcome, Sandbox
from raml.errors import UndecidedError
from raml.records import CodeTests

DEFAULT_LIMITS = Limits()


def check_program(
    program: str, tests: CodeTests, *, limits: Limits = DEFAULT_LIMITS, isolation: Isolation | None = None
) -> CodeResult:
    """Run a Python program on its tests, in order, up to the first that it fails.

    It runs shut off from the machine as `find_isolation` says. What a test expects is never sent where the program
    runs: its output is compared here, so a program can be right only by giving the right output.

    Args:
        program: Its source. Common modules and names are there without an import, see docs/code-execution.md.
        tests: What it has to do. A program passes a test if it prints what is expected and exits with 0, a function if
            it returns the expected value.
        limits: What it may use in each test.
        isolation: In place of `find_isolation()`.
    """
    isolation = isolation or find_isolation()
    if isolation.name == "none":
        return CodeResult("undecided", write_detail(str(isolation)))
    try:
        requests = _write_requests(program, tests)
        expected = [output if tests.function is None else read_value(output) for output in tests.outputs]
    except ValueError as error:
        return CodeResult("undecided", write_detail(f"The question's tests can't be used: {error}"))
    try:
        with Sandbox(isolation, limits) as sandbox:
            for number, (request, gold) in enumerate(zip(requests, expected, strict=True), 1):
                result = _judge(sandbox.run(request), gold, limits, is_function=tests.function is not None)
                if result.verdict != "right":
                    return CodeResult(
                        result.verdict, write_detail(f"Test {number} of {len(requests)}: {result.detail}")
                    )
    except UndecidedError as error:
        return CodeResult("undecided", write_detail(str(error)))
    return CodeResult("right", None)


def _write_requests(program: str, tests: CodeTests) -> list[dict[str, Any]]:
    """Write what is sent for each test; ValueError if the tests are not what they should be."""
    if not tests.inputs or len(tests.inputs) != len(tests.outputs):
        raise ValueError(f"{len(tests.inputs)} inputs, {len(tests.outputs)} outputs; expected as many, one at least.")
    request = {"program": program, "function": tests.function}
    if tests.function is None:
        return [{**request, "input": text} for text in tests.inputs]
    lines = [[line for line in text.split("\n") if line.strip()] for text in tests.inputs]
    for line in itertools.chain(*lines):
        read_value(line)  # only checked: they are read where the program runs
    return [{**request, "arguments": arguments} for arguments in lines]


def _judge(outcome: Outcome, expected: Any, limits: Limits, *, is_function: bool) -> CodeResult:  # noqa: ANN401
    """Decide about one test."""
    if outcome.timed_out:
        return CodeResult("timed out", f"not done after {limits.cpu_s} s of computing or {limits.wall_s:g} s in all.")
    if outcome.too_long:
        return CodeResult("wrong", f"gave more than {limits.output_bytes:,} bytes.")
    if outcome.lost:
        return CodeResult("wrong", "ended together with the process that ran it.")
    if is_function:
        return _judge_value(outcome, expected)
    if outcome.exit_code != 0:
        return CodeResult("wrong", _describe_end(outcome))
    difference = find_difference(outcome.output.decode("utf-8", "replace"), expected)
    return CodeResult("right", None) if difference is None else CodeResult("wrong", f"{difference}.")


def _judge_value(outcome: Outcome, expected: Any) -> CodeResult:  # noqa: ANN401
    if not outcome.value:
        return CodeResult("wrong", f"returned no value: {_describe_end(outcome)}")
    text = outcome.value.decode("utf-8", "replace")
    try:
        is_same = are_same_values(read_value(text), expected)
    except ValueError:
        return CodeResult("wrong", "returned no JSON.")
    return CodeResult("right", None) if is_same else CodeResult("wrong", f"returned {text[:80]}.")


def _describe_end(outcome: Outcome) -> str:
    """Say how a program ended: by a signal, by an exception, or with an exit status."""
    if outcome.exit_code < 0:
        names = {int(number): number.name for number in signal.Signals}
        return f"ended by {names.get(-outcome.exit_code, f'signal {-outcome.exit_code}')}."
    lines = outcome.error.strip().splitlines()
    if outcome.exit_code == 0:
        return "exit status 0."
    return f"exit status {outcome.exit_code}: {lines[-1]}" if lines else f"exit status {outcome.exit_code}."
