"""Search by stored vectors, scores as filters, and duplicates side by side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient
from support.duplicates import dedup, score_all
from support.open_clip_models import open_clip_folder
from support.shard_factory import build_dir
from support.stored_vectors import WIDTH, add_vectors
from support.viewers import viewing

from curation.engines.models.image_text_model import ImageTextModel
from curation.view.browser.queries.similar_clips import nearest_clips, search_way, stored_vectors
from shards.reader import read_table
from shards.storage.store import Store


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_clip_folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_dir(tmp_path_factory.mktemp("search") / "out", shards=2)


@pytest.fixture(scope="module")
def vectors(store: Store, model: Path) -> dict[str, np.ndarray]:
    return add_vectors(store, model)


@pytest.fixture(scope="module")
def client(store: Store, vectors: dict[str, np.ndarray]) -> Iterator[TestClient]:
    with viewing(store) as client:
        yield client


def shown(page: str) -> list[str]:
    return re.findall(r'<li class="tile[^"]*"><?\s*<a href="/clip/([^"?]+)', page)


def by_cosine(vectors: dict[str, np.ndarray], to: np.ndarray) -> list[str]:
    wide = {key: vector.astype(np.float32) for key, vector in vectors.items() if np.isfinite(vector).all()}
    return sorted(wide, key=lambda key: -float(wide[key] @ to / np.linalg.norm(wide[key])))


def test_clips_like_one_come_in_order_of_their_cosine(client: TestClient, vectors: dict[str, np.ndarray]) -> None:
    key = list(vectors)[3]
    page = client.get(f"/search?like={key}").text
    assert shown(page) == by_cosine(vectors, vectors[key].astype(np.float32))
    assert shown(page)[0] == key and "cosine 1.000" in page


def test_words_find_the_clips_nearest_to_their_vector(
    client: TestClient, vectors: dict[str, np.ndarray], model: Path
) -> None:
    page = client.get("/search?text=a+grey+wall").text
    assert shown(page) == by_cosine(vectors, ImageTextModel(f"path://{model}").texts(["a grey wall"])[0])


def test_a_search_keeps_only_the_nearest_over_all_shards(store: Store, vectors: dict[str, np.ndarray]) -> None:
    stored = stored_vectors(store)["demo.clip"]
    to = np.ones(WIDTH, np.float32) / np.sqrt(WIDTH, dtype=np.float32)
    assert list(nearest_clips(stored, search_way(stored), to, 5)) == by_cosine(vectors, to)[:5]


def test_a_clip_without_a_vector_and_unknown_vectors_are_answered_in_one_line(
    client: TestClient, vectors: dict[str, np.ndarray]
) -> None:
    without = next(key for key, vector in vectors.items() if not np.isfinite(vector).all())
    for address, status in ((f"like={without}", 400), ("like=nope", 404), ("text=x&vectors=demo.clp", 400)):
        answer = client.get(f"/search?{address}")
        assert answer.status_code == status and 'role="alert"' in answer.text
    assert client.get("/search", params={"text": "x" * 501}).status_code == 400


def test_scores_are_histograms_filters_and_orders(client: TestClient) -> None:
    page = client.get("/browse", params={"min.bright'ness": "0.5", "sort": "-bright'ness", "level": "short"}).text
    assert "<legend>bright&#39;ness</legend>" in page
    found = re.search(r"<b>(\d+)</b> clips", page)
    assert found is not None and 0 < int(found[1]) < 10


def test_a_dir_without_vectors_says_what_makes_them(tmp_path: Path) -> None:
    with viewing(build_dir(tmp_path / "out", shards=1)) as client:
        assert "No vectors yet" in client.get("/search").text
        assert client.get("/search?text=dog").status_code == 400
        assert "curate dedup" in client.get("/duplicates").text
        assert client.get("/duplicates?table=all").status_code == 400


def test_duplicates_of_a_group_stand_side_by_side_with_the_one_that_stays(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "out", shards=3)
    score_all(store)
    dedup(store, exact=True)
    rows = read_table(store, "duplicates/all.parquet").to_pylist()
    assert rows
    with viewing(store) as client:
        page = client.get("/duplicates").text
        assert client.get("/duplicates?table=../sources").status_code == 400
        assert client.get("/duplicates?page=0").status_code == 400
    groups = len({row["group"] for row in rows})
    assert f"{groups} groups" in page
    assert page.count("<b>stays</b>") == min(groups, 10) and "<b>goes</b>" in page
