"""The report as HTML: one file, nothing loaded from elsewhere, and texts from outside that stay texts."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.chromium import chromium

from curation.view.card.facts.distributions import ValueHistogram
from curation.view.card.plots.card_plots import drawn
from curation.view.card.sections.section import HistogramPlot, HistogramSeries


class _Elements(HTMLParser):
    """Collects the elements of a page with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def report(folder: Path) -> str:
    """The page."""
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def elements(report: str) -> list[tuple[str, dict[str, str | None]]]:
    """Its elements."""
    parser = _Elements()
    parser.feed(report)
    return parser.found


def test_nothing_is_loaded_from_elsewhere(elements: list[tuple[str, dict[str, str | None]]]) -> None:
    assert not {"script", "link", "iframe", "object", "video"} & {tag for tag, _ in elements}
    addresses = [values.get(name) or "" for _, values in elements for name in ("src", "href", "xlink:href")]
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in addresses if address)


def test_hostile_titles_are_shown_as_the_texts_that_they_are(report: str) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in report
    assert "&lt;img src=x onerror=alert(1)&gt;" in report
    assert not re.search(r"<(script|img src=x)", report)


def test_every_clip_of_the_sample_has_stills_with_a_text_in_their_place(
    elements: list[tuple[str, dict[str, str | None]]],
) -> None:
    images = [values for tag, values in elements if tag == "img"]
    assert len(images) == 3 * sum(tag == "article" for tag, _ in elements) == 36
    assert all((values["alt"] or "").startswith("Frame at ") for values in images)


def test_ids_are_unique_and_every_plot_has_a_name(elements: list[tuple[str, dict[str, str | None]]]) -> None:
    ids = [values["id"] for _, values in elements if "id" in values]
    assert len(ids) == len(set(ids))
    assert all(values["aria-labelledby"] for tag, values in elements if tag == "svg")


def test_a_plot_is_drawn_in_the_colours_of_the_page_and_the_same_each_time() -> None:
    plot = HistogramPlot("t", "$x^2$ <b>", [HistogramSeries("short", ValueHistogram(0, 1, (1, 2)), 1.5)])
    text = drawn(plot, 7)
    assert text == drawn(plot, 7)
    assert "var(--short)" in text
    assert "#0" not in re.sub(r"#plot7-", "", text)
    assert "$x^2$ &lt;b&gt;</text>" in text


def test_it_fits_a_phone_in_both_schemes_without_an_error_or_a_request(folder: Path) -> None:
    said: list[str] = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto((folder / "report.html").as_uri())
        grounds = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert said == []
    assert len(grounds) == 2
