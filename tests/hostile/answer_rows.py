"""Answers of language models: of an endpoint, bodies that are no completions; of any engine, texts in a wrong form."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

from support.fake_llm import FakeLLM, Reply
from support.hostile_rows import Row

from curation.engines.endpoint.openai_endpoint import EndpointEngine, EndpointSettings
from curation.engines.engine_interface import Request
from curation.prompts.answer_flaws import flaw_of, sound_part
from curation.prompts.model_answers import spoken_answer
from curation.prompts.wording import tidy
from curation.text.claim_proposals import parse_proposal
from curation.text.summary_check import SummaryLimits, check_summary

MEGABYTE = 1 << 20
MANY = 100_000
CLAIM = '{"text": "a dog runs", "evidence": ["F1"]}'
GARBAGE = r"garbage: .{1,200}$"
REFUSED = r"http 400: .{1,1000}$"


def _asked(reply: Callable[[], Reply]) -> Callable[[Path], str]:
    """Ask an endpoint that gives this reply; one request must do."""

    def act(folder: Path) -> str:
        made = reply()
        with FakeLLM(lambda body: made) as server:
            settings = EndpointSettings(base_url=server.url, model="fake", backoff=0.01, timeout=60, retries=1)
            engine = EndpointEngine(settings)
            try:
                answer = asyncio.run(engine.generate([Request("k", system="", user="hello")]))["k"]
            finally:
                engine.close()
            assert len(server.requests) == 1
        answer.text.encode()
        assert not (answer.error and answer.text)
        return answer.error or f"read: {answer.text[:200]}"

    return act


def _completion(text: str = '"hello"', **usage: str) -> bytes:
    counts = ", ".join(f'"{name}": {value}' for name, value in usage.items())
    return f'{{"choices": [{{"message": {{"content": {text}}}}}], "usage": {{{counts}}}}}'.encode()


def _bomb(megabytes: int) -> bytes:
    """Return a completion of that size in gzip; it is never whole in memory."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    head, tail = _completion('"|"').split(b"|")
    parts = [packer.compress(head), *(packer.compress(b"0" * MEGABYTE) for _ in range(megabytes))]
    return b"".join([*parts, packer.compress(tail), packer.flush()])


def _raw(body: Callable[[], bytes], **headers: str) -> Callable[[Path], str]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return _asked(lambda: Reply(raw=body(), headers=named))


def _proposed(text: Callable[[], str], *, is_cut: bool = False) -> Callable[[Path], str]:
    """Read a text as the answer to the grounded prompt."""

    def act(folder: Path) -> str:
        proposal = parse_proposal(text(), 8, 200, is_cut=is_cut)
        if proposal is None:
            return "none"
        json.dumps([claim.text for claim in proposal.claims], ensure_ascii=False)
        assert len(proposal.claims) <= 8 and all(len(claim.text) <= 200 for claim in proposal.claims)
        return f"read: {len(proposal.claims)} claims{', abstains' * proposal.abstains}"

    return act


def _captioned(text: Callable[[], str]) -> Callable[[Path], str]:
    """Read a text as a caption."""

    def act(folder: Path) -> str:
        said = tidy(spoken_answer(text()))
        flaw = flaw_of(said)
        return flaw or f"read: {sound_part(said)[:200]}"

    return act


def _summarized(text: Callable[[], str]) -> Callable[[Path], str]:
    """Read a text as a summary of a sentence about dogs."""

    def act(folder: Path) -> str:
        limits = SummaryLimits(25, 0.5, "Summarize the speech in one sentence.")
        checked = check_summary(tidy(spoken_answer(text())), "the dogs run on the beach", limits, is_cut=False)
        return checked.flaw or f"read: {checked.text}"

    return act


def _claims(count: int) -> str:
    return f'{{"abstain": false, "claims": [{", ".join([CLAIM] * count)}]}}'


_ENDPOINT = [
    Row("a body of nested lists", _raw(lambda: b"[" * MEGABYTE), GARBAGE),
    Row("nested lists for a text", _raw(lambda: _completion("[" * MANY + "]" * MANY)), GARBAGE),
    Row("a body of nested objects", _raw(lambda: b'{"choices":' * MANY), GARBAGE),
    Row("infinite tokens", _raw(lambda: _completion(prompt_tokens="Infinity")), GARBAGE),
    Row("tokens that are no number", _raw(lambda: _completion(completion_tokens="NaN")), GARBAGE),
    Row("tokens below zero", _raw(lambda: _completion(completion_tokens="-1")), GARBAGE),
    Row("tokens of 4,000 digits", _raw(lambda: _completion(completion_tokens="9" * 4000)), GARBAGE),
    Row("tokens of 5,000 digits", _raw(lambda: _completion(completion_tokens="9" * 5000)), GARBAGE),
    Row("a number for a text", _raw(lambda: _completion("1e999")), GARBAGE),
    Row("no choices", _raw(lambda: b'{"choices": []}'), GARBAGE),
    Row("choices that are an object", _raw(lambda: b'{"choices": {"0": 1}}'), GARBAGE),
    Row("a choice that is a text", _raw(lambda: b'{"choices": ["hello"]}'), GARBAGE),
    Row("a message that is null", _raw(lambda: b'{"choices": [{"message": null}]}'), GARBAGE),
    Row("null", _raw(lambda: b"null"), GARBAGE),
    Row("no body", _raw(lambda: b""), GARBAGE),
    Row("a page of HTML", _raw(lambda: b"<html>busy</html>"), GARBAGE),
    Row("bytes that are no text", _raw(lambda: b"\xff\xfe\x00{"), GARBAGE),
    Row("20 MB", _raw(lambda: _completion(json.dumps("0" * 20 * MEGABYTE))), GARBAGE, megabytes=250),
    Row("300 MB in gzip", _raw(lambda: _bomb(300), Content_Encoding="gzip"), GARBAGE, seconds=10),
    Row("gzip in gzip", _raw(lambda: gzip.compress(gzip.compress(b"{}")), Content_Encoding="gzip, gzip"), GARBAGE),
    Row("brotli", _raw(lambda: b"\x1b\xff\xff", Content_Encoding="br"), GARBAGE),
    Row("a body that is not in gzip", _raw(lambda: b"{}", Content_Encoding="gzip"), GARBAGE),
    Row("gzip cut in half", _raw(lambda: gzip.compress(_completion())[:30], Content_Encoding="gzip"), GARBAGE),
    Row(
        "a charset that is a codec",
        _raw(lambda: zlib.compress(_completion()), Content_Type="application/json; charset=zlib"),
        GARBAGE,
    ),
    Row("half a character for a text", _raw(lambda: _completion('"a\\ud83d b"')), r"read: a\ufffd b"),
    Row("a text with an escape", _raw(lambda: _completion('"a\\u001b[2J"')), r"read: "),
    Row("an empty text", _asked(lambda: Reply("")), r"read: $|garbage: |refus"),
    Row(
        "a message that the context is too long",
        _asked(lambda: Reply(status=400, raw=b"[" * MANY)),
        REFUSED,
    ),
    Row(
        "an error with a message of a megabyte",
        _asked(lambda: Reply(status=400, raw=b"e" * MEGABYTE)),
        REFUSED,
    ),
]
"""Bodies of an endpoint."""

_ENGINE = [
    Row("a proposal of nothing", _proposed(str), r"none"),
    Row("a proposal of 100,000 braces", _proposed(lambda: "{" * MANY, is_cut=True), r"none"),
    Row("a proposal nested 100,000 deep", _proposed(lambda: '{"claims":[' * MANY, is_cut=True), r"none|read: 0"),
    Row("a proposal of drafts without an end", _proposed(lambda: '{"a":1,' * 20_000, is_cut=True), r"none"),
    Row("a proposal of open thoughts", _proposed(lambda: "<think>" * MANY + _claims(1)), r"none"),
    Row("a proposal of closed thoughts", _proposed(lambda: "</think>" * 10_000 + _claims(1)), r"read: 1 claims"),
    Row("a proposal whose draft is in its thoughts", _proposed(lambda: f"<think>{_claims(2)}</think>no"), r"none"),
    Row("a proposal that is a list", _proposed(lambda: f"[{CLAIM}]"), r"none"),
    Row("a proposal of 10,000 claims", _proposed(lambda: _claims(10_000)), r"read: 8 claims"),
    Row("a claim of a megabyte", _proposed(lambda: _claims(1).replace("dog", "dog " * 250_000)), r"read: [01] claims"),
    Row("claims of other types", _proposed(lambda: '{"claims": [1, null, [], {}, {"text": 1}]}'), r"read: 0 claims"),
    Row("claims that are an object", _proposed(lambda: '{"claims": {"text": "a"}}'), r"none"),
    Row("evidence that is a number", _proposed(lambda: _claims(1).replace('["F1"]', "1e999")), r"read: [01] claims"),
    Row("an integer of 5,000 digits", _proposed(lambda: f'{{"claims": [{"9" * 5000}]}}'), r"none|read: 0 claims"),
    Row("NaN for the claims", _proposed(lambda: '{"claims": NaN}'), r"none"),
    Row("a proposal cut within a claim", _proposed(lambda: _claims(3)[:-30], is_cut=True), r"read: 2 claims"),
    Row("a proposal cut within an escape", _proposed(lambda: _claims(1)[:40] + "\\ud83d", is_cut=True), r"none|read"),
    Row("a claim with half a character", _proposed(lambda: _claims(1).replace("dog", "\\ud800")), r"none|read: [01]"),
    Row("a caption of nothing", _captioned(str), r"empty"),
    Row("a caption of 100,000 special tokens", _captioned(lambda: "<|im_start|>" * MANY), r"empty"),
    Row("a caption of ends of turns", _captioned(lambda: "<|im_end|>" * MANY + "a dog"), r"empty|read: "),
    Row("a caption of 100,000 open brackets", _captioned(lambda: "<|" * MANY), r"empty|read: "),
    Row("a caption of channels", _captioned(lambda: "<|channel|>analysis<|message|>" * MANY), r"empty"),
    Row("a caption of one word over and over", _captioned(lambda: "dog " * MANY), r"loop"),
    Row("a caption of one letter over and over", _captioned(lambda: "a" * MANY), r"loop"),
    Row("a caption of a Chinese loop", _captioned(lambda: "狗在跑" * 20_000), r"loop"),
    Row("a caption of headings", _captioned(lambda: "# " * MANY), r"empty"),
    Row("a caption of line feeds", _captioned(lambda: "\n" * MANY), r"empty"),
    Row("a caption of combining marks", _captioned(lambda: "a" + "\u0301" * MANY), r"\w+"),
    Row("a caption of apologies", _captioned(lambda: "I'm sorry, " * 10_000), r"refusal"),
    Row("a caption of almost a refusal", _captioned(lambda: "I can't " + "very " * 10_000 + "see"), r"\w+"),
    Row("a caption that is the word for nothing", _captioned(lambda: "```\nN/A\n```"), r"empty"),
    Row("a summary of 100,000 words", _summarized(lambda: "dogs run " * 50_000), r"loop"),
    Row("a summary of sentences without words", _summarized(lambda: "." * MANY), r"empty"),
    Row("a summary that is the prompt", _summarized(lambda: "Summarize the speech in one sentence."), r"prompt"),
    Row("a summary of something else", _summarized(lambda: "Buy 100 coins at Evil Corp."), r"unsupported"),
    Row("a summary that refuses", _summarized(lambda: "I'm sorry, I can't help with that."), r"refusal"),
]
"""Texts of any engine."""

ROWS = [*_ENDPOINT, *_ENGINE]
