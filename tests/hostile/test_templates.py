"""Chat templates that reach for Python, or for all the time and memory there is."""

import pytest

from raml.inputs import template
from tests.hostile.harness import Case, check, endless, fifo, folder, loop, mark

SAMPLE = "sample tiny run --n 1 --max-new-tokens 5 --threads 1 --chat-template bad.jinja"
TEMPLATES = {
    "the classes of Python": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "failed"),
    "a module by a global": ("{{ cycler.__init__.__globals__.os.mkdir('exploded') }}", "failed"),
    "a module by a macro": ("{{ joiner.__init__.__globals__['os'].mkdir('exploded') }}", "failed"),
    "a module by a filter": ("{{ (self|attr('__init__'))|attr('__globals__') }}", "writes nothing"),
    "a module by a format": ("{{ '{0.__class__.__init__.__globals__}'.format(cycler) }}", "failed"),
    "an import": ("{% import 'os' as os %}{{ os.mkdir('exploded') }}", "failed"),
    "a file": ("{% include '/etc/passwd' %}", "failed"),
    "a change of the messages": ("{% do messages.append(1) %}", "failed"),
    "a change of the messages in words": ("{{ messages.append(1) }}", "failed"),
    "ten billion numbers": ("{{ range(10**10) }}", "computes a power"),
    "ten billion numbers written out": ("{% for i in range(10000000000) %}x{% endfor %}", "Range too big"),
    "a power": ("{{ 9 ** 9 ** 9 }}", "computes a power"),
    "loops in loops": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "runs for more than",
    ),
    "itself": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "failed"),
    "a text of ten billion": ("{{ 'x' * 10000000000 }}", "memory"),
    "a list of ten billion": ("{{ [0] * 10000000000 }}", "memory"),
    "a text that doubles": (
        "{% set n = namespace(t='xxxxxxxx') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}{{ n.t }}",
        ("memory", "runs for more than"),
    ),
    "a wide format": ("{{ '%99999999999d' | format(1) }}", "failed"),
    "blanks": ("{{ 'x' | center(10000000000) }}", "memory"),
    "a hundred million characters": (
        "{{ 'x' * 100000000 }}",
        ("wrote 100,000,000 characters", "wants more than", "runs for more than"),
    ),
    "an open tag": ("{% for m in messages %}", "failed"),
    "an unknown tag": ("{% frob %}", "failed"),
    "an unknown filter": ("{{ messages | frob }}", "failed"),
    "a missing name": ("{{ frob.x.y }}", "failed"),
    "its own refusal": ("{{ raise_exception('not\\nthis\\nway') }}", "not this way"),
    "nothing": ("", "has no chat template"),
    "100,000 brackets": ("{{ " + "[" * 100_000, "failed"),
    "100,000 parentheses": ("{{ " + "(" * 100_000 + "1" + ")" * 100_000 + " }}", "failed"),
}
FILES = {
    "no UTF-8": (b"\xff\xfe{{ messages }}", "can't be read"),
    "a pipe": (fifo, "can't be read: "),
    "a folder": (folder, "can't be read: "),
    "a link to itself": (loop, "can't be read: "),
    "endless": (endless, "can't be read: "),
}
CASES = [
    *(
        Case(f"a template with {what}", SAMPLE, said, {"run/.keep": b"", "bad.jinja": text})
        for what, (text, said) in TEMPLATES.items()
    ),
    *(
        Case(f"a template that is {what}", SAMPLE, said, {"run/.keep": b"", "bad.jinja": made})
        for what, (made, said) in FILES.items()
    ),
]


@pytest.mark.parametrize("case", mark(CASES))
def test_hostile_templates(case, place, capsys, monkeypatch):
    monkeypatch.setattr(template, "SECONDS", 1.0)
    monkeypatch.setattr(template, "ROOM", 1 << 28)
    place("run")
    check(case, capsys)
