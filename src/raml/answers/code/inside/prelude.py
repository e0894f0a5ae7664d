"""The names that programs find without importing them, as on the sites whose problems they solve."""

from __future__ import annotations

import builtins
import importlib
import site
import sys
from typing import Any

RECURSION_LIMIT = 50_000
_MODULES = (
    "bisect",
    "collections",
    "copy",
    "datetime",
    "decimal",
    "fractions",
    "functools",
    "heapq",
    "io",
    "itertools",
    "json",
    "math",
    "operator",
    "os",
    "queue",
    "random",
    "re",
    "statistics",
    "string",
    "sys",
    "time",
    "typing",
)
_STARRED = (
    "typing",
    "collections",
    "functools",
    "itertools",
    "operator",
    "bisect",
    "heapq",
    "math",
    "string",
    "random",
)
"""Later ones win."""


def load_prelude() -> dict[str, Any]:
    """Import the modules and return their names, and all public names of some of them that hide no built-in one."""
    names: dict[str, Any] = {}
    for module_name in _STARRED:
        module = importlib.import_module(module_name)
        public = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        names |= {name: getattr(module, name) for name in public if not hasattr(builtins, name)}
    names |= {name: importlib.import_module(name) for name in _MODULES}
    for name, class_ in (("datetime", "datetime"), ("datetime", "timedelta"), ("decimal", "Decimal")):
        names.setdefault(class_, getattr(names[name], class_))
    names["Fraction"] = names["fractions"].Fraction
    names["deepcopy"] = names["copy"].deepcopy
    site.setquit()  # exit() and quit(), which an interpreter without site-packages lacks
    sys.setrecursionlimit(RECURSION_LIMIT)
    sys.set_int_max_str_digits(0)  # long integers are printed in contests; the CPU time is limited anyway
    return names
