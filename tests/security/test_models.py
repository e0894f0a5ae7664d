"""Model folders and data files that bring code along."""

import json
import shutil
from dataclasses import replace

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import transformers.dynamic_module_utils

from raml.errors import ModelError
from raml.models import load_model, load_tokenizer
from raml.prompts import render_prompt
from raml.questions import read_question_file
from raml.records import PromptSettings, SamplingSettings
from raml.sampling import sample_trajectories
from raml.tiny import WEIGHTS

CODE = "open({sprung!r}, 'w').close()\n"
BY_CYCLER = "{{{{ cycler.__init__.__globals__.os.close(cycler.__init__.__globals__.os.open({sprung!r}, 64)) }}}}"
TEMPLATES = [
    BY_CYCLER,
    "{{{{ self.__init__.__globals__.__builtins__.open({sprung!r}, 'w') }}}}",
    "{{{{ messages.__class__.__mro__[1].__subclasses__()[0].__name__ }}}}{{{{ raise_exception.__globals__ }}}}",
    "{{% for c in ().__class__.__base__.__subclasses__() %}}{{{{ c.__init__.__globals__ }}}}{{% endfor %}}",
]


@pytest.fixture
def folder(tmp_path, trap, monkeypatch):
    """A model folder of a known kind with files of code that tell when they are run."""
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "model"
    shutil.copytree(WEIGHTS / "sft", folder)
    (folder / "custom_generate").mkdir()
    for name in ("evil.py", "custom_generate/generate.py", "model.py", "tokenizer.py"):
        (folder / name).write_text(CODE.format(sprung=str(trap.sprung)))
    (folder / "pytorch_model.bin").write_bytes(trap.as_torch_file())
    return folder


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def point_at_code(folder, *, model_type=None):
    change(
        folder / "config.json",
        auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"},
        **({} if model_type is None else {"model_type": model_type}),
    )


def test_a_known_kind_of_model_is_loaded_and_sampled_by_our_own_code(folder, question):
    point_at_code(folder)
    loaded = load_model(str(folder), device="cpu")
    sample_trajectories(loaded, [question], settings=SamplingSettings(max_new_tokens=2))


@pytest.mark.parametrize("load", [load_model, load_tokenizer])
def test_an_unknown_kind_of_model_is_refused(folder, load):
    point_at_code(folder, model_type="evil")
    with pytest.raises(ModelError):
        load(str(folder))


@pytest.mark.parametrize("load", [load_model, load_tokenizer])
def test_a_tokenizer_with_code_of_its_own_is_refused_or_read_without_it(folder, load):
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Slow", "evil.Fast"]})
    change(folder / "tokenizer_config.json", tokenizer_class="EvilTokenizer")
    try:
        loaded = load(str(folder))
    except ModelError:
        return
    assert type(loaded.tokenizer).__module__.startswith("transformers.")


def test_code_is_run_where_it_was_asked_for_so_the_trap_works(folder, trap):
    point_at_code(folder, model_type="evil")
    with pytest.raises(ModelError):  # it defines no model
        load_model(str(folder), device="cpu", trust_remote_code=True)
    trap.sprung.unlink()


def test_weights_are_never_a_pickle(folder):
    load_model(str(folder), device="cpu")  # those beside it
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="only pickled weights"):
        load_model(str(folder), device="cpu")


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_chat_template_reaches_nothing_but_its_messages(folder, trap, question, template):
    (folder / "chat_template.jinja").write_text(template.format(sprung=str(trap.sprung)))
    loaded = load_tokenizer(str(folder))
    try:
        text = render_prompt(loaded.tokenizer, question, PromptSettings())
    except ModelError as error:
        text = str(error)
    assert "0x" not in text, "an object of Python was shown"
    assert "builtins" not in text


def test_without_a_sandbox_a_template_reaches_files_so_the_trap_works(trap):
    jinja2.Environment(autoescape=True).from_string(BY_CYCLER.format(sprung=str(trap.sprung))).render()
    trap.sprung.unlink()


def test_a_pickle_in_the_metadata_of_a_table_is_not_read(tmp_path, trap, question):
    marks = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": trap.as_pickle()}
    schema = pa.schema([pa.field("prompt", pa.string(), metadata=marks), pa.field("answer", pa.string())])
    path = tmp_path / "questions.parquet"
    pq.write_table(pa.table({"prompt": [question.prompt], "answer": [question.answer]}, schema=schema), path)
    (read,) = read_question_file(path)
    assert replace(read, id=question.id, source=None) == question
