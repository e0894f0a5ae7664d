"""What makes a record contradict itself."""

from dataclasses import replace

import numpy as np
import pytest

from raml.records import CodeTests, Question, check_record
from raml.records.checks import AXES
from raml.store.tables import read_table
from tests.hostile.test_fuzz import TABLES


@pytest.mark.parametrize("name", TABLES)
def test_every_axis_of_a_record_is_compared_with_the_others(world, name):
    """One entry more or less along any axis is refused; what the stages wrote is not."""
    record = read_table(world / "run" / f"{name}.parquet", TABLES[name])[0]
    check_record(record)
    for field in AXES[TABLES[name]]:
        value = getattr(record, field)
        longer = np.concatenate([value, value[-1:]]) if isinstance(value, np.ndarray) else (*value, *value[-1:])
        if len(longer) == len(value) or (TABLES[name].__name__, field) == ("Trace", "answer_ids"):
            continue  # nothing to repeat
        with pytest.raises(ValueError, match=r"does not fit|don't fit|does not rise|grades"):
            check_record(replace(record, **{field: longer}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": ""}, "its id is empty"),
        ({"repeat": -1}, "its repeat is -1"),
        ({"reasoning_len": 4}, "reasoning_len is 4 of 3 tokens"),
        ({"token_ends": (4, 3, 13)}, "token_ends does not fit 3 tokens and 14 characters"),
        ({"token_ids": (0, 1, 2**31)}, "beyond any vocabulary"),
        ({"prompt_ids": (-1,)}, "a token id is negative"),
        ({"logprobs": (-1.0,)}, "there are 1 logprobs for 3 tokens"),
    ],
)
def test_a_trajectory_that_contradicts_itself(make_trajectory, changes, words):
    """Its text is "one two three ": three tokens that end at 4, 8 and 14."""
    check_record(make_trajectory())
    with pytest.raises(ValueError, match=words):
        check_record(replace(make_trajectory(), **changes))


def test_a_question_that_contradicts_itself(question):
    check_record(question)
    with pytest.raises(ValueError, match="its prompt is empty"):
        check_record(replace(question, prompt=" "))
    tests = CodeTests(inputs=("1",), outputs=())
    with pytest.raises(ValueError, match="1 inputs and 0 outputs"):
        check_record(Question("q", "Add.", "", kind="code", tests=tests))
