"""Files of other tools that are not what they should be."""

import io
import json
import zipfile

import pytest

from tests.hostile.harness import Case, check, endless, fifo, folder, loop, mark

ASK = [{"role": "user", "content": "Calculate 3+4."}]
SAY = [{"role": "assistant", "content": "\\boxed{7}"}]
GOOD = {
    "plain": {"question": "Calculate 3+4.", "answer": "7", "trajectory": "\\boxed{7}"},
    "trl": {"prompt": ASK, "completion": SAY, "answer": "7"},
    "trl-preference": {"prompt": ASK, "chosen": SAY, "rejected": SAY, "answer": "7"},
    "trl-completions": {
        "step": 1,
        "prompt": "Calculate 3+4.",
        "completion": "\\boxed{7}",
        "answer": "7",
        "advantage": 0.0,
    },
    "verl": {"prompt": ASK, "reward_model": {"ground_truth": "7"}, "responses": ["\\boxed{7}"]},
    "verl-rollouts": {"input": "Calculate 3+4.", "output": "\\boxed{7}", "gts": "7"},
    "openai-chat": {"messages": [*ASK, *SAY], "answer": "7"},
    "verifiers": {"prompt": ASK, "completion": SAY, "answer": "7", "reward": 1.0},
    "rollouts": {"problem": "Calculate 3+4.", "answer": "7", "generations": ["\\boxed{7}"]},
}
FIRST = {
    "plain": ("question", "answer", "trajectory"),
    "trl": ("prompt", "completion"),
    "trl-preference": ("prompt", "chosen", "rejected"),
    "trl-completions": ("prompt", "completion"),
    "verl": ("prompt", "reward_model"),
    "verl-rollouts": ("input", "output"),
    "openai-chat": ("messages",),
    "verifiers": ("prompt", "completion"),
    "rollouts": ("problem", "generations"),
}
"""The columns that each needs."""
DEEP = "[" * 100_000


def command(format: str, file: str) -> str:
    return f"import {format} {file} run --model tiny"


def list_row_cases() -> list[Case]:
    cases = []
    for format, row in GOOD.items():
        for name in FIRST[format]:
            for what, value in {
                "missing": None,
                "a number": 7,
                "true": True,
                "an empty object": {},
                "a list of numbers": [1],
            }.items():
                if format == "plain" and what == "a number" and name != "trajectory":
                    continue  # which is read as text
                made = (
                    {key: one for key, one in row.items() if key != name} if what == "missing" else row | {name: value}
                )
                cases.append(
                    Case(
                        f"{format}: {name} is {what}",
                        command(format, "f.jsonl"),
                        "f.jsonl",
                        {"f.jsonl": json.dumps(made) + "\n"},
                    )
                )
        texts = {
            "no JSON": "{oops\n",
            "a list": "[]\n",
            "brackets": DEEP + "\n",
            "half a character": json.dumps(row).replace("Calculate", "\\ud800") + "\n",
            "no UTF-8": json.dumps(row).encode().replace(b"Calculate", b"\xff\xfe") + b"\n",
            "nothing": "",
        }
        if format not in ("plain", "trl-preference", "verl", "verifiers"):  # which keep it elsewhere
            texts["a damaged record"] = json.dumps(row | {"raml": "{oops"}) + "\n"
        cases += [
            Case(f"{format}: {what}", command(format, "f.jsonl"), "f.jsonl", {"f.jsonl": made})
            for what, made in texts.items()
        ]
        kinds = {"a pipe": fifo, "endless": endless, "a link to itself": loop, "a folder": folder}
        cases += [
            Case(f"{format}: a file that is {what}", command(format, "f.jsonl"), "f.jsonl", {"f.jsonl": made})
            for what, made in kinds.items()
        ]
    return cases


def list_chat_cases() -> list[Case]:
    chats = {
        "no messages": [],
        "a system message alone": [{"role": "system", "content": "x"}],
        "an assistant first": [*SAY, *ASK],
        "four turns": [*ASK, *SAY, *ASK, *SAY],
        "a tool's turn": [*ASK, {"role": "tool", "content": "x"}, *SAY],
        "a role that is a list": [{"role": ["user"], "content": "x"}, *SAY],
        "a role that is an object": [{"role": {}, "content": "x"}, *SAY],
        "content that is an object": [{"role": "user", "content": {"a": 1}}, *SAY],
        "a picture": [{"role": "user", "content": [{"type": "image_url", "image_url": "file:///etc/passwd"}]}, *SAY],
        "a part that is text": [{"role": "user", "content": ["x"]}, *SAY],
        "a part of numbers": [{"role": "user", "content": [{"type": "text", "text": 7}]}, *SAY],
        "a part whose type is a list": [{"role": "user", "content": [{"type": [], "text": "x"}]}, *SAY],
        "tool calls": [*ASK, {"role": "assistant", "content": "x", "tool_calls": [1]}],
        "reasoning that is a number": [*ASK, {"role": "assistant", "content": "x", "reasoning": 7}],
        "messages of null": [None, None],
    }
    return [
        Case(
            f"openai-chat: {what}",
            command("openai-chat", "f.jsonl"),
            "f.jsonl",
            {"f.jsonl": json.dumps({"messages": chat, "answer": "7"}) + "\n"},
        )
        for what, chat in chats.items()
    ]


def log(members: dict[str, bytes], **options: object) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def list_log_cases() -> list[Case]:
    whole = log({"header.json": b"{}"})
    logs = {
        "l.eval": {
            "empty": b"",
            "text": b"no zip",
            "without members": log({}),
            "of an empty header": log({"header.json": b"{}"}),
            "of brackets": log({"header.json": DEEP.encode()}),
            "that is a bomb": log({"header.json": b" " * 50_000_000}),
            "cut": whole[:-10],
            "with a lying size": whole.replace(b"header.json", b"header.jsom", 1),
            "with a member that climbs out": log({"../../evil.json": b"{}", "header.json": b"{}"}),
            "with NUL in a name": log({"a.json": b"{}"}).replace(b"a.json", b"a\0json"),
        },
        "l.json": {
            "empty": b"",
            "text": b"no JSON",
            "a list": b"[]",
            "an object": b"{}",
            "a number": b"7",
            "brackets": DEEP.encode(),
            "objects": b'{"a":' * 100_000,
            "no UTF-8": b"\xff\xfe",
            "numbers for fields": json.dumps({"version": 2, "status": 7, "eval": 7, "samples": 7}).encode(),
        },
        "l.txt": {"another ending": b""},
    }
    cases = [
        Case(f"inspect: a log {name} {what}", command("inspect", name), name, {name: made})
        for name, all_of in logs.items()
        for what, made in all_of.items()
    ]
    kinds = {"a pipe": fifo, "endless": endless, "a link to itself": loop, "a folder": folder}
    return cases + [
        Case(f"inspect: a log {name} that is {what}", command("inspect", name), name, {name: made})
        for name in ("l.eval", "l.json")
        for what, made in kinds.items()
    ]


CASES = [*list_row_cases(), *list_chat_cases(), *list_log_cases()]


@pytest.mark.parametrize("case", mark(CASES))
def test_hostile_imports(case, place, capsys):
    check(case, capsys)
