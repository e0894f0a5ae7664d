"""What studies need, against hand arithmetic."""

import pytest

from raml.errors import DataError
from raml.studies.cost import Bill, Machine, add_up, estimate_hours, read_machine
from raml.studies.plan import SCALES, Cost, Step, load_setup

MACHINE = Machine("GPU", 100, 0.1, 0.5, 0.25, 0)


@pytest.mark.parametrize(
    ("cost", "hours"),
    [
        # 2 · 1e9 · 1.8e7 = 3.6e16 operations; at 1e14 · 0.1 a second these take 3,600 s.
        (Cost(generated=1.8e7, parameters=1e9), 1.0),
        # The same at 0.5 of the peak.
        (Cost(scored=1.8e7, parameters=1e9), 0.2),
        # 6 · 1e9 · 1.8e7 = 1.08e17; at 2.5e13 a second 4,320 s.
        (Cost(trained=1.8e7, parameters=1e9), 1.2),
        (Cost(generated=1.8e7, scored=1.8e7, trained=1.8e7, parameters=1e9), 2.4),
        (Cost(), 0.0),
        (Cost(n_bytes=1e12), 0.0),
    ],
)
def test_hours_are_operations_over_what_is_reached_of_the_peak(cost, hours):
    assert estimate_hours(cost, MACHINE) == pytest.approx(hours, rel=1e-12)


def test_a_step_takes_time_besides():
    slow = Machine("core", 100, 0.1, 0.5, 0.25, 36)
    assert estimate_hours(Cost(), slow) == pytest.approx(0.01)
    assert estimate_hours(Cost(generated=1.8e7, parameters=1e9), slow) == pytest.approx(1.01)


def test_steps_that_come_twice_count_once():
    a = Step("a", ("demo",), cost=Cost(1, 2, 3, 4, 5))
    b = Step("b", ("demo",), cost=Cost(10, 20, 30, 0, 50))
    hours = (2 * 1 / 0.1 + 2 * 2 / 0.5 + 6 * 3 / 0.25) * 4 / 1e14 / 3600
    bill = add_up([a, b, a], MACHINE)
    assert bill == Bill(2, 11, 22, 33, pytest.approx(hours, rel=1e-12), 55)
    assert add_up([], MACHINE) == Bill(0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_has_a_machine(scale):
    machine = read_machine(load_setup("fig3", scale).shared)
    assert machine.unit == ("core" if scale == "tiny" else "GPU")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tflops": 0}, "tflops is 0"),
        ({"score_utilization": 1.5}, "score_utilization is 1.5"),
        ({"train_utilization": 0.0}, "train_utilization is 0.0"),
        ({"step_s": -1}, "step_s is -1"),
        ({"tflops": float("nan")}, "tflops is nan"),
        ({"flops": 1}, "it needs unit, tflops"),
    ],
)
def test_a_machine_without_a_rate_is_refused(change, told):
    table = {"unit": "GPU", "tflops": 1.0, "generate_utilization": 1.0, "score_utilization": 1.0}
    table |= {"train_utilization": 1.0, "step_s": 0}
    assert read_machine({"machine": table}).unit == "GPU"
    with pytest.raises(DataError, match=told):
        read_machine({"machine": table | change})
    with pytest.raises(DataError, match="has nothing"):
        read_machine({})


def test_the_probe_s_cost_is_that_of_its_tokens():
    """64 questions × 4 of 80 tokens, and as many of 10 without thinking; 12 tokens read at each, for two answers and a
    readout."""
    from raml.studies.ingredients import plan_probe

    _, sampled, without, traced = (step.cost for step in plan_probe(load_setup("fig3", "tiny")))
    assert (sampled.generated, without.generated) == (20_480, 2_560)
    assert traced.scored == 23_040 * 36
    assert traced.parameters == 8.4e5
