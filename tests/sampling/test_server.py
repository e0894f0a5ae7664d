"""What goes to a server and what comes back, against a server in a thread that can be told to misbehave."""

import contextlib
import json
import shutil
import sys
import threading
import time
import traceback
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from raml.errors import DataError, MissingExtra, ModelError
from raml.interchange.record import decode_record, encode_record
from raml.models import find_source, load_tokenizer
from raml.prompts import encode_text
from raml.records import PromptSettings, SamplingSettings, hash_key
from raml.sampling import VLLM, ServerOptions, connect_server, plan_samples, stream_from_server
from raml.sampling.dialect import Dialect, read_reply, write_request
from raml.tiny import make_questions

PROMPT = PromptSettings()
SETTINGS = SamplingSettings(max_new_tokens=50)
TEXT = "<think>\n3+4=7 so 7\n</think>\n\n**Final Answer**\n\\boxed{7}"


@pytest.fixture(scope="module")
def served():
    return load_tokenizer("tiny")


@pytest.fixture(scope="module")
def questions():
    return make_questions(4, split="test", seed=5)


class FakeServer:
    """Answers as vLLM does, unless `misbehave` gives another answer.

    That is status, headers and body; None to hang up; or a function that gets the handler and writes by itself.
    """

    def __init__(self, loaded):
        self.ids = [*encode_text(loaded.tokenizer, TEXT), loaded.stop_ids[0]]
        self.bodies, self.headers = [], []
        self.models = [{"id": "served", "owned_by": "vllm"}]
        self.n_now = self.n_most = 0
        self.misbehave = lambda body, n_before: (200, {}, self.answer(body))

    def answer(self, body, **changes):
        choice = {"index": 0, "finish_reason": "stop"}
        if "messages" in body:
            choice["message"] = {"role": "assistant", "content": TEXT}
        else:
            choice["text"] = TEXT
        if body.get("return_token_ids"):
            choice["token_ids"] = self.ids
        if body.get("logprobs"):
            choice["logprobs"] = {"token_logprobs": [-0.5] * len(self.ids)}
        return json.dumps({"choices": [choice | changes]})

    def refuse(self, *fields):
        """Behave as a server that refuses some fields."""

        def misbehave(body, _):
            unknown = sorted(set(body) & set(fields))
            if unknown:
                return 422, {}, json.dumps({"detail": f"Unexpected fields {unknown}"})
            if isinstance(body.get("prompt"), list) and "ids" in fields:
                return 400, {}, json.dumps({"error": {"message": "prompt must be a string"}})
            return 200, {}, self.answer(body)

        self.misbehave = misbehave

    def asked(self):
        """Bodies after those that asked for one token, to find out how to ask."""
        return [body for body in self.bodies if body["max_tokens"] > 1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send(200, {}, json.dumps({"object": "list", "data": self.server.fake.models}))

    def do_POST(self):
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fake.n_now += 1
        fake.n_most = max(fake.n_most, fake.n_now)
        n_before = fake.bodies.count(body)
        fake.bodies.append(body)
        fake.headers.append({name.lower(): value for name, value in self.headers.items()})
        try:
            answer = fake.misbehave(body, n_before)
        finally:
            fake.n_now -= 1
        if answer is None:
            self.close_connection = True
            return
        with contextlib.suppress(OSError):  # the client has gone
            answer(self) if callable(answer) else self.send(*answer)

    def send(self, status, headers, text):
        content = text.encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def fake(served):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.fake = FakeServer(served)
    server.fake.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server.fake
    server.shutdown()
    server.server_close()
    thread.join()


def connect(fake, served, questions, settings=SETTINGS, prompt=PROMPT, **options):
    asked = ServerOptions(fake.url, **{"n_tries": 2, "concurrency": 4} | options)
    return connect_server(served, questions, asked, prompt=prompt, settings=settings)


def ask(fake, served, questions, n=1, settings=SETTINGS, prompt=PROMPT, done=(), **options):
    """Responses in the plan's order, and the faults."""
    server = connect(fake, served, questions, settings, prompt, **options)
    units = plan_samples(served, questions, n, prompt=prompt, settings=settings, engine=server.key())
    faults = []
    stream = stream_from_server(
        server, served, units, settings=settings, done=done, on_fault=lambda unit, reason: faults.append((unit, reason))
    )
    rank = {unit.id: i for i, unit in enumerate(units)}
    return sorted(stream, key=lambda t: rank[t.id]), faults


def test_a_tokenizer_alone_is_the_same_model_as_the_loaded_one(served, tiny, tmp_path):
    assert (served.stop_ids, served.context_len, served.stored_dtype) == (tiny.stop_ids, 1024, "float32")
    assert served.identity == replace(tiny.identity, dtype="auto", device="served")
    folder = shutil.copytree(find_source("tiny"), tmp_path / "bare", ignore=shutil.ignore_patterns("*.safetensors"))
    bare = load_tokenizer(str(folder))
    assert bare.identity == replace(served.identity, name=str(folder), weights_sha256=None)
    (folder / "generation_config.json").unlink()
    assert load_tokenizer(str(folder)).stop_ids == served.stop_ids
    with pytest.raises(ModelError, match="has no weights"):
        load_tokenizer(str(folder), fetch_weights=True)
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_tokenizer(str(folder))


def test_a_servers_response_keeps_its_id_when_the_weights_come_to_this_machine(served, questions, tmp_path):
    bare = shutil.copytree(find_source("tiny"), tmp_path / "tiny", ignore=shutil.ignore_patterns("*.safetensors"))
    other = shutil.copytree(bare, tmp_path / "other")
    config = json.loads((bare / "config.json").read_text())

    def list_ids(folder, name="served"):
        loaded = load_tokenizer(str(folder))
        units = plan_samples(loaded, questions, 1, prompt=PROMPT, settings=SETTINGS, engine=("server", name))
        return loaded.identity.weights_sha256, {unit.id for unit in units}

    no_weights, before = list_ids(bare)
    assert not before & list_ids(bare, "another")[1]
    assert not before & list_ids(other)[1]
    shutil.copytree(find_source("tiny"), bare, dirs_exist_ok=True)
    weights, after = list_ids(bare)
    assert (no_weights, weights) == (None, served.identity.weights_sha256)
    assert after == before
    (bare / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    assert not before & list_ids(bare)[1]


@pytest.mark.parametrize("engine", [(), VLLM])
def test_the_id_of_a_response_made_here_hashes_the_weights(served, questions, engine):
    (unit,) = plan_samples(served, questions[:1], 1, prompt=PROMPT, settings=SETTINGS, engine=engine)
    identity, question = served.identity, questions[0]
    key = hash_key(identity.weights_sha256, identity.config_sha256, identity.dtype)
    parts = (unit.prompt, SETTINGS, unit.prompt_ids, served.stop_ids, question.id, question.gold_key(), 0)
    assert unit.id == hash_key("sample", *engine, key, *parts)


def test_the_prompt_goes_as_ids_and_every_setting_is_stated(fake, served, questions):
    made, faults = ask(fake, served, questions, n=2)
    assert (len(made), faults) == (8, [])
    by_prompt = {tuple(body["prompt"]) for body in fake.asked()}
    assert by_prompt == {t.prompt_ids for t in made}
    for body in fake.asked():
        kept = {name: body[name] for name in ("model", "temperature", "top_p", "top_k", "min_p", "max_tokens")}
        assert kept == {
            "model": "served",
            "temperature": 0.6,
            "top_p": 0.95,
            "top_k": 40,
            "min_p": 0.0,
            "max_tokens": 50,
        }
        assert (body["repetition_penalty"], body["skip_special_tokens"]) == (1.0, False)
        assert body["stop_token_ids"] == served.stop_ids


def test_what_is_done_is_not_asked_for_again(fake, served, questions):
    made, _ = ask(fake, served, questions)
    fake.bodies.clear()
    assert ask(fake, served, questions, done={t.id for t in made}) == ([], [])
    assert fake.asked() == []


def test_a_fault_of_this_side_is_not_taken_for_the_servers(fake, served, questions, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    server = connect(fake, served, questions)
    units = plan_samples(served, questions, 1, prompt=PROMPT, settings=SETTINGS, engine=server.key())
    monkeypatch.setattr("raml.sampling.server.write_request", fail)
    with pytest.raises(ExceptionGroup) as info:
        list(stream_from_server(server, served, units, settings=SETTINGS))
    assert isinstance(info.value.exceptions[0], ZeroDivisionError)


def test_each_response_has_a_seed_of_its_own_that_is_the_same_next_time(fake, served, questions):
    ask(fake, served, questions, n=3)
    first = {(tuple(body["prompt"]), body["seed"]) for body in fake.asked()}
    assert len({seed for _, seed in first}) == 12
    assert all(0 <= seed < 2**31 for _, seed in first)
    fake.bodies.clear()
    ask(fake, served, questions[::-1], n=3)
    assert {(tuple(body["prompt"]), body["seed"]) for body in fake.asked()} == first
    fake.bodies.clear()
    ask(fake, served, questions, n=3, settings=replace(SETTINGS, seed=1))
    assert not {body["seed"] for body in fake.asked()} & {seed for _, seed in first}


def test_token_ids_and_log_probabilities_of_the_server_are_kept_and_the_end_mark_is_not(fake, served, questions):
    made, _ = ask(fake, served, questions[:1])
    assert list(made[0].token_ids) == fake.ids[:-1]
    assert made[0].text == TEXT
    assert made[0].logprobs == (-0.5,) * len(made[0].token_ids)
    assert (made[0].engine, made[0].finish, made[0].answer) == ("server", "stop", "7")
    assert made[0].model == served.identity


def test_log_probabilities_that_may_be_those_after_filtering_are_not_kept(fake, served, questions):
    fake.models = [{"id": "served", "owned_by": "sglang"}]
    assert ask(fake, served, questions[:1])[0][0].logprobs is None
    plain = replace(SETTINGS, temperature=1.0, top_p=1.0, top_k=0)
    assert ask(fake, served, questions[:1], settings=plain)[0][0].logprobs is not None


def answer_of(fake, **choice):
    return lambda body, _: (200, {}, fake.answer(body, **choice) if body["max_tokens"] > 1 else fake.answer(body))


@pytest.mark.parametrize(
    ("given", "kept"),
    [(1e-3, 0.0), (1e-9, 0.0), (0.0, 0.0), (-9999.0, -9999.0), (2e-3, None), (1.0, None), (None, None)],
)
def test_log_probabilities_that_no_probability_has_are_not_kept(fake, served, questions, given, kept):
    n = len(fake.ids) - 1
    fake.misbehave = answer_of(fake, logprobs={"token_logprobs": [given] + [-0.5] * n})
    (made,), _ = ask(fake, served, questions[:1])
    assert made.logprobs == (None if kept is None else (kept, *[-0.5] * (n - 1)))
    if kept is not None:
        assert decode_record(encode_record(questions[0], made), "here")[1] == made


@pytest.mark.parametrize(("n", "fits"), [(49, True), (50, True), (51, False), (300, False)])
def test_more_token_ids_than_asked_for_are_no_response(fake, served, questions, n, fits):
    fake.misbehave = answer_of(fake, token_ids=[fake.ids[0]] * n, finish_reason="length")
    made, faults = ask(fake, served, questions[:1])
    assert [len(t.token_ids) for t in made] == [n] * fits
    assert [reason for _, reason in faults] == [f"its answer has {n} tokens, where 50 were asked for"] * (not fits)


@pytest.mark.parametrize(("n", "fits"), [(50, True), (72, True), (73, False), (4000, False)])
def test_a_text_may_be_a_little_longer_here_because_it_is_split_anew(fake, served, questions, n, fits):
    """50 tokens, an eighth of that and 16 more are 72."""
    assert len(encode_text(served.tokenizer, "7" * n)) == n
    fake.misbehave = answer_of(fake, token_ids=None, text="7" * n, finish_reason="length")
    made, faults = ask(fake, served, questions[:1])
    assert [len(t.token_ids) for t in made] == [n] * fits
    assert [reason for _, reason in faults] == [f"its answer has {n:,} tokens, where 50 were asked for"] * (not fits)


def test_a_text_that_the_models_context_does_not_hold_is_no_response(fake, served, questions):
    room = served.context_len - len(
        plan_samples(served, questions[:1], 1, prompt=PROMPT, settings=SETTINGS)[0].prompt_ids
    )
    for n, n_faults in ((room, 0), (room + 1, 1)):
        fake.misbehave = answer_of(fake, token_ids=None, text="7" * n, finish_reason="length")
        _, faults = ask(fake, served, questions[:1], settings=replace(SETTINGS, max_new_tokens=room))
        assert len(faults) == n_faults


def test_a_server_that_refuses_ids_gets_the_text_that_becomes_the_same_ids(fake, served, questions):
    fake.refuse("ids")
    made, _ = ask(fake, served, questions)
    assert [encode_text(served.tokenizer, body["prompt"]) for body in fake.asked()] != []
    assert {encode_text(served.tokenizer, body["prompt"]) for body in fake.asked()} == {t.prompt_ids for t in made}
    with_ids = plan_samples(served, questions, 1, prompt=PROMPT, settings=SETTINGS, engine=("server", "ids"))
    assert not {unit.id for unit in with_ids} & {t.id for t in made}


def test_text_alone_is_split_here_without_the_end_mark_and_has_no_log_probabilities(fake, served, questions):
    fake.refuse("return_token_ids")
    fake.misbehave, refuse = lambda body, n: _with_mark(refuse(body, n)), fake.misbehave
    plain = replace(SETTINGS, top_k=0)
    (made,), _ = ask(fake, served, questions[:1], settings=plain)
    assert (made.text, list(made.token_ids), made.logprobs) == (TEXT, fake.ids[:-1], None)


def _with_mark(answer):
    status, headers, text = answer
    return status, headers, text.replace('boxed{7}"', 'boxed{7}<|im_end|>"')


def test_a_server_of_openais_fields_alone_needs_settings_that_they_can_say(fake, served, questions):
    fake.refuse("top_k", "generation_config")
    with pytest.raises(ModelError, match=r"takes neither top_k nor min_p .*'top_k'.* Sample with --top-k 0 --min-p 0"):
        connect(fake, served, questions)
    for settings in (replace(SETTINGS, top_k=0), replace(SETTINGS, temperature=0.0)):
        fake.bodies.clear()
        assert connect(fake, served, questions, settings).dialect == Dialect("ids", "plain")
        assert fake.bodies[-1].keys() == {"model", "prompt", "max_tokens", "temperature", "top_p", "seed"}


def test_the_beginning_mark_is_left_out_of_a_text_where_the_server_adds_it(served, questions):
    class Llama:
        """A tokenizer that begins each text with a mark of its own; characters are tokens."""

        bos_token, chat_template = "^", "mark"

        def __call__(self, text, add_special_tokens=True):
            return {"input_ids": [ord(c) for c in (self.bos_token if add_special_tokens else "") + text]}

        def apply_chat_template(self, messages, **_):
            return "^" + messages[0]["content"]

    llama = replace(served, tokenizer=Llama())
    (unit,) = plan_samples(llama, questions[:1], 1, prompt=PROMPT, settings=SETTINGS)
    assert unit.prompt_ids[:2] == (ord("^"), ord(questions[0].prompt[0]))
    text = write_request(Dialect("text", "extended"), llama, unit, SETTINGS)["prompt"]
    assert text.startswith(questions[0].prompt)
    assert tuple(llama.tokenizer(text)["input_ids"]) == unit.prompt_ids


def test_a_server_that_counts_another_prompt_is_told_of(fake, served, questions):
    assert connect(fake, served, questions).note is None
    fake.misbehave = lambda body, _: (
        200,
        {},
        json.dumps(json.loads(fake.answer(body)) | {"usage": {"prompt_tokens": 999}}),
    )
    assert "the server counts 999 tokens in a prompt that has" in connect(fake, served, questions).note


def test_chat_sends_messages_and_puts_the_reasoning_back(fake, served, questions):
    message = {"content": "\n\n**Final Answer**\n\\boxed{7}", "reasoning_content": "\n3+4=7 so 7\n"}
    fake.misbehave = lambda body, _: (200, {}, fake.answer(body, message=message, token_ids=None))
    (made,), _ = ask(fake, served, questions[:1], api="chat", prompt=PromptSettings(mode="nothink"))
    assert made.text == TEXT
    (body,) = fake.asked()
    assert body["messages"][0]["content"].startswith(questions[0].prompt)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert "prompt" not in body


@pytest.mark.parametrize(
    ("message", "finish", "text"),
    [
        ({"content": "b"}, "stop", "b"),
        ({"content": None}, "length", ""),
        ({"content": "b", "reasoning": "a"}, "stop", "<think>\na\n</think>\n\nb"),
        ({"content": "", "reasoning_content": "a"}, "length", "<think>\na"),
        ({"content": "", "reasoning_content": "a"}, "stop", "<think>\na\n</think>\n\n"),
    ],
)
def test_reasoning_stands_in_front_of_the_answer(message, finish, text):
    body = {"choices": [{"message": message, "finish_reason": finish}]}
    assert read_reply(json.dumps(body).encode()).text == text


def test_words_can_not_be_put_into_a_models_mouth_by_chat(fake, served, questions):
    without = replace(served, tokenizer=load_tokenizer("tiny").tokenizer)
    without.tokenizer.chat_template = "{{ messages[0].content }}"
    with pytest.raises(DataError, match="no switch for --mode nothink"):
        connect(fake, without, questions, api="chat", prompt=PromptSettings(mode="nothink"))


def test_a_wait_that_the_server_asks_for_an_error_and_a_dropped_connection_are_tried_again(fake, served, questions):
    first = {
        questions[0].id: (429, {"Retry-After": "1.2"}, "{}"),
        questions[1].id: (500, {}, "no"),
        questions[2].id: None,
    }
    prompts = {}
    for unit in plan_samples(served, questions, 1, prompt=PROMPT, settings=SETTINGS):
        prompts[unit.prompt_ids] = unit.question.id

    def misbehave(body, n_before):
        name = prompts[tuple(body["prompt"])]
        if body["max_tokens"] == 1 or n_before or name not in first:
            return 200, {}, fake.answer(body)
        return first[name]

    fake.misbehave = misbehave
    started = time.monotonic()
    made, faults = ask(fake, served, questions)
    assert time.monotonic() - started > 1.2
    assert ([t.question_id for t in made], faults) == ([q.id for q in questions], [])
    assert len(fake.asked()) == 7


def only_for(fake, question, served, answer):
    """Misbehave for one question, and say how often it was asked."""
    (unit,) = plan_samples(served, [question], 1, prompt=PROMPT, settings=SETTINGS)

    def misbehave(body, _):
        if body["max_tokens"] > 1 and tuple(body["prompt"]) == unit.prompt_ids:
            return answer(body) if callable(answer) else answer
        return 200, {}, fake.answer(body)

    fake.misbehave = misbehave


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((400, {}, '{"error": {"message": "the context is too long"}}'), "400: the context is too long"),
        ((413, {}, '{"detail": "too much"}'), "413: too much"),
        ((500, {}, '{"detail": "out of memory"}'), "failed in 1 try (500: out of memory)"),
        ((200, {}, '{"choices": [{"te'), "no completion"),
        ((200, {"Content-Type": "text/html"}, "<html>Welcome</html>"), "no completion"),
        ((200, {}, "[" * 100_000), "no completion"),
        ((200, {}, '{"choices": []}'), "no choices"),
        ((200, {}, '{"choices": [{"finish_reason": "stop"}]}'), "no text"),
        ((200, {}, '{"choices": [{"finish_reason": "abort", "text": "x"}]}'), "'abort'"),
        ((200, {}, '{"choices": [{"finish_reason": "stop", "text": "x", "token_ids": [99999]}]}'), "not those of tiny"),
        ((200, {}, json.dumps({"choices": [{"finish_reason": "stop", "text": "7 " * 10_000_000}]})), "characters"),
    ],
)
def test_what_one_question_can_not_have_the_others_get(fake, served, questions, answer, reason):
    only_for(fake, questions[1], served, answer)
    made, faults = ask(fake, served, questions, n_tries=1)
    assert [t.question_id for t in made] == [questions[i].id for i in (0, 2, 3)]
    ((unit, said),) = faults
    assert unit.question == questions[1]
    assert reason in said
    fake.misbehave = lambda body, _: (200, {}, fake.answer(body))
    (again,), _ = ask(fake, served, questions, done={t.id for t in made})
    assert again.id == unit.id


def test_a_slow_answer_is_given_up_and_the_others_are_not(fake, served, questions):
    only_for(fake, questions[1], served, lambda body: time.sleep(1.5) or (200, {}, fake.answer(body)))
    made, ((_, reason),) = ask(fake, served, questions, n_tries=1, request_timeout_s=0.5)
    assert len(made) == 3
    assert "no answer within 0.5 s in 1 try" in reason


def drip(handler):
    """Answer with a blank now and then, so that no single read takes long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "400")
    handler.end_headers()
    for _ in range(400):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.05)


def test_a_server_that_drips_has_no_more_time_than_another(fake, served, questions):
    only_for(fake, questions[1], served, lambda body: drip)
    started = time.monotonic()
    made, ((_, reason),) = ask(fake, served, questions, n_tries=2, request_timeout_s=0.5)
    assert len(made) == 3
    assert "no answer within 0.5 s in 2 tries" in reason
    fake.misbehave = lambda *_: drip
    with pytest.raises(ModelError, match=r"no answer within 0.5 s in 1 try"):
        connect(fake, served, questions, n_tries=1, request_timeout_s=0.5)
    assert time.monotonic() - started < 6


def test_a_server_that_fails_again_and_again_is_given_up(fake, served, questions):
    fake.misbehave = lambda body, _: (200, {}, fake.answer(body)) if body["max_tokens"] == 1 else (503, {}, "busy")
    with pytest.raises(
        ModelError, match=r"failed in 2 tries \(503: busy\)\. The 0 responses that came are kept"
    ) as info:
        ask(fake, served, questions)
    assert fake.url in str(info.value)
    assert len(fake.asked()) <= 8


def test_a_wrong_key_is_an_error_that_does_not_repeat_it(fake, served, questions, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("RAML_API_KEY", "sk-secret-1")
    assert ask(fake, served, questions[:1])[0]
    assert {headers["authorization"] for headers in fake.headers} == {"Bearer sk-secret-1"}
    fake.misbehave = lambda *_: (401, {}, '{"error": {"message": "Incorrect API key: sk-secret-1"}}')
    with pytest.raises(ModelError, match=r"refuses the key .*Incorrect API key: \[key\].*RAML_API_KEY") as info:
        connect(fake, served, questions)
    assert "secret" not in "".join(traceback.format_exception(info.value))


def test_a_key_comes_without_the_line_break_of_its_file(fake, served, questions, monkeypatch):
    monkeypatch.setenv("RAML_API_KEY", " \n")
    monkeypatch.setenv("OPENAI_API_KEY", " sk-secret-1\r\n")
    assert ask(fake, served, questions[:1])[0]
    assert {headers["authorization"] for headers in fake.headers} == {"Bearer sk-secret-1"}


@pytest.mark.parametrize("key", ["sk-secret\n-1", "sk-secret-\u00e9", "sk-secret-\udcff", "sk-secret\x1b-1"])
def test_a_key_that_no_request_can_hold_is_refused_and_not_shown(fake, served, questions, monkeypatch, key):
    monkeypatch.setenv("RAML_API_KEY", key)
    with pytest.raises(DataError, match="The key in RAML_API_KEY has a character") as info:
        connect(fake, served, questions)
    assert "secret" not in "".join(traceback.format_exception(info.value))
    assert fake.headers == []


def test_a_key_with_blanks_in_it_is_taken_out_of_what_the_server_says(fake, served, questions, monkeypatch):
    monkeypatch.setenv("RAML_API_KEY", "sk-my  secret")
    fake.misbehave = lambda *_: (401, {}, '{"error": {"message": "No key:\\nsk-my  secret"}}')
    with pytest.raises(ModelError, match=r"No key: \[key\]"):
        connect(fake, served, questions)


def test_the_served_name_is_found_or_asked_for(fake, served, questions):
    assert connect(fake, served, questions).name == "served"
    fake.models = [{"id": "b"}, {"id": "a"}]
    with pytest.raises(ModelError, match=r"lists 2 models \(a, b\)\. Say by --served-name"):
        connect(fake, served, questions)
    fake.models = []
    with pytest.raises(ModelError, match="lists no model"):
        connect(fake, served, questions)
    assert connect(fake, served, questions, served_name="c").name == "c"
    fake.misbehave = lambda *_: (404, {}, '{"error": {"message": "no model c"}}')
    with pytest.raises(ModelError, match="404: no model c"):
        connect(fake, served, questions, served_name="c")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://user:pass@localhost/v1", "holds a user name, password"),
        ("http://localhost/v1?api_key=pass", "holds a user name, password or query"),
        ("ftp://localhost", "no address of a server"),
        ("http://", "no address of a server"),
        ("http://localhost:pass/v1", "no address of a server"),
        (f"http://{'a' * 64}.com/v1", "no address of a server"),
        ("http://a..b/v1", "no address of a server"),
        ("http://\u2603.com/v1", "no address of a server"),
        ("http://localhost/v1\n", "no address of a server"),
    ],
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused(served, questions, url, message):
    with pytest.raises(DataError, match=message) as info:
        connect_server(served, questions, ServerOptions(url), prompt=PROMPT, settings=SETTINGS)
    assert "user:pass" not in str(info.value)
    assert "=pass" not in str(info.value)


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"n_tries": 0}, {"request_timeout_s": 0.0}])
def test_options_out_of_range_are_refused(fake, served, questions, options):
    with pytest.raises(DataError, match="it must be"):
        connect(fake, served, questions, **options)


def test_no_more_requests_are_under_way_than_allowed(fake, served, questions):
    fake.misbehave = lambda body, _: time.sleep(0.05) or (200, {}, fake.answer(body))
    ask(fake, served, questions, n=5, concurrency=3)
    assert fake.n_most == 3


def test_leaving_early_ends_the_requests_at_once(fake, served, questions):
    over = threading.Event()
    fake.misbehave = lambda body, _: (body["max_tokens"] > 1 and over.wait(20), (200, {}, fake.answer(body)))[1]
    server = connect(fake, served, questions)
    units = plan_samples(served, questions, 3, prompt=PROMPT, settings=SETTINGS, engine=server.key())
    only_for(fake, questions[1], served, lambda body: over.wait(20) and (200, {}, fake.answer(body)))
    stream = stream_from_server(server, served, units, settings=SETTINGS)
    next(stream)
    started = time.monotonic()
    stream.close()
    assert time.monotonic() - started < 5
    over.set()


def test_without_the_package_the_extra_is_named(served, questions, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"raml\[server\]"):
        connect_server(served, questions, ServerOptions("http://localhost:1/v1"), prompt=PROMPT, settings=SETTINGS)
