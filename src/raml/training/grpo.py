"""Group-relative policy optimisation: the on-policy outer loop (the paper's Table 1, third row, and Fig. 9)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raml.answers import NEEDS_CODE, Reward, grade_response, reward_answer
from raml.errors import DataError, ModelError, NumericsError
from raml.models import LoadedModel
from raml.prompts import THINK_OPEN, build_prompt, decode_text, has_thinking_switch, render_prompt, write_message
from raml.records import Question
from raml.training.arguments import Batching, cut_batches, fill_in, load_for_training
from raml.training.engine import TrainingResult, Work, run_outer_loop
from raml.training.order import count_updates, hash_ids, order_examples
from raml.training.recorder import Progress
from raml.training.settings import GrpoSettings
from raml.training.sft import train_sft
from raml.training.sources import list_run_files, read_questions

if TYPE_CHECKING:
    from transformers import Trainer

LONGEST_RESPONSE = 16_384
"""Tokens, the paper's; used where the settings name no limit and the context has room."""

RewardFunction = Callable[[str, Question], Reward | float | None]
"""Takes a whole response and its question; None leaves the response out of baseline and gradient."""


def train_grpo(
    settings: GrpoSettings,
    out: Path,
    *,
    reward: RewardFunction | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train on rollouts of the model itself, into a model folder; resumes as `train_sft` does.

    With a cold start, SFT comes first, in OUT/cold-start; then GRPO begins with its result.

    Args:
        settings: What decides the run.
        out: The model folder.
        reward: Instead of the paper's reward (Eq. 21).
        progress: Told after every update.

    Raises:
        DataError: there are no questions, all prompts are too long, or the sizes don't divide each other.
        ModelError: the model can't be loaded or trained, or its template has no no-thinking mode that was asked for.
        NumericsError: a reward, loss or gradient is not finite.
        RunError: the folder holds something else, or a run with other settings.
        MissingExtra: TRL is not installed.
    """

    def prepare(loaded: LoadedModel) -> Work:
        questions, notes = collect_questions(loaded, settings)
        per_update = settings.batch_size // settings.group_size
        n_updates = count_rollout_updates(settings, len(questions))
        check_groups(settings, cut_batches(settings, n_updates))
        order = order_examples([0] * len(questions), per_update, n_updates * per_update, settings.seed)
        ordered = [questions[i] for i in order]
        prompts = [build_prompt(loaded.tokenizer, question, settings.prompt) for question in ordered]
        limit = choose_completion_length(loaded, settings, max(map(len, prompts)))
        fingerprint = hash_ids([*prompts, *(tuple(question.answer.encode()) for question in ordered)])

        def make_trainer(loaded: LoadedModel, arguments: dict[str, Any], batching: Batching) -> Trainer:
            rewarded = reward or make_reward(loaded, settings)
            return make_group_trainer(loaded, settings, arguments, batching, ordered, rewarded, limit)

        files = tuple(path for path in map(Path, settings.questions) if path.is_file())
        folders = [path for path in map(Path, settings.questions) if path.is_dir()]
        return Work(n_updates, fingerprint, notes, make_trainer, (*files, *list_run_files(folders)))

    def warm_up() -> tuple[LoadedModel, tuple[str, ...]]:
        start = out / "cold-start"
        assert settings.cold_start is not None
        first = train_sft(settings.cold_start, start, progress=progress)
        loaded = load_for_training(replace(settings, model=str(start), revision=None, cold_start=None))
        return loaded, tuple(f"Cold start: {note}" for note in first.notes)

    first = None if settings.cold_start is None else warm_up
    return run_outer_loop("grpo", settings, out, prepare, progress=progress, warm_up=first)


def collect_questions(loaded: LoadedModel, settings: GrpoSettings) -> tuple[list[Question], tuple[str, ...]]:
    """Read the questions and leave out those with a longer prompt than allowed.

    Raises:
        DataError: a source is neither a run folder nor a question file, a question is checked by running what the model
            writes, or nothing is left.
        ModelError: a no-thinking prompt was asked for that only a delimiter sentence could make.
    """
    if settings.prompt.mode == "nothink" and not has_thinking_switch(loaded.tokenizer):
        raise ModelError(f"The chat template of {settings.model} has no no-thinking mode to train rollouts in.")
    found = read_questions(settings.questions)
    if unfit := next((question for question in found if question.kind in NEEDS_CODE), None):
        raise DataError(
            f"Question {unfit.id} is checked by running what the model writes, which GRPO's reward does not do. Give "
            "questions that are checked by comparing answers."
        )
    lens = {q.id: len(build_prompt(loaded.tokenizer, q, settings.prompt)) for q in found}
    kept = [question for question in found if lens[question.id] <= settings.max_prompt_length]
    if not kept:
        raise DataError(
            f"All {len(found)} prompts are longer than {settings.max_prompt_length} tokens; the shortest has "
            f"{min(lens.values())}. Raise --max-prompt-length."
        )
    notes = [f"{len(kept)} questions."]
    if len(kept) < len(found):
        notes.append(f"{len(found) - len(kept)} left out: prompts above {settings.max_prompt_length} tokens.")
    return kept, tuple(notes)


def count_rollout_updates(settings: GrpoSettings, n_questions: int) -> int:
    """Count updates, each with batch_size / group_size questions; a generation is always used up.

    Raises:
        DataError: there are too few questions for one update.
    """
    per_update = settings.batch_size // settings.group_size
    n_updates, _ = count_updates(n_questions, per_update, settings.epochs, settings.max_steps)
    if settings.max_steps is None:
        n_updates = int(settings.epochs * n_questions) // per_update
    n_updates -= n_updates % settings.updates_per_generation
    if n_updates == 0 and settings.max_steps is not None:
        raise DataError(
            f"max_steps {settings.max_steps} is less than updates_per_generation {settings.updates_per_generation}."
        )
    if n_updates == 0:
        raise DataError(
            f"{n_questions} questions are too few for one update of {per_update} ({settings.batch_size} rollouts in "
            f"groups of {settings.group_size}). Bring more, or make --batch-size smaller."
        )
    return n_updates


def check_groups(settings: GrpoSettings, batching: Batching) -> None:
    """Refuse sizes that would tear a group, or the chosen part of the groups, between processes or micro-batches.

    Raises:
        DataError: they would.
    """
    rollouts = batching.per_device * batching.accumulation * settings.updates_per_generation
    n = settings.n_update or settings.group_size
    if rollouts % settings.group_size or batching.per_device * n % settings.group_size:
        raise DataError(
            f"{rollouts} rollouts per process in micro-batches of {batching.per_device} can't be cut into groups of "
            f"{settings.group_size} with {n} in the gradient. Make --micro-batch-size a multiple of the group size."
        )


def choose_completion_length(loaded: LoadedModel, settings: GrpoSettings, longest_prompt: int) -> int:
    """Choose how long responses may be, within the model's context.

    Raises:
        ModelError: the settings ask for more than fits.
    """
    context = loaded.context_len
    room = LONGEST_RESPONSE if context is None else context - longest_prompt
    wanted = settings.max_completion_length or min(LONGEST_RESPONSE, room)
    if wanted > room > 0 and settings.max_completion_length and context is not None:
        raise ModelError(
            f"Prompts of up to {longest_prompt} tokens leave {room} of {settings.model}'s {context} tokens for a "
            f"response; --max-completion-length is {wanted}."
        )
    if room < 1:
        raise ModelError(f"A prompt of {longest_prompt} tokens fills the {context} tokens of {settings.model}.")
    return wanted


def make_reward(loaded: LoadedModel, settings: GrpoSettings) -> RewardFunction:
    """Make the paper's reward of a response (Eq. 21), in the format that the settings name."""
    # What the template puts in the model's mouth is part of its response: an opening tag, or an empty thinking block.
    example = Question(id="", prompt="Question", answer="")
    message = write_message(example, settings.prompt)
    begun = render_prompt(loaded.tokenizer, example, settings.prompt).rpartition(message)[2]
    opening = begun[begun.rfind(THINK_OPEN) :] if THINK_OPEN in begun else ""

    def eq_21(text: str, question: Question) -> Reward:
        return reward_answer(opening + text, grade_response(text, question).correct, settings.format)

    return eq_21


def make_group_trainer(
    loaded: LoadedModel,
    settings: GrpoSettings,
    arguments: dict[str, Any],
    batching: Batching,
    questions: Sequence[Question],
    reward: RewardFunction,
    max_completion_length: int,
) -> Trainer:
    """Make TRL's trainer for questions in the order in which they are to come."""
    from datasets import Dataset
    from trl import GRPOConfig

    from raml.training.trainers import GroupTrainer

    if settings.kl and not loaded.model.config.architectures:  # TRL makes the reference by that name
        raise ModelError(
            f"{settings.model}: config.json names no architectures, which --kl needs. Add it, or use --kl 0."
        )
    switch = {"enable_thinking": settings.prompt.mode == "think"} if has_thinking_switch(loaded.tokenizer) else {}
    engine: dict[str, Any] = {"use_vllm": settings.vllm != "off"}
    if settings.vllm != "off":
        engine |= {"vllm_mode": settings.vllm, "vllm_server_base_url": settings.vllm_url}
    rows = {
        "prompt": [[{"role": "user", "content": write_message(q, settings.prompt)}] for q in questions],
        "place": list(range(len(questions))),
    }
    trainer = GroupTrainer(
        model=loaded.model,
        reward_funcs=[_adapt_reward(reward, loaded, questions)],
        args=fill_in(
            GRPOConfig,
            **arguments,
            num_generations=settings.group_size,
            steps_per_generation=batching.accumulation * settings.updates_per_generation,
            max_completion_length=max_completion_length,
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=settings.top_k,
            loss_type=settings.loss,
            scale_rewards=settings.scale_rewards,
            epsilon=settings.clip_low,
            epsilon_high=settings.clip_high,
            beta=settings.kl,
            entropy_coef=settings.entropy,
            mask_truncated_completions=settings.drop_truncated,
            chat_template_kwargs=switch,
            shuffle_dataset=False,
            log_completions=False,
            **engine,
        ),
        train_dataset=Dataset.from_dict(rows),
        processing_class=loaded.tokenizer,
    )
    trainer.settings = settings
    return trainer


def _adapt_reward(reward: RewardFunction, loaded: LoadedModel, questions: Sequence[Question]) -> Callable[..., Any]:
    """Turn a reward of one response into TRL's reward of a batch; counts what the curves show beside it."""
    stops = set(loaded.stop_ids)

    def eq_21(
        completion_ids: list[list[int]], place: list[int], log_metric: Callable[[str, float], None], **_: object
    ) -> list[float | None]:
        rewards = []
        for ids, i in zip(completion_ids, place, strict=True):
            text = decode_text(loaded.tokenizer, ids[:-1] if ids and ids[-1] in stops else ids)
            given = reward(text, questions[i])
            rewards.append(given if isinstance(given, Reward) else Reward(given, None, None))
            if (value := rewards[-1].value) is not None and not math.isfinite(value):
                raise NumericsError(f"The reward of a response to question {questions[i].id} is {value}: {text[:80]!r}")
        rates = {
            "undecided_rate": [r.value is None for r in rewards],
            "correct_rate": [r.correct for r in rewards if r.correct is not None],
            "format_rate": [r.formatted for r in rewards if r.formatted is not None],
        }
        for name, flags in rates.items():
            if flags:
                log_metric(name, sum(flags) / len(flags))
        return [r.value for r in rewards]

    return eq_21
