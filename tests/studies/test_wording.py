"""How numbers of results are written."""

import pytest

from raml.records import Estimate
from raml.studies.wording import write_change, write_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1, "1"),
        (-1.654, "−1.65"),
        (99.96, "100"),
        (1e-3, "0.001"),
        (-4.12e-5, "−4.1e−05"),
        (12345, "1.2e+04"),
    ],
)
def test_three_digits_count(value, text):
    assert write_number(value) == text


def test_changes_have_signs():
    estimate = Estimate("x", 2.34, -0.06, 11, 0.95, "bootstrap", 9)
    assert write_change(estimate, ".1f") == "+2.3 [−0.1, +11.0]"
    assert write_change(estimate, ".2g") == "+2.3 [−0.06, +11]"
