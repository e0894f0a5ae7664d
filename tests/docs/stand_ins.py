"""What stands in for what a page names but a test doesn't have, and what a test can't run at all."""

import re
import shlex

STAND_INS = {
    "Qwen/Qwen3-0.6B": "tiny",
    "Qwen/Qwen3-1.7B": "tiny-grpo",
    "MODEL_FOLDER": "tiny",
    "MODEL": "tiny",
    "RUN": "runs/any",
    "math500-l5": "tiny",
}
"""Words of command lines: models that would be fetched, placeholders, and a data set of the Hub."""

LARGEST = {
    "--limit": 3,
    "--n": 2,
    "--n-steps": 3,
    "--n-trajectories": 2,
    "--max-new-tokens": 160,
    "--max-steps": 1,
    "--steps": 2,
    "--verify": 2,
    "--workers": 1,
    "--k": 1,
}
"""Larger numbers are taken down to these, so that a page takes seconds; `make test-slow` takes them as they are."""

FURTHER = {
    "raml --config tiny/cold-start-grpo train grpo": "--max-steps 1 --batch-size 8 --group-size 4",
    "raml --config tiny/grpo train grpo": "--batch-size 16",
    "raml adapt": "--limit 2",
    "raml align": "--limit 2 --n-prefixes 2",
    "raml compress": "--limit 3 --n-resamples 200",
    "raml curves": "--n-resamples 200",
    "raml evaluate": "--n-resamples 200",
    "raml faithfulness": "--n-trajectories 2 --max-borders 4",
    "raml influence": "--n-resamples 200",
    "raml landscape": "--n-steps 3 --n-questions 2",
    "raml update": "--limit 4 --n-prefixes 4 --n-others 2",
}
"""The same for commands that are large without a number: appended if the option isn't there."""

ALWAYS_SMALLER = "raml --config"
"""Begins commands whose numbers are made smaller in any case: training takes minutes, and has slow tests of its own."""

BEFORE = {
    "cluster.md": ["raml questions tiny --out runs/many", "raml sample tiny runs/many --n 2"],
    "code-execution.md": ["raml questions tiny --out runs/any"],
    "landscapes.md": [
        "raml questions tiny --limit 64 --out runs/updates",
        "raml sample tiny runs/updates --n 2",
        "raml update runs/updates",
    ],
    "report.md": ["raml questions tiny --out runs/own", "raml sample tiny runs/own --n 2", "raml trace runs/own"],
}
"""What a page takes for granted."""

ROWS = {"own-trajectories.md": "responses.jsonl"}
"""Files that a page shows in a block of JSON."""

REPEATED = ("README.md", "own-model.md")
"""Pages with nothing but other pages' commands and options: `make test-slow` alone runs them."""

NOT_RUN = {
    r"raml questions (aime|math500|livemath|gpqa|livecode|orz)": "a data set of the Hub",
    r"raml sample .*--engine": "needs a server or vLLM",
    r"raml import .*(completions_|dumps/|logs/|outputs/|data/train-|mine\.parquet)": "a file of another tool",
    r"raml report runs/math": "a run that a cluster made",
    r"raml study (fig3|all)\b": "takes minutes to an hour; tests of the studies run a made-up one",
    r"accelerate ": "starts a process a GPU",
    r"ray ": "starts machines",
    r"raml .* --ray\b": "needs a cluster; tests of the scale room start one",
    r"make ": "its target is looked up",
}
"""Patterns of command lines that are only parsed, and why."""


def find_reason(command: str) -> str | None:
    """Say why a command is not run; None if it is."""
    words = " ".join(STAND_INS.get(word, word) for word in command.split())
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, words)), None)


def put_stand_ins(command: str, *, smaller: bool) -> list[str]:
    """Make a documented command line one that runs here."""
    words = [STAND_INS.get(word, word) for word in shlex.split(command)]
    if smaller or command.startswith(ALWAYS_SMALLER):
        for option, largest in LARGEST.items():
            for i, word in enumerate(words[:-1]):
                if word == option and words[i + 1].isdigit():
                    words[i + 1] = str(min(int(words[i + 1]), largest))
        for prefix, text in FURTHER.items():
            further = text.split()
            if command.startswith(prefix):
                words += [
                    word for i in range(0, len(further), 2) if further[i] not in words for word in further[i : i + 2]
                ]
    return words
