"""Settings that come with raml are found by name, from any folder, and a user's own file comes first."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from raml.configs import KINDS, find_config, list_configs
from raml.errors import ModelError
from raml.models import load_tokenizer

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty folder that one works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_packaged_settings_are_named_by_folder_and_file():
    assert list(list_configs(".toml")) == [
        *(f"paper/{name}" for name in ("cold-start-grpo", "dapo", "dpo", "grpo", "sft")),
        *(f"tiny/{name}" for name in ("base-noisy", "base-skills", "cold-start-grpo", "grpo", "sft")),
    ]
    assert list(list_configs(".jinja")) == ["paper/chatml"]
    assert list(list_configs(".yaml")) == ["accelerate/deepspeed", "accelerate/fsdp"]


def test_no_two_files_share_a_name_and_none_is_left_out():
    folder = Path(sys.modules["raml.configs"].__file__).parent
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")]
    assert sorted(list_configs().values()) == sorted(files)
    assert {path.suffix for path in files} == set(KINDS)


@pytest.mark.parametrize("given", ["tiny/sft", "tiny/sft.toml", "./tiny/sft"])
def test_a_packaged_file_is_found_by_name_from_any_folder(elsewhere, given):
    found = find_config(Path(given), ".toml")
    assert found.is_absolute()
    assert tomllib.loads(found.read_text())["train"]["sft"]["optimizer"] == "muon"


@pytest.mark.parametrize("given", ["tiny/sft", "tiny/sft.toml"])
def test_a_file_on_disk_comes_before_a_packaged_one(elsewhere, given):
    mine = write(elsewhere / given)
    assert find_config(Path(given), ".toml").resolve() == mine
    assert find_config(mine, ".toml") == mine


def test_a_folder_of_a_packaged_name_is_no_file(elsewhere):
    (elsewhere / "tiny" / "sft").mkdir(parents=True)
    assert find_config(Path("tiny/sft"), ".toml") == list_configs(".toml")["tiny/sft"]


@pytest.mark.parametrize(
    "given",
    [
        *("", "tiny", "sft", "/tiny/sft", "../tiny/sft", "tiny/../tiny/sft", "tiny/sft.yaml", "tiny/sft.toml.toml"),
        *("paper/chatml", "accelerate/fsdp", "configs/tiny/sft.toml", "__init__", "tiny/*", "x" * 5000, "tiny\0/sft"),
    ],
)
def test_what_names_no_packaged_file_of_the_kind_stays_as_it_is(elsewhere, given):
    assert find_config(Path(given), ".toml") == Path(given)


def run_module(*names):
    line = [sys.executable, "-m", "raml.configs", *names]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_module_lists_names_and_prints_paths_for_other_programs():
    code, out, _ = run_module()
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [[name, str(path)] for name, path in list_configs().items()]
    assert run_module("accelerate/fsdp") == (0, f"{list_configs()['accelerate/fsdp']}\n", "")
    code, out, err = run_module("accelerate/frob")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no settings 'accelerate/frob'; there are accelerate/deepspeed, accelerate/fsdp, paper/chatml" in err


def test_a_chat_template_is_found_by_name_and_writes_chatml(elsewhere):
    tokenizer = load_tokenizer("tiny", chat_template=Path("paper/chatml")).tokenizer
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "3+4?"}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n3+4?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_chat_template_on_disk_comes_first(elsewhere):
    write(elsewhere / "paper" / "chatml.jinja", TEMPLATE)
    given = Path("paper/chatml.jinja")
    assert load_tokenizer("tiny", chat_template=given).tokenizer.chat_template == TEMPLATE


def test_a_missing_chat_template_is_named_with_those_there_are(elsewhere):
    with pytest.raises(ModelError, match=r"Chat template paper/chat can't be read: .* with raml: paper/chatml\."):
        load_tokenizer("tiny", chat_template=Path("paper/chat"))
