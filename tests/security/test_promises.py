"""Each promise of SECURITY.md, by its number and words; other modules here and elsewhere go further into some."""

import ast
import inspect
import os
import re
import stat
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import transformers

from raml.answers import grade_response
from raml.errors import DataError, ModelError
from raml.interchange.inspect_log import stream_samples
from raml.models import load_tokenizer
from raml.prompts import render_prompt
from raml.records import CodeTests, PromptSettings, Question
from raml.report import build_report
from raml.sampling import make_imported
from raml.sampling.client import KEYS, check_address, shorten_reason
from raml.store import Journal, Run
from raml.tiny import make_questions

from ..cli.conftest import raml  # noqa: F401
from ..records import test_notebook
from ..report.conftest import make_hostile_run
from .sources import find_calls, find_imports, find_keywords, read_trees
from .test_models import BY_CYCLER

ROOT = Path(__file__).parents[2]
PROMISE = re.compile(r"^(\d+)\. \*\*(.+?)\.\*\*", re.MULTILINE)


def name_test(number, words):
    return f"test_promise_{number:0>2}_{re.sub('[^a-z0-9]+', '_', words.lower())}"


def test_each_promise_has_its_test_and_each_test_its_promise():
    promised = [name_test(*entry) for entry in PROMISE.findall((ROOT / "SECURITY.md").read_text())]
    tested = [name for name in globals() if name.startswith("test_promise_")]
    assert promised == tested
    assert len(promised) == 14


def test_the_tests_that_a_promise_refers_to_are_there():
    named = re.findall(r"`(tests/\S+?)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 14
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_promise_01_no_pickle_from_outside_is_run():
    packages = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "pandas", "multiprocessing"}
    used = {entry for entry in find_imports(packages) if not entry[0].startswith("scale/")}  # between own processes
    assert used == {("training/engine.py", "pickle", "UnpicklingError")}
    loading = {"load", "loads", "read_pickle", "Unpickler", "fromfile", "memmap"}
    calls = {call for path, call, _ in find_calls(loading) if not path.startswith("scale/")}
    assert calls <= {"json.loads", "tomllib.loads", "load", "asked.load"}, "the last two load models"
    assert find_keywords("allow_pickle") == []


def test_promise_02_resuming_a_training_run_runs_nothing_that_lies_in_a_checkpoint():
    loads = [
        node
        for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(transformers.Trainer))))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert len(loads) > 5
    assert {
        ast.unparse(next(keyword.value for keyword in load.keywords if keyword.arg == "weights_only")) for load in loads
    } == {"True"}


def find_defaults(name):
    """Defaults, as text, of arguments and fields of a name, by path; None where it has to be given."""
    found = []
    for path, tree in read_trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
                found.append((path, node.value and ast.unparse(node.value)))
            elif isinstance(node, ast.FunctionDef):
                plain = node.args.posonlyargs + node.args.args
                values = [None] * (len(plain) - len(node.args.defaults)) + node.args.defaults + node.args.kw_defaults
                for argument, value in zip(plain + node.args.kwonlyargs, values, strict=True):
                    if argument.arg == name:
                        found.append((path, value and ast.unparse(value)))
    return found


def test_promise_03_code_that_comes_with_a_model_is_not_run_unless_you_ask_for_it():
    defaults = find_defaults("trust_remote_code")
    assert len(defaults) > 4
    assert {value for _, value in defaults} <= {None, "False"}
    assert not {value for _, value in find_keywords("trust_remote_code")} & {"True", "None"}
    unasked = [  # transformers asks at the terminal where the word is left out
        (path, call)
        for path, call, node in find_calls({"from_pretrained", "from_config"})
        if call.startswith("Auto") and not {keyword.arg for keyword in node.keywords} & {"trust_remote_code", None}
    ]
    assert unasked == []


def test_promise_04_a_chat_template_reaches_nothing_but_the_messages_it_writes(trap, question):
    tokenizer = load_tokenizer("tiny").tokenizer
    tokenizer.chat_template = BY_CYCLER.format(sprung=str(trap.sprung))
    with pytest.raises(ModelError, match=r"chat template of .* failed"):
        render_prompt(tokenizer, question, PromptSettings())
    ours = [(path, call) for path, call, _ in find_calls({"Environment", "from_string", "Template"})]
    assert set(ours) == {
        ("report/build.py", "jinja2.Environment"),
        ("report/build.py", "environment.from_string"),
        ("inputs/template.py", "Environment"),  # takes a template apart, and renders nothing
    }, "templates of models are rendered by transformers"


def test_promise_05_data_files_are_read_and_nothing_in_them_is_run():
    running = {(path, call) for path, call, _ in find_calls({"exec", "eval", "compile"})}
    inside = "answers/code/inside/become.py"  # what a model wrote, in isolation
    assert {entry for entry in running if entry[1] in ("exec", "eval", "compile")} == {
        (inside, "exec"),
        (inside, "compile"),
    }
    assert {call for _, call in running} == {"exec", "compile", "re.compile", "model.eval"}
    assert find_imports({"yaml"}) == set()
    assert {name for _, _, name in find_imports({"datasets"})} == {"Dataset", "utils"}


def test_promise_06_archives_are_never_unpacked_onto_the_disk(tmp_path):
    unpacking = {"extractall", "unpack_archive", "ZipFile", "TarFile", "PyZipFile"}
    assert {path for path, _, _ in find_calls(unpacking)} == {"interchange/log_size.py", "training/engine.py"}
    assert find_imports({"tarfile", "py7zr", "rarfile"}) == set()
    log = tmp_path / "in" / "log.eval"
    log.parent.mkdir()
    with zipfile.ZipFile(log, "w") as archive:
        for name in ("../outside.json", str(tmp_path / "absolute.json"), "header.json"):
            archive.writestr(name, "{}")
    with pytest.raises(DataError):
        list(stream_samples(log))
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == [log]


def test_promise_07_pages_and_notebooks_show_foreign_text_as_text():
    run = make_hostile_run()
    html = build_report(*run.records, readouts=run.readouts, title=run.questions[0].prompt)
    assert "<img" in run.questions[0].prompt
    assert "<img" not in html
    assert html.count("<script") == html.count("</script>")
    shown = {
        node.name
        for tree in read_trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(entry, ast.FunctionDef) and entry.name in ("_repr_html_", "_repr_javascript_")
            for entry in node.body
        )
    }
    assert shown == {"Estimate", "Trace", "Landscape"}
    for record in hostile_records():
        assert "&lt;script&gt;" in record._repr_html_()
        assert "<script" not in record._repr_html_()


def hostile_records():
    """Those that tests/records tries too."""
    (marked,) = [
        mark for mark in test_notebook.test_names_are_text_and_never_markup.pytestmark if mark.name == "parametrize"
    ]
    assert {type(record).__name__ for record in marked.args[1]} == {"Estimate", "Trace", "Landscape"}
    return marked.args[1]


def test_promise_08_nothing_listens_for_connections_from_other_machines():
    listening = {"bind", "listen", "create_server", "start_server", "serve_forever", "HTTPServer", "TCPServer", "serve"}
    calls = {(path, call): node for path, call, node in find_calls(listening) if path != "cli/study_commands.py"}
    assert calls.keys() == {
        ("answers/code/probe.py", "socket.create_server"),
        ("answers/code/isolation.py", "self._held.bind"),
        ("answers/code/inside/start.py", "serve"),  # at the socket that is its standard input
    }
    (address,) = calls["answers/code/probe.py", "socket.create_server"].args
    assert ast.literal_eval(address)[0] == "127.0.0.1"
    (name,) = calls["answers/code/isolation.py", "self._held.bind"].args
    assert ast.unparse(name).startswith("f'\\x00raml-user-"), "a name in the kernel, not an address"


def test_promise_09_no_command_line_goes_through_a_shell():
    assert find_keywords("shell") == []
    never = {"system", "popen", "getoutput", "getstatusoutput", "create_subprocess_shell", "spawnl", "spawnlp"}
    assert find_calls(never) == []
    started = [
        (path, node)
        for path, call, node in find_calls({"run", "Popen", "call", "check_output"})
        if "subprocess" in call
    ]
    assert len(started) > 4
    for path, node in started:
        text = isinstance(node.args[0], ast.JoinedStr) or isinstance(getattr(node.args[0], "value", None), str)
        assert not text, f"{path} starts a program by a text"


def test_promise_10_keys_and_passwords_are_written_nowhere(monkeypatch):
    for name in KEYS:
        monkeypatch.setenv(name, "sk-planted")
    assert shorten_reason("401: no key sk-planted here") == "401: no key [key] here"
    for url in (
        "http://user:planted@host/v1",
        "http://host/v1?key=planted",
        "user:planted@host",
        "http://u:planted@h:x",
    ):
        with pytest.raises(DataError) as refused:
            check_address(url)
        assert "planted" not in str(refused.value)
    whole = [(path, call) for path, call, _ in find_calls({"items", "values", "copy"}) if "environ" in call]
    assert whole == [], "the whole environment is taken"


@pytest.mark.parametrize("kind", ["code", "reasoning-gym"])
def test_promise_11_what_a_model_wrote_is_not_run_unless_you_allow_it(trap, kind):
    tests = CodeTests(("\n",), ("\n",)) if kind == "code" else None
    question = Question("q", "Print.", "x", kind=kind, tests=tests)
    grade = grade_response(f"```python\nopen({str(trap.sprung)!r}, 'w')\n```\n\\boxed{{x}}", question)
    assert (grade.correct, grade.verdict) == (None, "undecided")
    defaults = find_defaults("allow_code") + find_defaults("allow_code_execution")
    assert len(defaults) > 10
    assert {value for _, value in defaults} == {None, "False"}
    given = find_keywords("allow_code") + find_keywords("allow_code_execution")
    assert "True" not in {value for _, value in given}


def test_promise_12_temporary_files_are_private(tmp_path, monkeypatch):
    making = {"mkdtemp", "TemporaryDirectory", "NamedTemporaryFile", "mkstemp", "mktemp", "TemporaryFile", "gettempdir"}
    assert {call for _, call, _ in find_calls(making)} == {"tempfile.mkdtemp", "tempfile.TemporaryDirectory"}
    opened = {
        path for path, _, node in find_calls({"chmod"}) if {"511", "0o777"} & {ast.unparse(one) for one in node.args}
    }
    assert opened == {"answers/code/probe.py"}
    modes, make = [], tempfile.mkdtemp

    def watch(*arguments, **named):
        folder = make(*arguments, **named)
        modes.append(stat.S_IMODE(Path(folder).stat().st_mode))
        return folder

    monkeypatch.setattr(tempfile, "mkdtemp", watch)
    before = os.umask(0)
    try:
        with tempfile.TemporaryDirectory():
            pass
    finally:
        os.umask(before)
    assert modes == [0o700]


def test_promise_13_nothing_is_fetched_or_sent_unless_a_name_or_address_says_so():
    packages = {"requests", "httpx", "urllib", "urllib3", "http", "aiohttp", "huggingface_hub", "openai", "ftplib"}
    used = {(path, package) for path, package, name in find_imports(packages) if name != "urlsplit"}
    assert {path for path, package in used if package == "openai"} <= {f"sampling/{name}.py" for name in SERVING}
    hub = {"models/files.py", "questions/sources/hub.py", "questions/sources/check.py", "cli/study_sources.py"}
    assert {path for path, package in used if package == "huggingface_hub"} == hub
    assert {package for _, package in used} == {"openai", "huggingface_hub"}


SERVING = ("client", "connection", "server")


def test_promise_14_questions_that_may_not_be_shown_are_not_shown(raml, tiny, tmp_path):  # noqa: F811
    shown, hidden = make_questions(2, split="test")
    words = {"prompt": "PLANTED-PROMPT", "answer": "PLANTED-ANSWER"}
    hidden = replace(hidden, **words, redacted=True)
    run = Run(tmp_path / "run")
    run.write_questions([shown, hidden])
    texts = {shown.id: shown.answer, hidden.id: "PLANTED-ANSWER"}
    with Journal(run.trajectories_path) as journal:
        for question in (shown, hidden):
            text = f"<think>\nPLANTED so\n</think>\n\\boxed{{{texts[question.id]}}}"
            text = text.replace("PLANTED so", "So") if question is shown else text
            journal.append([make_imported(tiny, question, text, 0, PromptSettings(), occurrence=0)])
    printed = []
    for command in ("trace", "evaluate", "influence", "report"):
        more = ("--readout",) if command == "trace" else ("--n-resamples", "99") if command != "report" else ()
        code, *lines = raml(command, run.path, *more)
        printed += lines
        assert code == 0, lines
    printed += raml("export", "trl", run.path, tmp_path / "rows.jsonl")[1:]
    kept = {"questions.jsonl", "trajectories.jsonl"}
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in kept]
    assert {"report.html", "rows.jsonl", "evaluation.md", "influence.md"} <= {path.name for path in files}
    assert [path.name for path in files if b"PLANTED" in path.read_bytes()] == []
    assert "PLANTED" not in "".join(printed)
