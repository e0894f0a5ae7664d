"""`raml sample` through a real `transformers serve`, which is killed and started again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from raml.models import find_source
from raml.records import Question
from raml.store import Run
from raml.store.lines import encode_line

START_LIMIT_S = 90
NAME = str(find_source("tiny"))
GREEDY = ("--temperature", "0", "--max-new-tokens", "150")


class Served:
    """`transformers serve` with the embedded model, on a port of its own."""

    def __init__(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.process = None

    def start(self):
        """Start it and wait until it answers."""
        command = [Path(sys.executable).with_name("transformers"), "serve", NAME, "--device", "cpu"]
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        limit = time.monotonic() + START_LIMIT_S
        while time.monotonic() < limit:
            assert self.process.poll() is None, "the server ended by itself"
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5),
            ):
                return
            time.sleep(0.05)
        raise AssertionError(f"no answer from the server within {START_LIMIT_S} s")

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def served():
    server = Served()
    try:
        server.start()
        yield server
    finally:
        server.kill()


def engine(server, *more):
    return ("--engine", server.url, "--served-name", NAME, *more)


@pytest.fixture
def run(tmp_path, raml):
    raml("questions", "tiny", "--limit", "3", "--out", tmp_path / "run")
    return tmp_path / "run"


def read_last(run):
    """The settings and the trajectories of the last command."""
    config = Run(run).read_manifest().find_last("sample").config
    return config, [t for t in Run(run).read_trajectories() if msgspec.to_builtins(t.sampling) == config["sampling"]]


def test_temperature_zero_is_the_greedy_response_of_our_own_engine_by_text_and_by_chat(served, raml, run):
    assert raml("sample", "tiny", run, "--n", "1", *GREEDY)[0] == 0
    assert raml("sample", "tiny", run, "--n", "1", *GREEDY, *engine(served))[0] == 0
    assert raml("sample", "tiny", run, "--n", "1", *GREEDY, *engine(served, "--api", "chat"))[0] == 0
    made = Run(run).read_trajectories()
    assert Counter(t.engine for t in made) == {"transformers": 3, "server": 6}
    own = {t.question_id: t for t in made if t.engine == "transformers"}
    for trajectory in made:
        expected = own[trajectory.question_id]
        assert (trajectory.prompt_ids, trajectory.token_ids) == (expected.prompt_ids, expected.token_ids)
        assert (trajectory.verdict, trajectory.finish) == (expected.verdict, "stop")
    config = Run(run).read_manifest().stages[-2].config
    assert config["asked_with"] == {"prompt": "text", "fields": "generation_config"}
    assert config["server"]["url"] == served.url


def test_no_thinking_by_chat_is_the_templates_own(served, raml, run):
    asked = ("sample", "tiny", run, "--n", "1", "--mode", "nothink", *GREEDY)
    assert raml(*asked)[0] == 0
    out = raml(*asked, *engine(served, "--api", "chat"))[1]
    assert "Note:" not in out
    made = Run(run).read_trajectories()
    assert len({(t.question_id, t.prompt_ids, t.token_ids) for t in made}) == 3
    assert len(made) == 6


def test_responses_differ_at_temperature_one_and_filters_are_really_applied(served, raml, run):
    asked = ("sample", "tiny", run, "--limit", "1", "--n", "4", "--max-new-tokens", "40", *engine(served))
    wild = ("--temperature", "3", "--top-p", "1")
    assert raml(*asked, *wild, "--top-k", "0")[0] == 0
    assert len({t.token_ids for t in read_last(run)[1]}) == 4
    assert raml(*asked, *wild, "--top-k", "1")[0] == 0
    _, only_best = read_last(run)
    own = ("--temperature", "0", "--max-new-tokens", "40")
    assert raml("sample", "tiny", run, "--limit", "1", "--n", "1", *own)[0] == 0
    (greedy,) = read_last(run)[1]
    assert {t.token_ids for t in only_best} == {greedy.token_ids}
    assert raml(*asked, *wild, "--top-k", "0", "--min-p", "1")[0] == 0
    assert {t.token_ids for t in read_last(run)[1]} == {greedy.token_ids}


def test_one_request_at_a_time_gives_the_same_responses_again(served, raml, tmp_path):
    texts = []
    for name in ("a", "b"):
        raml("questions", "tiny", "--limit", "2", "--out", tmp_path / name)
        asked = ("--n", "2", "--temperature", "1", "--max-new-tokens", "60", "--concurrency", "1")
        assert raml("sample", "tiny", tmp_path / name, *asked, *engine(served))[0] == 0
        texts.append((tmp_path / name / "trajectories.jsonl").read_bytes())
    assert texts[0] == texts[1]


def test_the_key_goes_nowhere_but_to_the_server(served, raml, run, monkeypatch):
    monkeypatch.setenv("RAML_API_KEY", "sk-secret-1")
    code, out, err = raml("sample", "tiny", run, "--n", "1", "--max-new-tokens", "5", *engine(served))
    assert code == 0
    assert "secret" not in out + err
    assert all(b"sk-secret" not in file.read_bytes() for file in run.iterdir())
    code, out, err = raml("sample", "tiny", run, "--engine", "http://me:sk-secret-1@localhost/v1")
    assert code == 2
    assert "secret" not in out + err


def ask_for(run, server, n):
    asked = ("sample", "tiny", run, "--n", n, "--temperature", "1", "--max-new-tokens", "300", "--tries", "2")
    return (*asked, *engine(server, "--concurrency", "4"))


def start_sampling(run, server, n):
    command = [sys.executable, "-m", "raml", *map(str, ask_for(run, server, n))]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def count_lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_server_killed_half_way_costs_only_what_was_under_way(raml, run):
    server, journal, n = Served(), run / "trajectories.jsonl", 6
    try:
        server.start()
        command = start_sampling(run, server, n)
        while count_lines(journal) < 5:
            assert command.poll() is None, command.communicate()
            time.sleep(0.005)
        server.kill()
        _, err = command.communicate(timeout=60)
        assert command.returncode == 2, err
        assert len(err.strip().splitlines()) == 1
        assert server.url in err
        assert "responses that came are kept; run the same command again to go on" in err
        kept = Run(run).read_trajectories()
        assert 5 <= len(kept) < 3 * n
        assert f"The {len(kept)} responses" in err
        server.start()
        code, out, err = raml(*ask_for(run, server, n))
        assert (code, err) == (0, "")
        assert f"Wrote {3 * n - len(kept)} trajectories ({len(kept)} were there)" in out
        assert server.process.poll() is None
    finally:
        server.kill()
    made = Run(run).read_trajectories()
    assert len({t.id for t in made}) == len(made) == 3 * n
    by_id = {t.id: t for t in made}
    assert all(by_id[t.id] == t for t in kept)
    assert Counter(t.question_id for t in made) == dict.fromkeys((q.id for q in Run(run).read_questions()), n)
    assert Run(run).read_manifest().find_last("sample").n_new == 3 * n - len(kept)


def test_an_interrupt_keeps_what_came_and_waits_for_no_more(served, run):
    process = start_sampling(run, served, 100)
    try:
        # A third line is there once the third response is being written: the first two are safe then.
        while count_lines(run / "trajectories.jsonl") < 3:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert err == "Interrupted. What was finished is kept; run the same command again to go on.\n"
    n_asked = 100 * len(Run(run).read_questions())
    assert 2 <= len(Run(run).read_trajectories()) < n_asked / 2  # the others were not waited for


@pytest.mark.parametrize(
    ("flags", "fragment"),
    [
        (("--engine", "frob"), "--engine 'frob' is none of transformers, vllm, http://HOST:PORT/v1"),
        (("--served-name", "x"), "--served-name needs --engine URL"),
        (("--api", "chat", "--engine", "vllm"), "--api needs --engine URL"),
        (("--tensor-parallel", "2"), "--tensor-parallel needs --engine vllm"),
        (("--engine", "vllm"), "pip install 'raml[vllm]'"),
        (("--engine", "http://127.0.0.1:9/v1", "--batch-size", "3"), "--batch-size is not for servers"),
        (("--engine", "http://127.0.0.1:9/v1", "--concurrency", "0"), "--concurrency is 0"),
        (("--engine", "http://127.0.0.1:9/v1", "--request-timeout-s", "0"), "--request-timeout-s is 0"),
        (("--engine", f"http://{'a' * 64}.com/v1"), ".com/v1' is no address of a server"),
        (("--engine", "http://127.0.0.1:9/v1", "--tries", "1"), "http://127.0.0.1:9/v1: no connection in 1 try"),
    ],
)
def test_engine_options_that_do_not_fit_are_one_line(raml, run, flags, fragment, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    code, _, err = raml("sample", "tiny", run, *flags)
    assert code == 2
    assert fragment in err
    assert len(err.strip().splitlines()) == 1
    assert not (run / "trajectories.jsonl").exists()


def test_the_report_counts_each_verdict_and_says_whether_code_is_run(raml, run, monkeypatch):
    monkeypatch.setattr("raml.answers.find_isolation", lambda: "In a sandbox.")
    kinds = {"code": "print(1)", "math": "7"}
    questions = [Question(kind, "Write 1.", answer, kind=kind) for kind, answer in kinds.items()]
    (run / "questions.jsonl").write_bytes(b"".join(map(encode_line, questions)))
    asked = ("sample", "tiny", run, "--n", "1", "--max-new-tokens", "5")
    out = raml(*asked)[1]
    assert "1 questions are checked by running what the model writes; without --allow-code-execution" in out
    assert "Of 2: 0 right, 0 wrong, 2 no answer, 0 unparsed, 0 timed out, 0 undecided; 2 cut off" in out
    out = raml(*asked, "--allow-code-execution", "--seed", "1")[1]
    assert "What the model writes is run to check it, 1 questions. In a sandbox." in out
    assert Run(run).read_manifest().find_last("sample").config["allow_code_execution"] is True
