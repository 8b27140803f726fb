"""The audit page: labels of a sample, saved one by one into the table of `curate audit`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Response
from starlette.testclient import TestClient
from support.curate_runs import curate
from support.shard_factory import LAYER, build_dir
from support.viewers import viewing

from curation.grounding.audit.label_store import stored_labels, stored_sample
from shards.storage.store import Store

OWN = {"origin": "http://127.0.0.1:8765"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = build_dir(tmp_path / "out", shards=1)
    assert curate("audit", store.root, "--sample", "4").status == 0
    return store


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    with viewing(store) as client:
        yield client


def said(store: Store) -> list[tuple[str, str, int, str]]:
    return [(each.labeller, each.key, each.claim, each.label) for each in stored_labels(store, LAYER)]


def first_key(store: Store) -> str:
    return (stored_sample(store, LAYER) or [])[0].key


def post(client: TestClient, of: str, **changes: Any) -> Response:
    row = {"labeller": "Ana", "key": of, "claim": 1, "label": "supported", "note": ""} | changes
    return client.post("/audit/labels", json=row, headers=OWN)


def test_without_a_sample_the_page_says_how_to_draw_one(tmp_path: Path) -> None:
    with viewing(build_dir(tmp_path / "out", shards=1)) as client:
        assert "curate audit" in client.get("/audit").text


def test_the_page_shows_claims_and_evidence_but_neither_verdict_nor_grounded_text_of_the_tree(
    client: TestClient,
) -> None:
    page = client.get("/audit?at=1").text
    assert "A grey wall" in page and 'data-label="cant_tell"' in page and 'class="jump"' in page
    assert "verdict" not in page and 'href="/clip/' not in page and 'title="A grey wall' not in page


def test_a_label_is_stored_at_once_and_read_back(client: TestClient, store: Store) -> None:
    key = first_key(store)
    answer = post(client, key).json()
    assert said(store) == [("Ana", key, 1, "supported")]
    assert (answer["done"], answer["clips"], answer["next"]) == (0, 4, 1)
    assert post(client, key, claim=0, label="complete").json()["done"] == 1
    read = client.get("/audit/labels", params={"labeller": "Ana", "key": key}).json()
    assert [(label["claim"], label["label"]) for label in read["labels"]] == [(0, "complete"), (1, "supported")]


def test_another_label_of_the_same_person_replaces_the_first_and_an_empty_one_removes_it(
    client: TestClient, store: Store
) -> None:
    key = first_key(store)
    for label, labeller in (("supported", "Ana"), ("contradicted", "Ana"), ("cant_tell", "Ben")):
        post(client, key, label=label, labeller=labeller)
    assert said(store) == [("Ana", key, 1, "contradicted"), ("Ben", key, 1, "cant_tell")]
    post(client, key, label="")
    assert said(store) == [("Ben", key, 1, "cant_tell")]


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "nope"},
        {"claim": 7},
        {"label": "maybe"},
        {"labeller": " "},
        {"extra": 1},
        {"claim": "x"},
        {"label": ["x"]},
    ],
)
def test_what_is_no_label_of_the_sample_is_refused(client: TestClient, store: Store, changes: dict[str, Any]) -> None:
    assert post(client, first_key(store), **changes).status_code == 400
    assert said(store) == []


def test_a_label_from_another_sites_page_is_refused(client: TestClient, store: Store) -> None:
    row = {"labeller": "Eve", "key": first_key(store), "claim": 1, "label": "supported"}
    for headers in ({"origin": "https://evil.example"}, {}, {"sec-fetch-site": "cross-site"}):
        assert client.post("/audit/labels", json=row, headers=headers).status_code == 403
    form = client.post("/audit/labels", data=row, headers=OWN)
    assert form.status_code == 400
    large = client.post("/audit/labels", json=row | {"note": "x" * 100_000}, headers=OWN)
    assert large.status_code == 400 and said(store) == []


def test_labels_of_two_people_show_their_agreement(client: TestClient, store: Store) -> None:
    keys = [clip.key for clip in stored_sample(store, LAYER) or []]
    for key in keys:
        post(client, key)
        post(client, key, labeller="Ben", label="supported" if key != keys[0] else "contradicted")
    page = client.get("/audit/figures").text
    assert "by Ana, Ben" in page and "75% of 4" in page


def test_labels_given_here_are_in_the_report_of_the_command(client: TestClient, store: Store) -> None:
    post(client, first_key(store))
    ended = curate("audit", store.root, "--report")
    assert ended.status == 0 and "Ana" in ended.out
