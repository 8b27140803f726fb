"""The labelling page: blind, safe to open, and working in a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from support.audits import audit_clip, claim

from curation.grounding.audit.audit_records import EvidenceItem
from curation.grounding.audit.label_files import read_label_rows
from curation.grounding.audit.label_page import render
from curation.grounding.audit.label_pictures import PagePicture
from curation.grounding.audit.label_rows import check_rows

HOSTILE = "</script><script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)>\u202e\x1b[2J"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def picture() -> PagePicture:
    data = io.BytesIO()
    Image.new("RGB", (32, 24), (200, 90, 40)).save(data, "JPEG")
    return PagePicture(1.5, f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}")


def page_of(*texts: str, **changes: object) -> str:
    clip = audit_clip(1, *(claim(text, "unsupported", "vision", 0.1234) for text in texts), **changes)
    return render("grounded", [clip, audit_clip(2)], {clip.key: [picture()]})


def data_of(page: str) -> dict[str, object]:
    match = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    values: dict[str, object] = json.loads(match[1])
    return values


def test_no_verdict_judge_or_score_is_in_the_page() -> None:
    text = json.dumps(data_of(page_of("A man runs.")))
    for secret in ("unsupported", "vision", "0.12", "verdict", "score", "judge", "stratum", 'A man."'):
        assert secret not in text


def test_hostile_texts_are_data_and_no_markup() -> None:
    evidence = (EvidenceItem("frame@1.0", HOSTILE),)
    page = page_of(HOSTILE, source=HOSTILE, subtitle=HOSTILE, evidence=evidence)
    assert page.count("<script") == 2  # the data and our own
    assert "<img src=https" not in page
    assert "\u202e" not in page and "\\u202e" not in page and "\\u001b" not in page
    assert "evil.example" in json.dumps(data_of(page))


def test_the_name_of_a_layer_is_no_markup() -> None:
    assert "<b>x</b>" not in render("<b>x</b>", [audit_clip(1)], {})


def test_the_policy_allows_our_script_and_no_request() -> None:
    page = page_of("A man runs.")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert policy is not None and script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert html.unescape(policy[1]).split("; ") == [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert not re.search(r"(src|href)\s*=\s*[\"']?(?!data:)[a-z]+:", page)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium in PATH")
class TestInABrowser:
    """The page in headless Chromium."""

    def dom(self, page: str, folder: Path) -> str:
        assert CHROMIUM is not None
        (folder / "page.html").write_text(page, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        flags += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=2000", "--dump-dom"]
        url = (folder / "page.html").as_uri()
        done = subprocess.run([CHROMIUM, *flags, url], capture_output=True, text=True, timeout=300, check=True)
        return done.stdout

    def test_it_shows_hostile_claims_as_text(self, tmp_path: Path) -> None:
        dom = self.dom(page_of(HOSTILE, "A man runs."), tmp_path)
        assert dom.count('class="claim') == 2
        assert "&lt;/script&gt;&lt;script&gt;alert(1)" in dom
        assert "0 of 2 clips done" in dom

    def test_keys_label_claims_and_change_clips(self, tmp_path: Path) -> None:
        page = render("grounded", [audit_clip(1, claim("a"), claim("b")), audit_clip(2, claim("c"))], {})
        pressed = """
          at("help").close();
          const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
          ["1", "c", "0", "n", "T", "p", "ArrowDown", "x"].forEach(press);
          document.body.append(make("pre", "written", JSON.stringify([state.labels, state.clip])));
        """
        labels, shown = json.loads(self.written(page, pressed, tmp_path))
        assert shown == 0
        assert {name.split("#")[0][15] + name.split("#")[1]: each["label"] for name, each in labels.items()} == {
            "11": "supported",
            "12": "",
            "10": "complete",
            "21": "cant_tell",
        }

    def written(self, page: str, script: str, folder: Path) -> str:
        """What a script writes at the end of the page, which then runs without its policy."""
        page = re.sub(r"<meta http-equiv=.Content-Security-Policy.*?>", "", page)
        end = page.rindex("</script>")
        found = re.search(
            r'<pre class="written"[^>]*>(.*?)</pre>', self.dom(page[:end] + script + page[end:], folder), re.S
        )
        assert found is not None
        return html.unescape(found[1])

    def test_labels_that_it_writes_are_read(self, tmp_path: Path) -> None:
        texts = ("=1+1 is on the wall.", 'He says "no", twice.', "مرحبا")
        clip = audit_clip(1, *map(claim, texts))
        page = render("grounded", [clip], {})
        typed = """
          state.labeller = "Ana"; setLabel("supported"); setLabel("contradicted"); setLabel("cant_tell");
          put(0, { label: "incomplete", note: "-a dog, a cat" });
          document.body.append(make("pre", "written", csv()));
        """
        (tmp_path / "labels.csv").write_text(self.written(page, typed, tmp_path), encoding="utf-8")
        checked = check_rows(read_label_rows(tmp_path / "labels.csv"), [clip], "nobody")
        assert not checked.refused
        assert [(each.labeller, each.claim, each.label) for each in checked.labels] == [
            ("Ana", 0, "incomplete"),
            ("Ana", 1, "supported"),
            ("Ana", 2, "contradicted"),
            ("Ana", 3, "cant_tell"),
        ]
        assert checked.labels[0].note == "-a dog, a cat"
