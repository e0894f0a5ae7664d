"""Every stage that writes a folder: its command line, what it starts from, and what it leaves behind."""

from dataclasses import dataclass

QUICK = ("--threads", "1")
ALIKE = ("--temperature", "1", "--top-p", "1", "--top-k", "0", "--max-new-tokens", "60")
SHORT = ("--n-resamples", "99", *QUICK)
COMPRESS = ("--share", "0.5", "--draws", "1", "--target", "gold", "--max-waits", "1", "--limit", "3", *SHORT)
TRAIN = ("--model", "tiny-base", "--device", "cpu", "--learning-rate", "1e-3", "--save-every", "1", *QUICK)


@dataclass(frozen=True)
class Stage:
    """A command, run in a folder that holds what the stages before it left."""

    name: str
    words: tuple[str, ...]
    before: str = ""
    """The stage whose folder it starts from; empty for an empty folder."""
    study: bool = False
    trains: bool = False


def _train(technique, *more):
    return Stage(f"train {technique}", ("train", technique, *TRAIN, *more, "--out", "model"), "sample", trains=True)


STAGES = (
    Stage("questions", ("questions", "tiny", "--limit", "4", "--out", "run")),
    Stage("sample", ("sample", "tiny", "run", "--n", "2", "--batch-size", "4", *ALIKE, *QUICK), "questions"),
    Stage("no-thinking", ("sample", "tiny", "run", "--n", "1", "--mode", "nothink", *ALIKE, *QUICK), "sample"),
    Stage("export", ("export", "trl", "run", "rows.parquet", "--overwrite"), "sample"),
    Stage("import", ("import", "trl", "rows.parquet", "other", "--model", "tiny"), "export"),
    Stage("grade", ("grade", "run", "--all", "--workers", "1"), "sample"),
    Stage("trace", ("trace", "run", "--every", "sentence", "--readout", "--target", "both", *QUICK), "no-thinking"),
    Stage("influence", ("influence", "run", "--n-resamples", "99"), "trace"),
    Stage("curves", ("curves", "run", "--limit", "4", "--n-resamples", "99"), "trace"),
    Stage(
        "landscape",
        ("landscape", "run", "--n-steps", "3", "--n-questions", "2", "--n-paths", "1", *QUICK),
        "sample",
    ),
    Stage("update", ("update", "run", "--limit", "3", "--n-prefixes", "3", "--n-others", "1", *QUICK), "sample"),
    Stage("align", ("align", "run", "--limit", "3", "--n-prefixes", "3", "--n-directions", "2", *QUICK), "sample"),
    Stage("adapt", ("adapt", "run", "--limit", "3", "--steps", "2", *QUICK), "sample"),
    Stage("faithfulness", ("faithfulness", "run", "--n-trajectories", "2", "--n", "2", *QUICK), "sample"),
    *(
        Stage(f"compress {method}", ("compress", "run", method, *COMPRESS), "trace")
        for method in ("cut", "wait", "early-exit", "prune", "no-thinking")
    ),
    Stage(
        "compress summary",
        ("compress", "run", "summary", "--runs", "1", "--summary-tokens", "8", "--limit", "3", *SHORT),
        "sample",
    ),
    Stage("evaluate", ("evaluate", "run", "--n-resamples", "99"), "sample"),
    Stage("report", ("report", "run"), "trace"),
    _train("sft", "--trajectories", "run", "--batch-size", "2", "--max-steps", "3"),
    _train("dpo", "--trajectories", "run", "--batch-size", "2", "--max-steps", "3"),
    _train(
        *("grpo", "--questions", "run", "--batch-size", "4", "--group-size", "2", "--max-steps", "2"),
        *("--max-completion-length", "16"),
    ),
    Stage("study", ("study", "fig3", "--out", "home", "--jobs", "1"), study=True),
)
BY_NAME = {stage.name: stage for stage in STAGES}
