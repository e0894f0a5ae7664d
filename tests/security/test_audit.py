"""The lock and the audit of it: what counts as pinned, as imported, and as checked."""

import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "recipes"))

import audit  # noqa: E402

FAULT = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
REPORT = {
    "dependencies": [
        {"name": "good", "version": "1.0", "vulns": []},
        {"name": "bad", "version": "1.0", "vulns": [FAULT]},
        {"name": "unheard-of", "version": "1.0", "skip_reason": "not found"},
    ]
}


def test_each_package_of_the_lock_is_pinned_and_nothing_else_is_imported():
    pins, faults = audit.read_lock((ROOT / "requirements.lock").read_text())
    assert faults == []
    assert len(pins) > 100
    optional = audit.find_unlocked_extras(tomllib.loads((ROOT / "pyproject.toml").read_text()), pins)
    assert optional <= {"vllm", "ray"}, "extras that the lock leaves out"
    sources = {path: path.read_text() for path in (ROOT / "src" / "raml").rglob("*.py")}
    assert audit.find_unlocked_imports(sources, pins, optional, packages_distributions()) == []


def test_what_is_no_exact_version_is_a_fault():
    lock = "# made by hand\nOne_Name==1.0\n    # via x\ntwo>=2\nthree==3.0 ; python_version < '3.12'\nfour @ https://host/f\n"
    pins, faults = audit.read_lock(lock)
    assert pins == {"one-name": "1.0", "three": "3.0"}
    assert [fault.split("'")[1] for fault in faults] == ["two>=2", "four @ https://host/f"]


def test_an_import_that_no_package_of_the_lock_brings_is_a_fault():
    source = {Path("a.py"): "import json, yaml.nodes\ndef f():\n    from PIL import Image\n    from . import b\n"}
    owners = {"yaml": ["PyYAML"], "PIL": ["Pillow"]}
    (fault,) = audit.find_unlocked_imports(source, {"pyyaml": "6.0"}, set(), owners)
    assert fault == "a.py imports PIL, which no package of requirements.lock brings."
    assert audit.find_unlocked_imports(source, {"pyyaml": "6.0"}, {"pillow"}, owners) == []


def test_known_faults_are_listed():
    lines, code = audit.explain_report({"dependencies": REPORT["dependencies"][:2]}, 2)
    assert (lines, code) == (["bad 1.0: PYSEC-1, mended in 1.1"], 1)


def test_all_sound_is_told_only_if_all_were_looked_up():
    assert audit.explain_report({"dependencies": REPORT["dependencies"][:1]}, 1) == (
        ["No fault is known of any of 1 packages."],
        0,
    )
    for report, n_told in ((None, 0), (REPORT, 2)):
        lines, code = audit.explain_report(report, 3)
        assert f"NOT CHECKED: the index told of known faults for {n_told} of 3 packages" in lines[-1]
        assert code == (2 if report is None else 1)
