"""The entry point: options for all commands, and errors as one line with exit code 2."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Toml
from rich.console import Console

# Torch, transformers and matplotlib are imported where a command runs, so that help texts come at once.
from raml.cli.adapt import adapt
from raml.cli.align import align
from raml.cli.compress import compress
from raml.cli.curves import curves
from raml.cli.demo import demo
from raml.cli.evaluate import evaluate
from raml.cli.exporting import export_file
from raml.cli.faithfulness import faithfulness
from raml.cli.grade import grade
from raml.cli.importing import import_file
from raml.cli.influence import influence
from raml.cli.landscape import landscape
from raml.cli.questions import questions
from raml.cli.report import report
from raml.cli.sample import sample
from raml.cli.study import study
from raml.cli.trace import trace
from raml.cli.train import train
from raml.cli.update import update
from raml.configs import find_config, list_configs
from raml.errors import DataError, RamlError
from raml.store import COMMAND

app = App(
    name="raml",
    help="See where along a reasoning trajectory a language model makes its answer.\n\n"
    "Start with `raml demo`. A real model: `raml questions FILE --out RUN`, `raml sample MODEL RUN`, "
    "`raml trace RUN`, `raml report RUN`.\n\n"
    "For all commands: `--config FILE` reads flags from a TOML file (a table per command, flags override it), yours or "
    "one that comes with raml, such as `tiny/sft`; `--debug` shows the traceback of an error.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
for command in (
    demo,
    questions,
    sample,
    grade,
    trace,
    influence,
    curves,
    faithfulness,
    compress,
    landscape,
    update,
    align,
    adapt,
    evaluate,
    report,
    study,
):
    app.command(command)
app.command(import_file, name="import")
app.command(export_file, name="export")
app.command(train)


app.meta.suppress_keyboard_interrupt = False


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Path | None = None,
    debug: bool = False,
) -> None:
    """Read the options of all commands, then run one."""
    # `debug` is looked at in `run`, where errors arrive.
    if config is not None:
        app.config = (Toml(find_toml(config)),)
    app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code: 0, 2 for an error one can do something about, 130 for Ctrl-C."""
    # Nothing is sent anywhere; model files are fetched from the Hub only when a command names them.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    token = COMMAND.set(("raml", *arguments))
    errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    try:
        app.meta(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except KeyboardInterrupt:
        errors.print("Interrupted. What was finished is kept; run the same command again to go on.")
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone, e.g. `raml … | head`
        return 0
    except (RamlError, CycloptsError) as error:
        if "--debug" in arguments:
            raise
        errors.print(f"raml: {' '.join(str(error).split())}")
        return 2
    finally:
        COMMAND.reset(token)
        app.config = ()  # the next command line of this process has its own
    return 0


def find_toml(given: Path) -> Path:
    """Find the config file that a path or a packaged name means.

    Raises:
        DataError: it is missing or no TOML.
    """
    path = find_config(given, ".toml")
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"Config file {path} can't be read: {error.strerror}. "
            f"Give a TOML file, or one that comes with raml: {', '.join(list_configs('.toml'))}."
        ) from error
    except ValueError as error:
        raise DataError(f"Config file {path} is no TOML: {error}") from error
    return path


def main() -> None:
    """Run the process's command line and exit."""
    sys.exit(run(sys.argv[1:]))
