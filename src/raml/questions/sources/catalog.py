"""The data sets that have a name: where they lie, at which revision, how many questions they have, and their terms.

A revision is a commit that others pin too; where none was found it is "main". What was really loaded is recorded with
the questions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raml.questions.sources.columns import Columns
from raml.questions.sources.gpqa import COLUMNS as GPQA_COLUMNS
from raml.questions.sources.gpqa import WORDING as GPQA_WORDING
from raml.questions.sources.gpqa import make_gpqa
from raml.questions.sources.livecodebench import COLUMNS as LIVECODEBENCH_COLUMNS
from raml.questions.sources.livecodebench import (
    FUNCTION_WORDING,
    N_BY_UPDATE,
    PROGRAM_WORDING,
    list_updates,
    make_livecodebench,
    name_file,
)
from raml.questions.sources.mathematics import (
    AIME_COLUMNS,
    LIVEMATHBENCH_COLUMNS,
    MATH_COLUMNS,
    ORZ_COLUMNS,
    PROBLEM,
    make_aime,
    make_livemathbench,
    make_math,
    make_math_of_level_5,
    make_orz,
)
from raml.questions.sources.settings import Row, SourceSettings
from raml.records import Question

MakeQuestion = Callable[[Row, str, str, SourceSettings], Question | None]
"""Makes a question of a row, its place and the source's name; None where the settings leave the row out."""


@dataclass(frozen=True)
class DataSet:
    """A data set on the Hugging Face Hub."""

    name: str
    """What `raml questions` calls it."""
    repository: str
    config: str | None
    """"{language}" and "{release}" stand for what the settings say."""
    split: str
    revision: str
    files: str
    """Its file's name, or a pattern where the folder is not known; "{language}" as above. LiveCodeBench's depend on the
    release."""
    n_questions: int
    """Expected number; of livemathbench-hard in one language."""
    make: MakeQuestion
    columns: Columns
    """What `make` reads of every row."""
    wording: tuple[str, ...]
    """What `Question.prompt` is made of."""
    terms: str
    options: tuple[str, ...] = ()
    """Settings of its own, beside files and revision."""
    is_gated: bool = False
    """Its files are for those who accepted its terms on the Hub."""


_MATH_500 = "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be"  # in many public experiments' pins

DATA_SETS = {
    data.name: data
    for data in (
        DataSet(
            name="aime24",
            repository="Maxwell-Jia/AIME_2024",
            config=None,
            split="train",
            revision="8d88b2876a82a080e2f172cc9b25d0d9d2cb4792",  # inspect_evals 0.28
            files="aime_2024_problems.parquet",
            n_questions=30,
            make=make_aime,
            columns=AIME_COLUMNS,
            wording=(PROBLEM,),
            terms="the problems are the Mathematical Association of America's",
        ),
        DataSet(
            name="aime25",
            repository="math-ai/aime25",
            config=None,
            split="test",
            revision="563bb8404243c5f09de6ec262f2db674fe5bce9b",  # inspect_evals 0.28
            files="test.jsonl",
            n_questions=30,
            make=make_aime,
            columns=AIME_COLUMNS,
            wording=(PROBLEM,),
            terms="the problems are the Mathematical Association of America's",
        ),
        DataSet(
            name="math500",
            repository="HuggingFaceH4/MATH-500",
            config=None,
            split="test",
            revision=_MATH_500,
            files="test.jsonl",
            n_questions=500,
            make=make_math,
            columns=MATH_COLUMNS,
            wording=(PROBLEM,),
            terms="MIT, as MATH (arXiv 2103.03874), from which it is taken",
        ),
        DataSet(
            name="math500-l5",
            repository="HuggingFaceH4/MATH-500",
            config=None,
            split="test",
            revision=_MATH_500,
            files="test.jsonl",
            n_questions=134,
            make=make_math_of_level_5,
            columns=MATH_COLUMNS,
            wording=(PROBLEM,),
            terms="MIT, as MATH (arXiv 2103.03874), from which it is taken",
        ),
        DataSet(
            name="livemathbench-hard",
            repository="opencompass/LiveMathBench",
            config="v202412_hard_{language}",
            split="test",
            revision="main",
            files="*202412*hard_{language}*.jsonl",
            n_questions=45,
            make=make_livemathbench,
            columns=LIVEMATHBENCH_COLUMNS,
            wording=(PROBLEM,),
            terms="CC BY 4.0; not for experiments that harm people",
            options=("language",),
            is_gated=True,
        ),
        DataSet(
            name="gpqa-diamond",
            repository="Idavidrein/gpqa",
            config="gpqa_diamond",
            split="train",
            revision="633f5ee89ab8ad4522a9f850766b73f62147ffdd",  # in many public experiments' pins
            files="gpqa_diamond.csv",
            n_questions=198,
            make=make_gpqa,
            columns=GPQA_COLUMNS,
            wording=(GPQA_WORDING,),
            terms="CC BY 4.0; its authors ask that examples are not shown in public, as text or image",
            options=("seed",),
            is_gated=True,
        ),
        DataSet(
            name="livecodebench",
            repository="livecodebench/code_generation_lite",
            config="{release}",
            split="test",
            revision="0fe84c3912ea0c4d4a78037083943e8f0c4dd505",  # scitix/sieval
            files="test*.jsonl",
            n_questions=sum(N_BY_UPDATE.values()),
            make=make_livecodebench,
            columns=LIVECODEBENCH_COLUMNS,
            wording=(PROGRAM_WORDING, FUNCTION_WORDING),
            terms="\"cc\" on its card, no more; the problems are LeetCode's, AtCoder's and Codeforces's",
            options=("release", "since", "until"),
        ),
        DataSet(
            name="orz-math",
            repository="Open-Reasoner-Zero/orz_math_57k_collection",
            config=None,
            split="train",
            revision="main",
            files="orz_math_57k_collection.json",
            n_questions=56_878,
            make=make_orz,
            columns=ORZ_COLUMNS,
            wording=(PROBLEM,),
            terms="MIT",
            options=("clean",),
        ),
    )
}
"""By name."""


def list_languages(settings: SourceSettings) -> tuple[str, ...]:
    """List the languages that the settings ask for."""
    return ("en", "cn") if settings.language == "both" else (settings.language,)


def list_files(data: DataSet, settings: SourceSettings) -> list[str]:
    """List the names, or patterns of names, of the files that the settings ask for, in the order of their questions.

    Raises:
        DataError: there is no such release.
    """
    if "release" in data.options:
        return [name_file(update) for update in list_updates(settings.release)]
    if "language" in data.options:
        return [data.files.format(language=language) for language in list_languages(settings)]
    return [data.files]


def list_configs(data: DataSet, settings: SourceSettings) -> list[str]:
    """List the configurations of the data set that the settings ask for; none where it has but one."""
    if data.config is None:
        return []
    if "language" in data.options:
        return [data.config.format(language=language) for language in list_languages(settings)]
    return [data.config.format(release=settings.release)]


def count_expected(data: DataSet, settings: SourceSettings) -> int | None:
    """Say how many questions these settings should give; None where that can't be known beforehand."""
    if "release" in data.options:
        is_open = settings.files or settings.since or settings.until
        return None if is_open else sum(N_BY_UPDATE[update] for update in list_updates(settings.release))
    if "language" in data.options:
        return None if settings.files else data.n_questions * len(list_languages(settings))
    return data.n_questions
