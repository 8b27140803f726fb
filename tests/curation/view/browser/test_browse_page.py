"""The browse page: filters, counts, order, paging and links that keep the state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from support.shard_factory import build_dir
from support.viewers import clip_links, viewing


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    store = build_dir(tmp_path_factory.mktemp("browse") / "out", shards=3, videos_per_shard=2)
    with viewing(store) as client:
        yield client


def counts(page: str) -> int:
    found = re.search(r"<b>([\d,]+)</b> clips?", page)
    assert found is not None
    return int(found[1].replace(",", ""))


def keys(page: str) -> list[str]:
    return [link.partition("?")[0] for link in clip_links(page)]


def test_the_first_page_shows_all_clips_with_stills_texts_and_counts(client: TestClient) -> None:
    page = client.get("/browse").text
    assert counts(page) == 33 and len(clip_links(page)) == 24
    assert "A grey wall from" in page and "page 1 of 2" in page
    still = re.search(r'src="(/stills/[^"]+)"', page)
    assert still is not None
    assert client.get(still[1]).content.startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("filters", "clips"),
    [
        ("level=long", 6),
        ("level=long&level=medium", 18),
        ("status=ok", 33),
        ("keep=dropped", 3),
        ("keep=kept", 30),
        ("text=WALL+from+0.5", 9),
        ("source=no+such", 0),
        ("min.seconds=20", 6),
        ("max.seconds=6&min.seconds=5.75", 3),
        ("sql=len(claims)+>+0+and+level+=+'long'", 6),
        ("sql=shard+=+1&level=long", 2),
    ],
)
def test_filters_narrow_the_clips_and_the_counts(client: TestClient, filters: str, clips: int) -> None:
    page = client.get(f"/browse?{filters}").text
    assert counts(page) == clips and len(clip_links(page)) == min(clips, 24)


def test_hours_count_time_that_several_levels_share_once(client: TestClient) -> None:
    hours = {
        level: float(re.findall(r"PT(\d+)S", client.get(f"/browse?{level}").text)[0])
        for level in ("level=long", "level=long&level=short&level=medium", "level=long&level=short")
    }
    assert hours["level=long"] == 6 * 24
    assert hours["level=long&level=short&level=medium"] == 6 * 24 + 3 * 6
    assert hours["level=long&level=short"] == 6 * 24 + 3 * 6


def test_pages_follow_one_another_without_gap_or_repeat(client: TestClient) -> None:
    first, second = (keys(client.get(f"/browse?page={page}").text) for page in (1, 2))
    assert len(first) == 24 and len(set(first + second)) == 33


def test_an_order_by_length_begins_with_the_longest(client: TestClient) -> None:
    page = client.get("/browse?sort=longest").text
    assert re.findall(r'class="level (\w+)"', page)[:6] == ["long"] * 6


def test_a_random_order_is_repeated_by_its_seed_and_another_seed_gives_another(client: TestClient) -> None:
    one, again, other = (keys(client.get(f"/browse?sort=random&seed={seed}").text) for seed in (1, 1, 2))
    assert one == again != other


def test_a_sample_is_drawn_by_its_seed_from_the_clips_that_match_and_its_link_keeps_it(client: TestClient) -> None:
    one, again, other = (client.get(f"/browse?level=short&sample=4&seed={seed}").text for seed in (1, 1, 2))
    assert counts(one) == 4 and set(keys(one)) == set(keys(again)) != set(keys(other))
    assert set(re.findall(r'class="level (\w+)"', one)) == {"short"}
    assert all("sample=4&seed=1" in link for link in clip_links(one))
    assert counts(client.get("/browse?sample=4&sort=random&text=wall").text) == 4
    assert counts(client.get("/browse?level=long&sample=100").text) == 6


def test_counts_of_one_have_no_plural(client: TestClient) -> None:
    page = client.get("/browse?sample=1").text
    assert "<b>1</b> clip of <b>1</b> video," in page


def test_links_of_clips_keep_the_filters(client: TestClient) -> None:
    links = clip_links(client.get("/browse?level=long&min.seconds=20&sort=longest").text)
    clip = client.get(links[2]).text
    assert "level=long" in links[2] and "at=2" in links[2]
    assert f'rel="next" href="{links[3]}"'.replace("&", "&amp;") in clip
    assert f'rel="prev" href="{links[1]}"'.replace("&", "&amp;") in clip


@pytest.mark.parametrize(
    "filters",
    [
        "level=lng",
        "page=0",
        "page=x",
        "min.seconds=abc",
        "min.nope=1",
        "sort=nope",
        "sample=-1",
        "seed=2147483648",
        "sql=nope+>+1",
        "sql=1;drop+table+x",
    ],
)
def test_a_value_that_cannot_be_is_answered_in_one_line(client: TestClient, filters: str) -> None:
    answer = client.get(f"/browse?{filters}")
    assert answer.status_code == 400 and 'role="alert"' in answer.text


def test_the_histogram_of_a_column_counts_the_clips_that_match(client: TestClient) -> None:
    page = client.get("/browse?level=long").text
    assert [int(n) for n in re.findall(r"<title>(\d+) clips</title>", page) if n != "0"] == [6]


def test_sql_cannot_read_other_files(client: TestClient, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for inner in (f"read_csv('{secret}')", f"'{secret}'", f"read_text('{secret}')"):
        answer = client.get("/browse", params={"sql": f"(select count(*) from {inner}) > 0"})
        assert answer.status_code == 400 and "0 clips" not in answer.text


def test_a_long_condition_over_many_columns_is_answered(client: TestClient) -> None:
    sql = " or ".join(f"length(key) + {number} = length(source)" for number in range(200))
    assert client.get("/browse", params={"sql": sql}).status_code == 200
    assert client.get("/browse", params={"sql": " or ".join([sql, sql])}).status_code == 400


def test_a_dir_in_an_object_store_is_read_in_place_and_nothing_else_is() -> None:
    store = build_dir("memory://viewer/out", shards=1)
    with viewing(store) as client:
        page = client.get("/browse?level=long").text
        assert counts(page) == 2 and client.get(clip_links(page)[0]).status_code == 200
        refused = client.get("/browse", params={"sql": "(select count(*) from read_text('/etc/hostname')) > 0"})
    assert refused.status_code == 400


def test_a_damaged_table_is_named_on_every_page_and_the_viewer_goes_on(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "out", shards=1)
    (tmp_path / "out/text/grounded/0000000.parquet").write_bytes(b"PAR1 no table PAR1")
    with viewing(store) as client:
        for _ in range(2):
            answer = client.get("/browse")
            assert answer.status_code == 500 and "curate check" in answer.text
        assert client.get("/runs").status_code == 200
