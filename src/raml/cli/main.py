"""The entry point: options for all commands, and errors as one line with exit code 2."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

from cyclopts import App, CoercionError, CycloptsError, Group, Parameter
from cyclopts.argument import ArgumentCollection
from cyclopts.config import Toml
from rich.console import Console

# Torch, transformers and matplotlib are imported where a command runs, so that help texts come at once.
from raml.cli.adapt import adapt
from raml.cli.align import align
from raml.cli.check import check
from raml.cli.compress import compress
from raml.cli.curves import curves
from raml.cli.demo import demo
from raml.cli.evaluate import evaluate
from raml.cli.exporting import export_file
from raml.cli.faithfulness import faithfulness
from raml.cli.grade import grade
from raml.cli.help_format import PlainHelp, write_default
from raml.cli.help_groups import COLLECT, EVERYWHERE, HELP, MEASURE, MODELS, OPTIONS, SHOW, START, WEIGHTS
from raml.cli.help_pages import PAGES, explain_error, is_about_output, show_help
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
from raml.inputs import read_plain_text
from raml.store import COMMAND, hide_secrets

MOST_DOTS = 100
"""In a name of a config file; settings nest no deeper than three."""
USAGES = {
    "compress": "raml compress [OPTIONS] RUN [METHOD...]",
    "evaluate": "raml evaluate [OPTIONS] RUNS...",
    "help": "raml help [TOPIC]",
}
"""Where the words of the signature say less."""
app = App(
    name="raml",
    help="See where along a reasoning trajectory a language model makes its answer.\n\n"
    "Examples: `raml demo`, `raml questions FILE --out RUN`, `raml sample MODEL RUN`, `raml trace RUN --readout`, "
    "`raml report RUN`\n\n"
    "The first one needs nothing but this package; the others are the way with a model and questions of your own. "
    "MODEL is a Hub name, a folder or a .gguf file, RUN a folder that is made.",
    help_format="plaintext",
    help_formatter=PlainHelp(),
    help_epilogue="`raml COMMAND --help` explains a command, `raml help` has the documentation.",
    group_parameters=OPTIONS,
    default_parameter=Parameter(negative_iterable=(), show_default=write_default),
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
COMMANDS: dict[Group, dict[str, Callable[..., None] | App]] = {
    START: {"demo": demo},
    COLLECT: {
        "questions": questions,
        "sample": sample,
        "import": import_file,
        "grade": grade,
        "export": export_file,
    },
    MEASURE: {
        "trace": trace,
        "influence": influence,
        "curves": curves,
        "faithfulness": faithfulness,
        "compress": compress,
    },
    WEIGHTS: {"landscape": landscape, "update": update, "align": align, "adapt": adapt},
    MODELS: {"train": train, "evaluate": evaluate},
    SHOW: {"report": report, "study": study, "check": check},
    HELP: {"help": show_help},
}
"""In the order in which one meets them."""
for group, commands in COMMANDS.items():
    for place, (name, command) in enumerate(commands.items()):
        app.command(command, name=name)
        added = app[name]
        added.group, added.sort_key, added.usage = group, place, USAGES.get(name)
        added.help_epilogue = f"More: raml help {PAGES[name]}" if name in PAGES else ""
app["--help"].group, app["--help"].help = HELP, "Show this text, or with a command what it takes."
app["--version"].group, app["--version"].help = HELP, "Show the version."


app.meta.suppress_keyboard_interrupt = False


@app.meta.default
def launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    config: Annotated[Path | None, Parameter(group=EVERYWHERE)] = None,
    debug: Annotated[bool, Parameter(group=EVERYWHERE)] = False,
) -> None:
    """Read the options of all commands, then run one.

    Parameters
    ----------
    config
        Read flags from a TOML file, a table per command, yours or one that comes with raml such as tiny/sft. Flags on
        the command line override it.
    debug
        Show the traceback of an error.
    """
    # `debug` is looked at in `run`, where errors arrive.
    app.config = (*(() if config is None else (Toml(find_toml(config)),)), refuse_fractions)
    app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code: 0, 2 for an error one can do something about, 130 for Ctrl-C."""
    # Nothing is sent anywhere; model files are fetched from the Hub only when a command names them.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    token = COMMAND.set(hide_secrets(("raml", *arguments)))
    errors = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    try:
        app.meta(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        if sys.stdout is not None:
            sys.stdout.flush()  # here, where it can be told that nothing was written
    except KeyboardInterrupt:
        errors.print("Interrupted. What was finished is kept; run the same command again to go on.")
        return 130
    except BrokenPipeError:
        _drop_output()  # the reader has gone, e.g. `raml … | head`
        return 0
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # rich saw it first
            return 0
        raise
    except (RamlError, CycloptsError, OSError) as error:
        if is_about_output(error):
            _drop_output()
        if "--debug" in arguments:
            raise
        with contextlib.suppress(OSError):  # where the errors go may be full too
            errors.print(f"raml: {explain_error(error, arguments)}")
        return 2
    finally:
        COMMAND.reset(token)
        app.config = ()  # the next command line of this process has its own
    return 0


def refuse_fractions(_: App, __: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse 1.5 where a whole number is asked for; the parser would round it.

    Raises:
        CoercionError: there is one.
    """
    for argument in arguments:
        kinds = _list_kinds(argument.hint)
        if int not in kinds or float in kinds:
            continue
        for token in argument.tokens:
            with contextlib.suppress(ValueError):  # text, which the parser itself looks at
                if not float(token.value).is_integer():
                    raise CoercionError(argument=argument, token=token, target_type=int)


def _list_kinds(hint: Any) -> set[Any]:  # noqa: ANN401 - any annotation
    """List the plain types of an annotation such as `list[int] | None`."""
    inner = get_args(hint)
    return {hint} if not inner else {kind for one in inner for kind in _list_kinds(one)}


def _drop_output() -> None:
    """Let what is still to be written to standard output go nowhere, or Python would complain when it ends."""
    with contextlib.suppress(OSError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)


def find_toml(given: Path) -> Path:
    """Find the config file that a path or a packaged name means.

    Raises:
        DataError: it is missing or no TOML.
    """
    path = find_config(given, ".toml")
    try:
        text = read_plain_text(path, "utf-8")
        if any(line.partition("=")[0].count(".") > MOST_DOTS for line in text.splitlines()):
            raise ValueError(f"a name of more than {MOST_DOTS} parts")  # for which the parser takes all memory
        tomllib.loads(text)
    except OSError as error:
        raise DataError(
            f"Config file {path} can't be read: {error.strerror}. "
            f"Give a TOML file, or one that comes with raml: {', '.join(list_configs('.toml'))}."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"Config file {path} is no TOML: {error}") from error
    return path


def main() -> None:
    """Run the process's command line and exit."""
    if sys.stdout is None:  # closed by whoever started this
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal's encoding lacks
    code = run(sys.argv[1:])
    gc.freeze()  # so that Python, as it ends, does not look through all objects again and again: a second of them
    sys.exit(code)
