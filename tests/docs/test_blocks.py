"""What the documentation tells people to type is understood, also where it can't be run here."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from cyclopts.config import Toml

from raml.cli import app
from raml.configs import find_config, list_configs
from tests.docs.reading import PAGES, ROOT, read_blocks

LANGUAGES = {"sh", "python", "json", "toml", "text"}
BLOCKS = [block for page in PAGES for block in read_blocks(page)]
COMMANDS = [
    pytest.param(command, id=f"{block.name}: {command}")
    for block in BLOCKS
    if block.language == "sh"
    for command in block.commands
]


def test_each_block_says_what_it_is():
    assert {block.name: block.language for block in BLOCKS if block.language not in LANGUAGES} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_fence_is_closed(page):
    text = page.read_text(encoding="utf-8")
    outside = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert not re.search(r"^\s*```", outside, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_in_the_documentation_is_understood(command, monkeypatch):
    words = shlex.split(command)
    if words[0] == "accelerate":  # launches a command of ours, with a file of ours
        (name,) = re.findall(r"^\$\(python -m raml\.configs (\S+)\)$", words[words.index("--config_file") + 1])
        assert name in list_configs(".yaml")
        words = words[words.index("-m") + 1 :]
    if words[0] == "raml":
        if words[1] == "--config":
            config = find_config(Path(words[2]), ".toml")
            assert config.is_file()
            monkeypatch.setattr(app, "config", (Toml(config),))
            words = ["raml", *words[3:]]
        chosen, bound, unused, *_ = app.parse_known_args(words[1:])
        assert unused == []
        assert chosen.__name__.removesuffix("_file") == words[2 if words[1] == "train" else 1]
        assert bound.arguments
    elif words[0] == "ray":
        from ray.scripts.scripts import cli

        assert cli.commands[words[1]].make_context(words[1], words[2:]).args == []
        (cluster,) = (word for word in words if word.endswith(".yaml"))
        assert (ROOT / cluster).is_file()
    else:
        assert words[0] == "make"
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


READERS = {"json": json.loads, "toml": tomllib.loads, "python": lambda text: compile(text, "page", "exec")}


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language in READERS], ids=lambda block: block.name
)
def test_each_block_of_data_or_code_can_be_read(block):
    assert READERS[block.language](block.text)


def test_the_example_of_a_cluster_is_what_ray_takes():
    import jsonschema
    import ray.autoscaler
    import yaml

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    cluster = yaml.safe_load((ROOT / "examples" / "cluster.yaml").read_text())
    jsonschema.validate(cluster, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster | {"max_workers": "many"}, schema)
