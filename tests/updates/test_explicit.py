import copy
import math
from dataclasses import replace

import pytest
import torch

from raml.errors import DataError, ModelError, NumericsError
from raml.models import load_model
from raml.probes import trace_trajectory
from raml.prompts import encode_answer, encode_text
from raml.records import AdaptSettings, TraceSettings
from raml.sampling import make_imported
from raml.scoring import answer_nll_by_definition
from raml.tiny import make_questions, write_trajectories
from raml.updates.explicit import adapt_to_trajectory, key_adaptation

ONE = AdaptSettings(rate=0.1, n_steps=1)


@pytest.fixture(scope="module")
def question():
    return make_questions(1, split="train", seed=3)[0]


@pytest.fixture(scope="module")
def trajectory(tiny, question):
    return make_imported(tiny, question, write_trajectories(question, 1, seed=0)[0].text, 0)


@pytest.fixture(scope="module")
def double(tiny):
    return replace(tiny, model=copy.deepcopy(tiny.model).double())


def text_loss_by_hand(model, trajectory, n_tokens):
    """Mean of -log p over the first n tokens after the prompt."""
    ids = torch.tensor([*trajectory.prompt_ids, *trajectory.token_ids[:n_tokens]])
    logprobs = model(input_ids=ids[None]).logits[0].log_softmax(dim=-1)
    n_prompt = len(trajectory.prompt_ids)
    return -sum(logprobs[i - 1, ids[i]] for i in range(n_prompt, len(ids))) / n_tokens


def answer_loss_by_hand(loaded, model, trajectory, gold, n_tokens=0):
    bridge = AdaptSettings().bridge
    ids = (trajectory.prompt_ids, trajectory.token_ids, encode_text(loaded.tokenizer, bridge))
    parts = [torch.tensor(part) for part in (*ids, encode_answer(loaded.tokenizer, bridge, gold), [n_tokens])]
    return answer_nll_by_definition(model, *parts).mean().item()


@pytest.mark.parametrize("part", ["", "mlp.down_proj"])
def test_one_step_of_sgd_is_the_weights_less_rate_times_gradient(double, trajectory, question, part):
    """θ' = θ − α ∇L for the weights that are named, done here on a copy of the model, in float64."""
    model = copy.deepcopy(double.model)
    loss = text_loss_by_hand(model, trajectory, trajectory.reasoning_len)
    loss.backward()
    squares = 0.0
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if part in name:
                weight -= 0.3 * weight.grad
                squares += weight.grad.square().sum().item()
    settings = AdaptSettings(rate=0.3, n_steps=1, weights=part)
    made = adapt_to_trajectory(double, trajectory, question.answer, settings)
    before = answer_loss_by_hand(double, double.model, trajectory, question.answer)
    after = answer_loss_by_hand(double, model, trajectory, question.answer)
    assert before != pytest.approx(after, rel=1e-4)
    assert made.loss.tolist() == [pytest.approx(before, rel=1e-6), pytest.approx(after, rel=1e-6)]
    moved_loss = text_loss_by_hand(model, trajectory, trajectory.reasoning_len).item()
    assert made.text_loss.tolist() == [pytest.approx(loss.item(), rel=1e-6), pytest.approx(moved_loss, rel=1e-6)]
    assert made.distance.tolist() == [0, pytest.approx(0.3 * math.sqrt(squares), rel=1e-6)]


def test_two_steps_of_adam_are_those_of_its_paper(double, trajectory, question):
    """m and v are decaying means of gradient and square (0.9, 0.999), each over its sum of weights; θ −= α m / √v.

    Kingma and Ba 2015, Algorithm 1, with ε = 1e-8.
    """
    model, rate = copy.deepcopy(double.model), 1e-3
    start = [weight.detach().clone() for weight in model.parameters()]
    m, v = ([torch.zeros_like(weight) for weight in start] for _ in range(2))
    for step in (1, 2):
        model.zero_grad()
        text_loss_by_hand(model, trajectory, trajectory.reasoning_len).backward()
        with torch.no_grad():
            for i, weight in enumerate(model.parameters()):
                m[i] = 0.9 * m[i] + 0.1 * weight.grad
                v[i] = 0.999 * v[i] + 0.001 * weight.grad**2
                weight -= rate * (m[i] / (1 - 0.9**step)) / ((v[i] / (1 - 0.999**step)).sqrt() + 1e-8)
    made = adapt_to_trajectory(double, trajectory, question.answer, AdaptSettings("adam", rate, 2))
    assert made.loss[2] == pytest.approx(answer_loss_by_hand(double, model, trajectory, question.answer), rel=1e-6)
    moved = [(now - before).square().sum().item() for now, before in zip(model.parameters(), start, strict=True)]
    assert made.distance[2] == pytest.approx(math.sqrt(sum(moved)), rel=1e-6)


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.1), ("adam", 3e-4)])
def test_a_rate_that_is_left_open_is_written_down(tiny, trajectory, question, optimizer, rate):
    made = adapt_to_trajectory(tiny, trajectory, question.answer, AdaptSettings(optimizer, n_steps=1))
    assert made.settings.rate == rate
    assert made.text_loss[1] < made.text_loss[0]
    assert made.id == key_adaptation(tiny.identity, trajectory, question.answer, made.settings)


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.1), ("adam", 1e-3)])
def test_a_run_is_the_beginning_of_a_longer_one(tiny, trajectory, question, optimizer, rate):
    short, long = (
        adapt_to_trajectory(tiny, trajectory, question.answer, AdaptSettings(optimizer, rate, n)) for n in (2, 4)
    )
    for name in ("loss", "text_loss", "distance"):
        assert getattr(long, name)[:3].tolist() == getattr(short, name).tolist()
    assert len(long.loss) == 5
    assert long.text_loss[4] < long.text_loss[0]
    assert (long.distance[1:] > 0).all()


def test_before_the_first_step_and_in_context_are_the_ends_of_the_trace(tiny, trajectory, question):
    made = adapt_to_trajectory(tiny, trajectory, question.answer, ONE)
    trace = trace_trajectory(tiny, trajectory, question.answer)
    assert made.loss[0] == pytest.approx(trace.mean_nll[0], rel=1e-4, abs=1e-5)
    assert made.in_context_loss == pytest.approx(trace.mean_nll[-1], rel=1e-4, abs=1e-5)


def test_the_whole_response_can_be_learnt(tiny, trajectory, question):
    made = adapt_to_trajectory(tiny, trajectory, question.answer, replace(ONE, span="all"))
    n_tokens = len(trajectory.token_ids)
    assert n_tokens > trajectory.reasoning_len
    assert made.text_loss[0] == pytest.approx(text_loss_by_hand(tiny.model, trajectory, n_tokens).item(), rel=1e-4)
    expected = answer_loss_by_hand(tiny, tiny.model, trajectory, question.answer, n_tokens)
    assert made.in_context_loss == pytest.approx(expected, rel=1e-3, abs=1e-5)
    trace = trace_trajectory(tiny, trajectory, question.answer, TraceSettings(span="all"))
    assert made.in_context_loss == pytest.approx(trace.mean_nll[-1], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("interrupted", ["never", "in the forward pass", "after a step"])
def test_the_models_weights_stay_bit_identical(tiny, trajectory, question, monkeypatch, dtype, interrupted):
    loaded = replace(tiny, model=copy.deepcopy(tiny.model).to(dtype))
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    addresses = [parameter.data_ptr() for parameter in loaded.model.parameters()]
    calls = []
    if interrupted == "in the forward pass":

        def interrupt(*_):
            calls.append(None)
            if len(calls) == 5:
                raise KeyboardInterrupt

        list(loaded.model.modules())[-1].register_forward_hook(interrupt)
    if interrupted == "after a step":
        step = torch.optim.Adam.step

        def step_and_interrupt(self):
            step(self)
            calls.append(None)
            raise KeyboardInterrupt

        monkeypatch.setattr(torch.optim.Adam, "step", step_and_interrupt)
    try:
        adapt_to_trajectory(loaded, trajectory, question.answer, AdaptSettings("adam", 1e-2, 3))
    except KeyboardInterrupt:
        assert calls
    else:
        assert interrupted == "never"
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())
    assert [parameter.data_ptr() for parameter in loaded.model.parameters()] == addresses
    assert all(parameter.grad is None and parameter.requires_grad for parameter in loaded.model.parameters())


def test_a_rate_that_blows_up_is_an_error_with_trajectory_and_step_and_changes_nothing(tiny, trajectory, question):
    before = {name: value.clone() for name, value in tiny.model.state_dict().items()}
    with pytest.raises(NumericsError, match=rf"{trajectory.id}: the text's loss after step 2 at rate 1e\+30 is NaN"):
        adapt_to_trajectory(tiny, trajectory, question.answer, AdaptSettings(rate=1e30))
    assert all(torch.equal(value, before[name]) for name, value in tiny.model.state_dict().items())


def test_it_takes_gradients_where_the_caller_switched_them_off(tiny, trajectory, question):
    with torch.no_grad():
        made = adapt_to_trajectory(tiny, trajectory, question.answer, ONE)
    assert made.loss.tolist() == adapt_to_trajectory(tiny, trajectory, question.answer, ONE).loss.tolist()


def test_the_key_follows_what_decides_the_numbers(tiny, trajectory, question):
    made = adapt_to_trajectory(tiny, trajectory, question.answer, ONE)
    assert made.id == key_adaptation(tiny.identity, trajectory, question.answer, ONE)
    moved = key_adaptation(replace(tiny.identity, device="cuda:0"), trajectory, question.answer, ONE)
    others = {
        key_adaptation(tiny.identity, trajectory, "other", ONE),
        key_adaptation(tiny.identity, replace(trajectory, id="x"), question.answer, ONE),
        key_adaptation(tiny.identity, trajectory, question.answer, replace(ONE, rate=0.2)),
        key_adaptation(replace(tiny.identity, weights_sha256="00"), trajectory, question.answer, ONE),
    }
    assert moved == made.id
    assert len(others - {made.id}) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bridge": ""}, "bridge has no tokens"),
        ({"weights": "nowhere"}, "weights 'nowhere' is in no weight's name"),
        ({"n_steps": 0}, "0 gradient steps"),
        ({"rate": 0.0}, "rate is 0.0"),
        ({"rate": math.nan}, "rate is nan"),
        ({"rate": math.inf}, "rate is inf"),
        ({"optimizer": "adam", "rate": 0.1}, "Adam moves each weight by about its rate in a step; 0.1"),
        ({"optimizer": "lion"}, "no optimizer 'lion'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tiny, trajectory, question, changes, message):
    with pytest.raises(DataError, match=message):
        adapt_to_trajectory(tiny, trajectory, question.answer, replace(ONE, **changes))


def test_trajectories_that_cannot_be_learnt_are_refused(tiny, trajectory, question):
    with pytest.raises(DataError, match="asks for a program"):
        adapt_to_trajectory(tiny, trajectory, question.answer, ONE, kind="code")
    with pytest.raises(DataError, match="answer to score is empty"):
        adapt_to_trajectory(tiny, trajectory, " ", ONE)
    with pytest.raises(DataError, match=f"{trajectory.id} has no tokens before its final"):
        adapt_to_trajectory(tiny, replace(trajectory, reasoning_len=0), question.answer, ONE)
    with pytest.raises(DataError, match="prompt has no tokens"):
        adapt_to_trajectory(tiny, replace(trajectory, prompt_ids=()), question.answer, ONE)
    long = replace(trajectory, prompt_ids=trajectory.prompt_ids * 100)
    with pytest.raises(ModelError, match=r"needs \d+ tokens with its prompt; tiny accepts"):
        adapt_to_trajectory(tiny, long, question.answer, ONE)


def test_a_model_in_16_bits_is_refused(trajectory, question):
    loaded = load_model("tiny", dtype="bfloat16", device="cpu")
    with pytest.raises(ModelError, match=r"bfloat16.*--dtype float32"):
        adapt_to_trajectory(loaded, trajectory, question.answer, ONE)


def test_memory_that_does_not_suffice_is_an_error_of_this_trajectory(tiny, trajectory, question, monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(torch.optim, "SGD", fail)
    with pytest.raises(ModelError, match=f"{trajectory.id}: out of memory"):
        adapt_to_trajectory(tiny, trajectory, question.answer, ONE)
