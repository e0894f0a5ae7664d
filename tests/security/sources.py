"""What the package's own source calls and imports, read without running it; and a pickle that tells when it is run."""

import ast
import io
import pickle
from functools import cache
from pathlib import Path

import torch

import raml

ROOT = Path(raml.__file__).parent


@cache
def read_trees():
    """Syntax trees of all modules by their path in the package."""
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_bytes()) for path in sorted(ROOT.rglob("*.py"))}


@cache
def list_calls():
    """All calls: (path, called function as text, call)."""
    return [
        (path, ast.unparse(node.func), node)
        for path, tree in read_trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


def find_calls(names):
    """Calls of functions with one of these names, whatever they are called on."""
    return [entry for entry in list_calls() if entry[1].rpartition(".")[2] in names]


def find_keywords(name):
    """Values, as text, that calls give an argument of this name, by path."""
    return [
        (path, ast.unparse(keyword.value))
        for path, _, node in list_calls()
        for keyword in node.keywords
        if keyword.arg == name
    ]


def find_imports(packages):
    """What is imported of some packages: (path, package, name or None for the whole)."""
    found = set()
    for path, tree in read_trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {(path, alias.name.partition(".")[0], None) for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {(path, node.module.partition(".")[0], alias.name) for alias in node.names}
    return {entry for entry in found if entry[1] in packages}


class Trap:
    """A pickle of it makes a file when it is read by anything that runs pickles."""

    def __init__(self, sprung):
        self.sprung = sprung

    def __reduce__(self):
        return open, (str(self.sprung), "w")

    def as_pickle(self):
        return pickle.dumps(self)

    def as_torch_file(self):
        content = io.BytesIO()
        torch.save({"state": self, "weight": torch.zeros(2)}, content)
        return content.getvalue()
