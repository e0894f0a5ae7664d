"""Keys and passwords: where they go, and every place where they must not be found afterwards."""

import base64
import json

import pyarrow.parquet as pq
import pytest

from raml.store import Run

from ..cli.conftest import raml  # noqa: F401
from ..sampling.test_server import fake, served  # noqa: F401

KEYS = {"RAML_API_KEY": "sk-planted-1", "OPENAI_API_KEY": "sk-planted-2", "HF_TOKEN": "hf_planted"}
PASSWORD = "planted-password"


def find_texts(folder):
    """All that was written below a folder, with tables unpacked."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield path.name, path.read_bytes()
        if path.suffix == ".parquet":
            yield path.name, json.dumps(pq.read_table(path).to_pylist(), default=str).encode()


def find_secret(secrets, folder, *printed):
    """Where one of the secrets is, as it is or as base64; nothing if nowhere."""
    wanted = [form for secret in secrets for form in (secret.encode(), base64.b64encode(secret.encode()).rstrip(b"="))]
    texts = [*find_texts(folder), *(("screen", text.encode()) for text in printed)]
    return [name for name, text in texts if any(form in text for form in wanted)]


def test_a_key_reaches_the_server_and_no_file_and_no_line(raml, fake, tmp_path, monkeypatch):  # noqa: F811
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    run = tmp_path / "run"
    printed = [*raml("questions", "tiny", "--limit", "3", "--out", run)[1:]]

    def echo_once(body, n_before):
        if body["max_tokens"] > 1 and len(fake.asked()) == 2:
            return 400, {}, json.dumps({"error": {"message": f"bad request of {KEYS['RAML_API_KEY']}"}})
        return 200, {}, fake.answer(body)

    fake.misbehave = echo_once
    engine = ("--engine", fake.url, "--tries", "1", "--concurrency", "1")
    printed += raml("sample", "tiny", run, "--n", "1", "--max-new-tokens", "60", *engine)[1:]
    for command in (("trace", run), ("evaluate", run, "--n-resamples", "100"), ("report", run)):
        code, *lines = raml(*command)
        printed += lines
        assert code == 0, lines
    assert {headers["authorization"] for headers in fake.headers} == {f"Bearer {KEYS['RAML_API_KEY']}"}
    assert len(Run(run).read_trajectories()) == 2
    assert "bad request of [key]" in "".join(printed)
    assert find_secret(KEYS.values(), tmp_path, *printed) == []


@pytest.fixture
def sampled(raml, tmp_path):  # noqa: F811
    run = tmp_path / "run"
    assert raml("questions", "tiny", "--limit", "2", "--out", run)[0] == 0
    assert raml("sample", "tiny", run, "--n", "1", "--max-new-tokens", "40")[0] == 0
    return run


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{PASSWORD}@127.0.0.1:1/v1",
        f"http://{PASSWORD}@127.0.0.1:1/v1",
        f"http://127.0.0.1:1/v1?key={PASSWORD}",
        f"http://user:{PASSWORD}@127.0.0.1:port/v1",
        f"HTTP://user:{PASSWORD}@127.0.0.1:1/v1",
        f"user:{PASSWORD}@127.0.0.1:1/v1",
    ],
)
def test_a_password_in_an_address_is_refused_and_repeated_nowhere(raml, sampled, tmp_path, url):  # noqa: F811
    for command in (
        ("sample", "tiny", sampled, "--engine", url),
        ("compress", sampled, "summary", "--engine", url),
        ("train", "grpo", "--model", "tiny-base", "--questions", sampled, "--out", tmp_path / "m", "--vllm-url", url),
    ):
        code, *printed = raml(*command)
        assert code == 2, command[0]
        assert "holds a user name, password or query" in printed[1]
        assert find_secret([PASSWORD], tmp_path, *printed) == []


@pytest.mark.parametrize("option", [("--api-key", PASSWORD), (f"--token={PASSWORD}",), (f"--hf-token={PASSWORD}",)])
def test_a_key_given_as_an_option_is_refused_and_not_repeated(raml, sampled, tmp_path, option):  # noqa: F811
    code, *printed = raml("sample", "tiny", sampled, *option)
    assert code == 2
    assert find_secret([PASSWORD], tmp_path, *printed) == []


def test_the_search_finds_a_secret_in_a_text_in_a_table_and_on_the_screen(raml, sampled, tmp_path):  # noqa: F811
    assert raml("trace", sampled)[0] == 0
    word = Run(sampled).read_trajectories()[0].id
    assert set(find_secret([word], tmp_path, f"so {word}")) >= {"trajectories.jsonl", "traces.parquet", "screen"}
