import copy
import math
from dataclasses import replace

import pytest
import torch
import transformers
from beartype import beartype
from jaxtyping import jaxtyped

from raml.errors import DataError, ModelError, NumericsError
from raml.records import Question
from raml.sampling import make_imported
from raml.scoring import answer_nll_by_definition
from raml.tiny import make_questions, write_trajectories
from raml.training import maml
from raml.training.maml import MetaSettings, MetaTask, adapt, descend, make_meta_tasks, measure_tasks, meta_train

# Shapes and types in these signatures are checked.
query_loss_plain, query_loss_explicit, query_loss_implicit = map(
    jaxtyped(typechecker=beartype), (maml.query_loss_plain, maml.query_loss_explicit, maml.query_loss_implicit)
)
TASK = MetaTask("q", (5, 6, 7), ((8, 9, 10, 11, 12, 9),), (13, 14), (15, 8))
TWO = replace(TASK, support=((8, 9, 10, 11), (16, 17, 9, 5, 5, 6, 18)))


@pytest.fixture(scope="module")
def exact():
    """A small random Qwen3 with tied embeddings, in float64 throughout: transformers' own norms work in float32."""
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        initializer_range=0.3,
        tie_word_embeddings=True,
    )
    model = transformers.AutoModelForCausalLM.from_config(config).double().eval()
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child).__name__ == "Qwen3RMSNorm":
                norm = torch.nn.RMSNorm(len(child.weight), eps=child.variance_epsilon, dtype=torch.float64)
                setattr(parent, name, norm)
    return model


@pytest.fixture(scope="module")
def world(tiny):
    """Eight training questions of the embedded world, two of the oracle's trajectories for each."""
    questions = make_questions(8, split="train", seed=3)
    trajectories = [
        make_imported(tiny, question, solution.text, repeat)
        for question in questions
        for repeat, solution in enumerate(write_trajectories(question, 2, seed=0))
    ]
    return questions, trajectories


@pytest.fixture(scope="module")
def tasks(tiny, world):
    return make_meta_tasks(tiny, *world)[0]


def send(ids):
    return torch.tensor(ids, dtype=torch.long)


def take_gradient(model, settings, task=TASK):
    weights = dict(model.named_parameters())
    loss = query_loss_explicit(model, task, settings, weights)
    return dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))


def is_unchanged(model, before):
    return all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


# The inner loop on losses whose gradients can be written down.


@pytest.mark.parametrize(("order", "factor"), [(2, 0.8**3), (1, 1.0)])
def test_on_parabolas_the_meta_gradient_is_what_hand_arithmetic_gives(order, factor):
    """Support w², query (w - 1)²/2, α = 0.1: a step multiplies w by 1 - 0.1 · 2 = 0.8.

    From 3, three steps end at 3 · 0.512 = 1.536, where the query's gradient is 0.536. MAML multiplies it by (1 - α L'')
    for each step, 0.512; the first order leaves it.
    """
    w = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    settings = MetaSettings(inner_rate=0.1, n_inner_steps=3, order=order)
    adapted = descend(lambda now: now["w"] ** 2, {"w": w}, settings)["w"]
    assert adapted.item() == pytest.approx(1.536)
    ((adapted - 1) ** 2 / 2).backward()
    assert w.grad.item() == pytest.approx(factor * 0.536)
    assert w.item() == 3.0


@pytest.mark.parametrize(("order", "factor"), [(2, 0.75), (1, 1.0)])
def test_on_a_two_class_soft_max_the_meta_gradient_is_what_hand_arithmetic_gives(order, factor):
    """-log p of class one at logits (w, 0) is log(1 + e^-w). At w = 0 its slope is -1/2 and its curvature 1/4.

    With α = 1 a step goes to 1/2, where the slope is -1/(1 + e^(1/2)); MAML multiplies by 1 - 1/4.
    """

    def loss(now):
        logits = torch.stack([now["w"], torch.zeros((), dtype=torch.float64)])
        return torch.nn.functional.cross_entropy(logits, torch.tensor(0))

    w = torch.zeros((), dtype=torch.float64, requires_grad=True)
    adapted = descend(loss, {"w": w}, MetaSettings(inner_rate=1.0, order=order))
    assert adapted["w"].item() == pytest.approx(0.5)
    loss(adapted).backward()
    assert w.grad.item() == pytest.approx(-factor / (1 + math.exp(0.5)))


def test_only_the_weights_that_are_named_move_and_the_others_still_get_a_gradient():
    """Support a · b from a = 2, b = 3 with α = 0.1 moves a to 2 - 0.1 · 3 = 1.7; d(a' b)/db = 1.7 + 3 · (-0.1)."""
    weights = {name: torch.tensor(value, requires_grad=True) for name, value in (("a", 2.0), ("b", 3.0))}
    adapted = descend(lambda now: now["a"] * now["b"], weights, MetaSettings(inner_weights="a"))
    assert (adapted["a"].item(), adapted["b"].item()) == (pytest.approx(1.7), 3.0)
    (adapted["a"] * adapted["b"]).backward()
    assert weights["a"].grad.item() == pytest.approx(3.0)
    assert weights["b"].grad.item() == pytest.approx(1.4)


def test_a_weight_that_the_loss_does_not_depend_on_stays():
    weights = {"used": torch.tensor(1.0), "unused": torch.tensor(5.0)}
    adapted = descend(lambda now: now["used"] ** 2, weights, MetaSettings(n_inner_steps=2))
    assert adapted["used"].item() == pytest.approx(0.64)
    assert adapted["unused"].item() == 5.0


# The same on transformers.


@pytest.mark.parametrize("task", [TASK, TWO], ids=["one trajectory", "two of unequal length"])
def test_the_second_order_meta_gradient_is_the_slope_of_the_loss_after_adaptation(exact, task):
    """Against central differences in float64; the first-order gradient is another one."""
    settings = MetaSettings(inner_rate=0.3, n_inner_steps=2)
    start = {name: value.detach() for name, value in exact.named_parameters()}
    second, first = (take_gradient(exact, replace(settings, order=order), task) for order in (2, 1))

    def loss_at(name, index, shift):
        moved = start[name].clone()
        moved[index] += shift
        return query_loss_explicit(exact, task, replace(settings, order=1), start | {name: moved}).item()

    for name, index in [
        ("model.embed_tokens.weight", (9, 3)),
        ("model.layers.0.self_attn.q_proj.weight", (2, 5)),
        ("model.layers.0.self_attn.k_norm.weight", (1,)),
        ("model.layers.1.self_attn.v_proj.weight", (7, 0)),
        ("model.layers.1.mlp.down_proj.weight", (4, 11)),
        ("model.norm.weight", (6,)),
    ]:
        slope = (loss_at(name, index, 1e-5) - loss_at(name, index, -1e-5)) / 2e-5
        assert float(second[name][index]) == pytest.approx(slope, rel=1e-5, abs=1e-8)
        assert abs(float(first[name][index]) - slope) > 0.01 * abs(slope)


def test_without_inner_steps_loss_and_gradient_are_the_plain_ones(exact):
    settings = MetaSettings(n_inner_steps=0)
    plain = query_loss_plain(exact, TASK)
    assert query_loss_explicit(exact, TASK, settings).item() == plain.item()
    gradients = take_gradient(exact, settings)
    for name, expected in zip(gradients, torch.autograd.grad(plain, list(exact.parameters())), strict=True):
        torch.testing.assert_close(gradients[name], expected)


@pytest.mark.parametrize("order", [1, 2])
def test_the_inner_loop_is_torchs_sgd_on_the_trajectory_as_text(exact, order):
    by_hand = copy.deepcopy(exact)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.2)
    ids = send(TASK.prompt_ids + TASK.support[0])
    labels = ids.clone()
    labels[: len(TASK.prompt_ids)] = -100
    for _ in range(3):
        optimizer.zero_grad()
        by_hand(input_ids=ids[None], labels=labels[None]).loss.backward()
        optimizer.step()
    adapted = adapt(exact, TASK, MetaSettings(inner_rate=0.2, n_inner_steps=3, order=order))
    for name, expected in by_hand.named_parameters():
        # transformers takes its loss in float32.
        torch.testing.assert_close(adapted[name].detach(), expected.detach(), rtol=0, atol=1e-5)


def test_every_trajectory_of_a_support_pulls_equally(exact):
    """One step on two trajectories is the mean of the steps on each, whatever their lengths."""
    settings = MetaSettings(order=1)
    both = adapt(exact, TWO, settings)
    one, other = (adapt(exact, replace(TWO, support=(ids,)), settings) for ids in TWO.support)
    for name in both:
        torch.testing.assert_close(both[name], (one[name] + other[name]) / 2)


def test_the_explicit_loss_is_that_of_a_model_with_the_adapted_weights(exact):
    settings = MetaSettings(inner_rate=0.3, n_inner_steps=2)
    adapted = copy.deepcopy(exact)
    adapted.load_state_dict(adapt(exact, TASK, settings), strict=False)
    parts = (TASK.prompt_ids, (), TASK.bridge_ids, TASK.answer_ids, (0,))
    expected = answer_nll_by_definition(adapted, *map(send, parts)).mean()
    torch.testing.assert_close(query_loss_explicit(exact, TASK, settings).detach(), expected.clone())


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_implicit_loss_is_that_of_the_definition_after_the_whole_trajectory(exact, reduction):
    losses = []
    for trajectory in TWO.support:
        parts = (TWO.prompt_ids, trajectory, TWO.bridge_ids, TWO.answer_ids, (len(trajectory),))
        losses.append(float(answer_nll_by_definition(exact, *map(send, parts)).mean()))
    expected = sum(losses) / (2 if reduction == "mean" else 1)
    assert query_loss_implicit(exact, TWO, MetaSettings(reduction=reduction)).item() == pytest.approx(expected)


def test_neither_adapting_nor_measuring_nor_training_changes_a_bit_of_the_model(exact):
    before = {name: value.clone() for name, value in exact.state_dict().items()}
    settings = MetaSettings(inner_rate=0.5, n_inner_steps=2, n_outer_steps=1, tasks_per_step=1, outer_rate=0.01)
    adapt(exact, TASK, settings)
    measure_tasks(exact, [TASK], settings)
    for inner in ("explicit", "implicit"):
        weights, _ = meta_train(exact, [TASK], settings, inner=inner)
        assert not all(torch.equal(value, before[name]) for name, value in weights.items())
    assert is_unchanged(exact, before)
    assert all(value.grad is None for value in exact.parameters())


def test_what_is_measured_are_the_three_losses_at_the_weights_given(exact):
    settings = MetaSettings(inner_rate=0.3, n_inner_steps=2)
    weights = {name: 0.9 * value.detach() for name, value in exact.named_parameters()}
    (losses,) = measure_tasks(exact, [TWO], replace(settings, reduction="sum"), weights)
    assert losses.question_id == "q"
    assert losses.unadapted == pytest.approx(query_loss_plain(exact, TWO, weights).item())
    assert losses.explicit == pytest.approx(query_loss_explicit(exact, TWO, settings, weights).item())
    assert losses.implicit == pytest.approx(query_loss_implicit(exact, TWO, settings, weights).item())
    assert measure_tasks(exact, [TWO], settings) != [losses]


# The outer loop.


def test_the_implicit_outer_loop_is_adamw_on_the_answer_after_the_trajectory(exact):
    settings = MetaSettings(outer_rate=0.01, weight_decay=0.1, n_outer_steps=3, tasks_per_step=1)
    weights, curve = meta_train(exact, [TASK], settings, inner="implicit")
    by_hand = copy.deepcopy(exact)
    optimizer = torch.optim.AdamW(by_hand.parameters(), lr=0.01, weight_decay=0.1)
    ids = send(TASK.prompt_ids + TASK.support[0] + TASK.bridge_ids + TASK.answer_ids)
    n = len(TASK.answer_ids)
    for step in curve:
        optimizer.zero_grad()
        logprobs = by_hand(input_ids=ids[None]).logits[0].log_softmax(dim=-1)
        loss = -sum(logprobs[len(ids) - n + j - 1, token] for j, token in enumerate(TASK.answer_ids)) / n
        loss.backward()
        norm = math.sqrt(sum((value.grad**2).sum().item() for value in by_hand.parameters()))
        assert (step.after, step.gradient_norm) == (pytest.approx(loss.item()), pytest.approx(norm))
        optimizer.step()
    for name, expected in by_hand.named_parameters():
        torch.testing.assert_close(weights[name], expected.detach())


def test_an_outer_step_descends_the_mean_over_its_tasks(exact):
    tasks = [TASK, replace(TWO, question_id="other")]
    settings = MetaSettings(inner_rate=0.3, n_outer_steps=1, tasks_per_step=2)
    _, (step,) = meta_train(exact, tasks, settings, inner="explicit")
    parts = [take_gradient(exact, settings, task) for task in tasks]
    norm = math.sqrt(sum(float(((parts[0][name] + parts[1][name]) ** 2).sum() / 4) for name in parts[0]))
    assert step.gradient_norm == pytest.approx(norm)
    assert step.after == pytest.approx(sum(query_loss_explicit(exact, one, settings).item() for one in tasks) / 2)
    assert step.before == pytest.approx(sum(query_loss_plain(exact, one).item() for one in tasks) / 2)
    assert sorted(step.question_ids) == ["other", "q"]


@pytest.mark.parametrize(("inner", "order"), [("explicit", 1), ("explicit", 2), ("implicit", 1)])
def test_a_short_training_of_the_embedded_model_lowers_the_loss_after_the_inner_loop(tiny, tasks, inner, order):
    settings = MetaSettings(order=order, outer_rate=3e-4, n_outer_steps=4, tasks_per_step=2)
    weights, curve = meta_train(tiny.model, tasks[:2], settings, inner=inner)
    start, end = measure_tasks(tiny.model, tasks[:2], settings), measure_tasks(tiny.model, tasks[:2], settings, weights)
    assert sum(getattr(one, inner) for one in end) < 0.9 * sum(getattr(one, inner) for one in start)
    assert curve[-1].after < curve[0].after
    assert [step.step for step in curve] == [1, 2, 3, 4]
    assert all(step.step_s > 0 for step in curve)


def test_the_seed_fixes_the_tasks_and_both_inner_loops_get_the_same(exact):
    tasks = [replace(TASK, question_id=str(i)) for i in range(20)]
    settings = MetaSettings(n_outer_steps=3, tasks_per_step=2, order=1)
    seen, drawn = [], {}
    for inner in ("explicit", "implicit"):
        curve = meta_train(exact, tasks, settings, inner=inner, progress=seen.append)[1]
        drawn[inner] = [step.question_ids for step in curve]
    assert drawn["explicit"] == drawn["implicit"] == [step.question_ids for step in seen[3:]]
    assert all(len(set(ids)) == 2 for ids in drawn["explicit"])
    other = meta_train(exact, tasks, replace(settings, seed=1), inner="implicit")[1]
    assert [step.question_ids for step in other] != drawn["implicit"]


# What is refused.


def test_a_loss_that_is_no_number_names_question_and_step(exact):
    broken = copy.deepcopy(exact)
    with torch.no_grad():
        broken.model.norm.weight.fill_(math.nan)
    settings = MetaSettings(tasks_per_step=1)
    with pytest.raises(NumericsError, match="Question q: the support's loss is NaN"):
        adapt(broken, TASK, settings)
    with pytest.raises(NumericsError, match="Outer step 1: Question q: the answer's loss is NaN"):
        meta_train(broken, [TASK], settings, inner="implicit")
    with pytest.raises(
        NumericsError, match=r"Outer step 1: Question q: the \w+'s loss is NaN or infinite\. Try smaller"
    ):
        meta_train(exact, [TASK], MetaSettings(inner_rate=1e200, n_inner_steps=2, tasks_per_step=1), inner="explicit")


def test_a_gradient_that_is_no_number_names_question_and_step(exact, monkeypatch):
    def loss_with_a_kink(model, task, settings, weights):
        return query_loss_implicit(model, task, settings, weights) + (0 * weights["model.norm.weight"]).sqrt().sum()

    monkeypatch.setattr(maml, "query_loss_implicit", loss_with_a_kink)
    with pytest.raises(NumericsError, match="Outer step 1: Question q: the gradient is NaN"):
        meta_train(exact, [TASK], MetaSettings(tasks_per_step=1), inner="implicit")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inner_rate": -0.1}, "inner_rate is -0.1"),
        ({"inner_rate": math.nan}, "inner_rate is nan"),
        ({"n_inner_steps": -1}, "n_inner_steps is -1"),
        ({"order": 3}, "order is 3; choose 1 or 2"),
        ({"reduction": "max"}, "reduction is 'max'"),
        ({"outer_rate": math.inf}, "outer_rate is inf"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"n_outer_steps": 0}, "n_outer_steps is 0; it must be at least 1"),
        ({"tasks_per_step": 0}, "tasks_per_step is 0"),
    ],
)
def test_settings_out_of_range_are_refused_by_value(options, message):
    with pytest.raises(DataError, match=message):
        MetaSettings(**options)


def test_what_cannot_be_trained_is_refused(exact):
    settings = MetaSettings(tasks_per_step=2)
    with pytest.raises(DataError, match="takes 2 tasks"):
        meta_train(exact, [TASK], settings, inner="explicit")
    with pytest.raises(DataError, match=r"inner_weights 'layers\.7'"):
        adapt(exact, TASK, replace(settings, inner_weights="layers.7"))
    with pytest.raises(ModelError, match="bfloat16, where small steps are lost"):
        meta_train(copy.deepcopy(exact).bfloat16(), [TASK, TASK], settings, inner="implicit")


# Tasks from records.


def test_a_task_holds_the_reasoning_of_its_right_trajectories_and_the_answer_to_ask_for(tiny, world, tasks):
    questions, trajectories = world
    assert [task.question_id for task in tasks] == [question.id for question in questions]
    for question, task, pair in zip(questions, tasks, zip(*[iter(trajectories)] * 2, strict=True), strict=True):
        assert task.prompt_ids == pair[0].prompt_ids
        assert task.support == tuple(one.token_ids[: one.reasoning_len] for one in pair)
        assert "boxed" not in tiny.tokenizer.decode(task.support[0])
        ids = list(task.bridge_ids + task.answer_ids)
        assert tiny.tokenizer.decode(ids) == "\n\n**Final Answer**\n\\boxed{" + question.answer
    whole = make_meta_tasks(tiny, questions, trajectories, bridge="So ", span="all")[0]
    assert whole[0].support[0] == trajectories[0].token_ids
    assert tiny.tokenizer.decode(whole[0].bridge_ids) == "So "


def test_wrong_repeated_empty_and_foreign_trajectories_are_no_support(tiny, world):
    (first, second, *_), (one, other, *_) = world
    given = [
        replace(one, correct=False),
        replace(one, correct=None),
        replace(one, reasoning_len=0),
        other,
        replace(other, id="again"),
        replace(one, question_id="elsewhere"),
    ]
    tasks, left_out = make_meta_tasks(tiny, [first, second], given)
    assert [(task.question_id, task.support) for task in tasks] == [
        (first.id, (other.token_ids[: other.reasoning_len],))
    ]
    assert left_out == [second.id]
    with pytest.raises(DataError, match=rf"None of 2 questions \({first.id}, {second.id}\) has"):
        make_meta_tasks(tiny, [first, second], given[:3])


def test_trajectories_that_make_no_task_are_refused(tiny, world):
    (first, *_), (one, other, *_) = world
    with pytest.raises(DataError, match=f"Question {first.id} has trajectories after 2 prompts"):
        make_meta_tasks(tiny, [first], [one, replace(other, prompt_ids=one.prompt_ids[1:])])
    with pytest.raises(ModelError, match="its token ids mean something else to tiny"):
        make_meta_tasks(tiny, [first], [replace(one, token_ids=(50_000,) * len(one.token_ids))])
    with pytest.raises(DataError, match="answer to score is empty"):
        make_meta_tasks(tiny, [Question(first.id, first.prompt, " ")], [one])
