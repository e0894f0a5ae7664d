"""The gradient of GRPO from n of N rollouts: against plain TRL, and against arithmetic by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback

from raml.errors import DataError, ModelError, NumericsError
from raml.models import load_model
from raml.records import CodeTests, PromptSettings, Question
from raml.store import Run
from raml.training.arguments import Batching, make_arguments
from raml.training.grpo import (
    check_groups,
    choose_completion_length,
    collect_questions,
    count_rollout_updates,
    make_group_trainer,
    make_reward,
)
from raml.training.rollouts import join_batches, select_rollouts, take_rows
from raml.training.settings import GrpoSettings

N_ROLLOUTS, SEED = 4, 3
COMPLETIONS = [[0, 1], [1], [0, 0, 1], [1]]
REWARDS = [1.0, 0.0, -0.5, 0.25]


class Gradients(TrainerCallback):
    """Keeps the gradients of the first update as they are before clipping."""

    def __init__(self):
        self.found = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if not self.found:
            self.found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.fixture(scope="module")
def two_tokens(tmp_path_factory):
    """A model of two tokens, a (0) and b (1, the end), whose logits depend on the last token alone.

    Attention and feed-forward layer add nothing, so the hidden state is the embedding divided by its root mean square.
    """
    folder = tmp_path_factory.mktemp("two")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=2,
        hidden_size=4,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=32,
        bos_token_id=None,
        eos_token_id=1,
        rms_norm_eps=0.0,
        initializer_range=0.7,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
    model.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")),
        eos_token="b",
        pad_token="b",
        padding_side="left",
    )
    tokenizer.chat_template = "a"
    tokenizer.save_pretrained(folder)
    return folder


def run_one_update(folder, tmp_path, *, completions=COMPLETIONS, rewards=REWARDS, move=0.0, **changes):
    """Make one update on given completions and rewards; returns the gradients and the rows that were chosen."""
    settings = GrpoSettings(
        **{
            "model": str(folder),
            "questions": ("unused",),
            "group_size": N_ROLLOUTS,
            "batch_size": N_ROLLOUTS,
            "max_grad_norm": 0.0,
            "learning_rate": 1e-3,
            "seed": SEED,
            **changes,
        }
    )
    loaded = load_model(str(folder), device="cpu")
    given = iter(rewards)
    batching = Batching(N_ROLLOUTS, 1, 1)
    trainer = make_group_trainer(
        loaded,
        settings,
        make_arguments(settings, tmp_path, batching),
        batching,
        [Question("q", "?", "!")],
        lambda text, question: next(given),
        8,
    )
    with torch.no_grad():  # away from the reference, which is loaded from the folder
        trainer.model.lm_head.weight[0] += move
    trainer._generate_single_turn = lambda *args, **kwargs: ([list(ids) for ids in completions], None)
    gradients = Gradients()
    trainer.add_callback(gradients)
    trainer.train()
    return gradients.found


def compute_by_hand(folder, chosen, *, loss="grpo", kl=0.0, entropy=0.0, move=0.0, advantages=None):
    """The gradient with respect to the output layer [token, hidden], in NumPy.

    With ratio 1 a token t of rollout i adds w_i (-A_i + kl log(p_t / q_t)) (1[t = a] - p_a) h to row a, where q is the
    reference (the gradient of the reverse divergence), and the entropy bonus adds coefficient / tokens *
    p_a (log p_a + H) h. A_i comes from all rollouts, w_i counts only the chosen ones.
    """
    loaded = load_model(str(folder), device="cpu")
    embedding = loaded.model.model.embed_tokens.weight.detach().double().numpy()
    reference = loaded.model.lm_head.weight.detach().double().numpy()
    policy = reference + np.array([[move], [0.0]])
    hidden = embedding / np.sqrt((embedding**2).mean(axis=1, keepdims=True))
    rewards = np.array(REWARDS)
    if advantages is None:
        advantages = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-4)
    n_tokens = sum(len(COMPLETIONS[i]) for i in chosen)
    gradient = np.zeros((2, 4))
    for i in chosen:
        weight = 1 / n_tokens if loss == "dapo" else 1 / (len(chosen) * len(COMPLETIONS[i]))
        for last, token in zip([0, *COMPLETIONS[i]], COMPLETIONS[i], strict=False):
            p, q = (np.exp(w @ hidden[last]) / np.exp(w @ hidden[last]).sum() for w in (policy, reference))
            factor = weight * (-advantages[i] + kl * np.log(p[token] / q[token]))
            bonus = entropy / n_tokens * p * (np.log(p) - (p * np.log(p)).sum())
            gradient += np.outer(factor * (np.eye(2)[token] - p) + bonus, hidden[last])
    return gradient


@pytest.mark.parametrize("loss", ["grpo", "dapo"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_gradient_of_n_of_four_rollouts_is_the_one_by_hand(two_tokens, tmp_path, loss, n):
    chosen = select_rollouts(1, N_ROLLOUTS, n, (SEED, 0, 0, 0)).tolist()
    assert len(chosen) == n
    found = run_one_update(two_tokens, tmp_path, loss=loss, n_update=n)
    expected = compute_by_hand(two_tokens, chosen, loss=loss)
    np.testing.assert_allclose(found["lm_head.weight"].numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("loss", ["grpo", "dapo"])
def test_divergence_and_entropy_are_masked_like_the_policy(two_tokens, tmp_path, loss):
    chosen = select_rollouts(1, N_ROLLOUTS, 2, (SEED, 0, 0, 0)).tolist()
    terms = {"loss": loss, "kl": 0.3, "entropy": 0.2, "move": 0.4}
    found = run_one_update(two_tokens, tmp_path, n_update=2, **terms)
    np.testing.assert_allclose(found["lm_head.weight"].numpy(), compute_by_hand(two_tokens, chosen, **terms), atol=2e-6)


def test_the_hand_s_gradient_of_all_rollouts_is_plain_grpo_s(two_tokens, tmp_path):
    found = run_one_update(two_tokens, tmp_path)
    expected = compute_by_hand(two_tokens, range(N_ROLLOUTS))
    np.testing.assert_allclose(found["lm_head.weight"].numpy(), expected, atol=2e-6)


def test_a_batch_with_nothing_to_learn_from_gives_a_gradient_of_zero(two_tokens, tmp_path):
    # All responses were cut off and cut-off ones are left out: no token is left to divide by.
    for loss in ("grpo", "dapo", "dr_grpo", "bnpo"):
        found = run_one_update(
            two_tokens, tmp_path, completions=[[0, 0]] * 4, loss=loss, drop_truncated=True, n_update=2
        )
        assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in found.values())


def test_a_response_without_a_reward_is_masked_and_counts_in_no_baseline(two_tokens, tmp_path):
    # DAPO's normaliser and the entropy bonus count tokens: those of the three decided responses, which also make the
    # baseline.
    decided = [0, 2, 3]
    rewards = np.array([REWARDS[i] for i in decided])
    advantages = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-4)
    expected = compute_by_hand(
        two_tokens, decided, loss="dapo", entropy=0.2, advantages=dict(zip(decided, advantages, strict=True))
    )
    three = [REWARDS[0], None, REWARDS[2], REWARDS[3]]
    found = run_one_update(two_tokens, tmp_path, rewards=three, loss="dapo", entropy=0.2)
    np.testing.assert_allclose(found["lm_head.weight"].numpy(), expected, atol=2e-6)


def test_a_response_without_a_reward_counts_neither_in_baseline_nor_gradient(two_tokens, tmp_path):
    three = [REWARDS[0], None, REWARDS[2], REWARDS[3]]
    found = run_one_update(two_tokens, tmp_path, rewards=three, loss="dr_grpo")["lm_head.weight"]
    other = run_one_update(
        two_tokens, tmp_path, rewards=three, loss="dr_grpo", completions=[COMPLETIONS[0], [0, 0, 1], *COMPLETIONS[2:]]
    )["lm_head.weight"]
    assert torch.allclose(found, other, atol=1e-7)
    assert found.abs().max() > 0


def test_a_reward_that_is_not_a_number_names_the_question(two_tokens, tmp_path):
    with pytest.raises(NumericsError, match="response to question q is nan"):
        run_one_update(two_tokens, tmp_path, rewards=[1.0, float("nan"), 0.0, 0.0])


def test_groups_whose_rewards_are_equal_are_drawn_again(two_tokens, tmp_path):
    # The first group's rewards are all 1: no gradient. The second draw's are the ones of the hand.
    found = run_one_update(two_tokens, tmp_path, rewards=[1.0] * 4 + REWARDS, dynamic_sampling=2)
    expected = compute_by_hand(two_tokens, range(N_ROLLOUTS))
    np.testing.assert_allclose(found["lm_head.weight"].numpy(), expected, atol=2e-6)
    without = run_one_update(two_tokens, tmp_path, rewards=[1.0] * 4)
    assert without["lm_head.weight"].abs().max() == 0


@pytest.fixture(scope="module")
def questions(train_questions):
    return train_questions[:4]


def run_tiny_update(questions, tmp_path, trainer_type=None, **changes):
    """Make one update of the embedded base model with its own rollouts."""
    settings = GrpoSettings(
        **{
            "model": "tiny-base",
            "questions": ("unused",),
            "format": "boxed",
            "group_size": 4,
            "batch_size": 16,
            "micro_batch_size": 8,
            "max_grad_norm": 0.0,
            "seed": 1,
            **changes,
        }
    )
    loaded = load_model("tiny-base", device="cpu")
    batching = Batching(settings.micro_batch_size, 16 // settings.micro_batch_size, 1)
    arguments = make_arguments(settings, tmp_path, batching)
    trainer = make_group_trainer(loaded, settings, arguments, batching, questions, make_reward(loaded, settings), 80)
    if trainer_type is not None:
        trainer = trainer_type(
            model=load_model("tiny-base", device="cpu").model,
            reward_funcs=trainer.reward_funcs,
            args=trainer.args,
            train_dataset=trainer.train_dataset,
            processing_class=loaded.tokenizer,
        )
    gradients = Gradients()
    trainer.add_callback(gradients)
    trainer.train()
    return gradients.found


@pytest.mark.parametrize("loss", ["grpo", "dapo"])
def test_with_all_rollouts_the_gradient_is_that_of_plain_trl(questions, tmp_path, loss):
    from trl import GRPOTrainer

    plain = run_tiny_update(questions, tmp_path, GRPOTrainer, loss=loss)
    ours = run_tiny_update(questions, tmp_path, loss=loss, n_update=4)
    assert plain.keys() == ours.keys()
    assert max(float(gradient.abs().max()) for gradient in plain.values()) > 1e-3
    for name, gradient in plain.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("loss", ["grpo", "dapo", "dr_grpo"])
def test_the_gradient_of_a_part_does_not_depend_on_how_the_batch_is_cut(questions, tmp_path, loss):
    whole = run_tiny_update(questions, tmp_path, loss=loss, n_update=2, micro_batch_size=16)
    cut = run_tiny_update(questions, tmp_path, loss=loss, n_update=2, micro_batch_size=4)
    assert max(float(gradient.abs().max()) for gradient in whole.values()) > 1e-5
    for name, gradient in whole.items():
        torch.testing.assert_close(cut[name], gradient, rtol=1e-3, atol=1e-6)


def test_rollouts_are_chosen_by_seed_n_of_each_group():
    chosen = select_rollouts(3, 16, 4, (0, 5, 0, 0))
    assert torch.equal(chosen, select_rollouts(3, 16, 4, (0, 5, 0, 0)))
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert [int((chosen // 16 == group).sum()) for group in range(3)] == [4, 4, 4]
    assert not torch.equal(chosen, select_rollouts(3, 16, 4, (0, 6, 0, 0)))
    assert select_rollouts(2, 4, 4, (0,)).tolist() == list(range(8))


def test_batches_of_different_width_are_joined_on_the_side_that_trl_fills_up():
    first = {
        "prompt_ids": torch.tensor([[5]]),
        "completion_ids": torch.tensor([[6, 7]]),
        "completion_mask": torch.tensor([[1, 1]]),
        "advantages": torch.tensor([1.0]),
        "num_items_in_batch": torch.tensor(2),
    }
    second = {
        "prompt_ids": torch.tensor([[8, 9]]),
        "completion_ids": torch.tensor([[4]]),
        "completion_mask": torch.tensor([[1]]),
        "advantages": torch.tensor([-1.0]),
        "num_items_in_batch": torch.tensor(1),
    }
    joined = join_batches(first, second, pad_id=0)
    assert joined["prompt_ids"].tolist() == [[0, 5], [8, 9]]
    assert joined["completion_ids"].tolist() == [[6, 7], [4, 0]]
    assert joined["completion_mask"].tolist() == [[1, 1], [1, 0]]
    assert joined["advantages"].tolist() == [1.0, -1.0]
    assert take_rows(joined, torch.tensor([1]))["completion_ids"].tolist() == [[4, 0]]


def test_the_reward_is_eq_21_of_the_model_s_whole_response(base):
    reward = make_reward(base, GrpoSettings(model="m", questions=("q",), format="boxed"))
    question = Question("q", "Calculate 2+2.", "4")
    assert reward("<think>\n2+2=4\n</think>\n\\boxed{4}", question).value == 1
    assert reward("<think>\n2+2=5\n</think>\n\\boxed{5}", question).value == 0
    assert reward("\\boxed{4}", question).value == -0.5
    assert reward("", question).value == -1


def test_an_empty_thinking_block_of_the_template_belongs_to_the_response(base):
    nothink = PromptSettings(mode="nothink", instruction="Write <think> … </think>, then \\boxed{}.")
    settings = GrpoSettings(model="m", questions=("q",), format="boxed", prompt=nothink)
    reward = make_reward(base, settings)
    assert reward("**Final Answer**\n\\boxed{4}", Question("q", "Calculate 2+2.", "4")).value == 1


def test_a_thinking_tag_in_the_prompt_belongs_to_the_response(base):
    opened = replace(base, tokenizer=type(base.tokenizer)(tokenizer_object=base.tokenizer.backend_tokenizer))
    opened.tokenizer.chat_template = "{{ messages[0].content }}<think>\n"
    reward = make_reward(opened, GrpoSettings(model="m", questions=("q",), format="boxed"))
    assert reward("2+2=4\n</think>\n\\boxed{4}", Question("q", "Calculate 2+2.", "4")).value == 1


def test_a_group_may_not_be_torn():
    settings = GrpoSettings(model="m", questions=("q",), n_update=1)
    check_groups(settings, Batching(32, 2, 1))
    with pytest.raises(DataError, match="can't be cut into groups of 16 with 1 in the gradient"):
        check_groups(settings, Batching(8, 8, 1))
    with pytest.raises(DataError, match="groups of 16"):
        check_groups(replace(settings, n_update=None), Batching(8, 1, 1))
    check_groups(replace(settings, n_update=2), Batching(8, 8, 1))


def test_updates_use_whole_batches_of_questions():
    settings = GrpoSettings(model="m", questions=("q",), batch_size=128)
    assert count_rollout_updates(settings, 100) == 12
    assert count_rollout_updates(replace(settings, epochs=2.0), 100) == 25
    assert count_rollout_updates(replace(settings, max_steps=40), 100) == 40
    assert count_rollout_updates(replace(settings, max_steps=41, updates_per_generation=2), 100) == 40
    with pytest.raises(DataError, match="7 questions are too few for one update of 8"):
        count_rollout_updates(settings, 7)


def test_responses_must_fit_the_context(base):
    settings = GrpoSettings(model="tiny-base", questions=("q",))
    assert choose_completion_length(base, settings, 100) == 924
    assert choose_completion_length(base, replace(settings, max_completion_length=50), 100) == 50
    with pytest.raises(ModelError, match="leave 924 of tiny-base's 1024 tokens"):
        choose_completion_length(base, replace(settings, max_completion_length=1000), 100)
    with pytest.raises(ModelError, match="fills the 1024 tokens"):
        choose_completion_length(base, settings, 1024)


def test_questions_come_from_runs_and_files_and_long_ones_are_left_out(base, train_questions, write_run, tmp_path):
    run = write_run(train_questions[:3])
    file = tmp_path / "more.jsonl"
    file.write_text('{"prompt": "Calculate ' + "1+" * 60 + '1.", "answer": "61", "id": "long"}\n')
    settings = GrpoSettings(model="tiny-base", questions=(str(run), str(file)))
    assert len(collect_questions(base, settings)[0]) == 4
    kept, notes = collect_questions(base, replace(settings, max_prompt_length=80))
    assert [question.id for question in kept] == [question.id for question in train_questions[:3]]
    assert "1 left out: prompts above 80 tokens." in notes
    with pytest.raises(DataError, match="All 4 prompts are longer than 5 tokens"):
        collect_questions(base, replace(settings, max_prompt_length=5))


def test_rollouts_without_thinking_need_a_template_that_knows_it(base):
    plain = replace(base, tokenizer=type(base.tokenizer)(tokenizer_object=base.tokenizer.backend_tokenizer))
    plain.tokenizer.chat_template = "{{ messages[0].content }}"
    settings = GrpoSettings(model="m", questions=("q",), prompt=PromptSettings(mode="nothink"))
    with pytest.raises(ModelError, match="no no-thinking mode"):
        collect_questions(plain, settings)


def test_questions_that_are_checked_by_running_programs_are_refused(tiny, tmp_path):
    code = Question("p", "Print 3.", "", kind="code", tests=CodeTests(("",), ("3",)))
    Run(tmp_path).write_questions([code])
    with pytest.raises(DataError, match="Question p is checked by running what the model writes"):
        collect_questions(tiny, GrpoSettings(model="tiny", questions=(str(tmp_path),)))
