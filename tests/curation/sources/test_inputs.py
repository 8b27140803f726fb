"""Input expansion and the append-only plan of sources."""

import json
import math
import os
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.sources.identity import (
    _extractor_id,
    _extractors,
    _id_of,
    hash_files,
    longest_literal,
    normalised,
    url_id,
)
from curation.sources.inputs import Source, read_inputs
from curation.sources.manifests import seconds
from curation.sources.source_rows import source_rows
from curation.sources.source_table import auto_videos_per_shard, plan_sources
from runtime.errors import UserError
from shards.keys import video_id
from shards.schema import SOURCES

YOUTUBE = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(sources: list[Source]) -> list[str]:
    return [Path(source.source).name for source in sources]


def link(name: str, start: float | None = None, end: float | None = None) -> Source:
    url = f"https://example.org/{name}"
    return Source(url, video_id(url), start, end, {}, True, url)


def plan(existing, found, per_shard=2, **options) -> pa.Table:
    return plan_sources(existing, found, videos_per_shard=per_shard, **options).table


class TestInputs:
    def test_a_directory_gives_its_videos_by_name_with_all_below_it(self, tmp_path):
        for name in ("b.mp4", "a.MKV", "deep/er/c.webm", "notes.txt", "x.srt", ".hidden/d.mp4", ".e.mp4"):
            write(tmp_path / name, name)
        ignored = Counter()
        assert names(read_inputs([str(tmp_path)], ignored=ignored)) == ["a.MKV", "b.mp4", "c.webm"]
        assert ignored == {".txt": 1, ".srt": 1, ".mp4": 1}

    def test_a_named_file_may_have_any_name(self, tmp_path):
        found = read_inputs([str(write(tmp_path / "film.dat"))])
        assert found[0].source == str(tmp_path / "film.dat")
        assert not found[0].is_url

    def test_a_glob_without_suffix_takes_videos_only_and_one_with_suffix_takes_all(self, tmp_path):
        for name in ("a1.mp4", "a2.dat", "b.mp4"):
            write(tmp_path / name, name)
        assert names(read_inputs([str(tmp_path / "a*")])) == ["a1.mp4"]
        assert names(read_inputs([str(tmp_path / "*.dat")])) == ["a2.dat"]

    def test_a_file_whose_name_looks_like_a_glob_is_taken_as_it_is(self, tmp_path):
        assert names(read_inputs([str(write(tmp_path / "a[1].mp4"))])) == ["a[1].mp4"]

    @pytest.mark.parametrize("value", ["nowhere.mp4", "nothing*.mp4", "file:///etc/passwd", "ftp://example.org/x.mp4"])
    def test_what_is_not_there_or_not_allowed_is_named(self, value, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match=r"^--input " + value.replace("*", r"\*")):
            read_inputs([value])

    def test_a_path_that_no_file_system_takes_is_named(self):
        with pytest.raises(UserError, match=r"^--input /x{300}: can't be read"):
            read_inputs(["/" + "x" * 300])

    def test_a_name_that_is_no_text_is_refused_and_any_text_is_taken(self, tmp_path):
        write(tmp_path / "family 👨‍👩‍👧.mp4")
        assert len(read_inputs([str(tmp_path)])) == 1
        (tmp_path / os.fsdecode(b"\xff.mp4")).write_text("x")
        with pytest.raises(UserError, match="rename the file"):
            read_inputs([str(tmp_path)])

    def test_other_schemes_pass_when_allowed(self):
        assert read_inputs(["ftp://example.org/x.mp4"], allow_schemes=["ftp"])[0].is_url

    @pytest.mark.parametrize("url", ["http://", "http:///x.mp4", "http://a b/", "http://host:port/", "http://[::1/x"])
    def test_a_malformed_url_is_refused(self, url):
        with pytest.raises(UserError, match="is not a URL"):
            read_inputs([url])

    def test_a_url_with_a_password_is_refused_without_repeating_it(self):
        with pytest.raises(UserError) as error:
            read_inputs(["https://me:hunter2@example.org/x.mp4"])
        assert "hunter2" not in str(error.value)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_that_can_not_be_read_is_named(self, tmp_path):
        path = write(tmp_path / "a.mp4")
        path.chmod(0)
        with pytest.raises(UserError, match=r"a\.mp4"):
            read_inputs([str(path)])


class TestManifests:
    def test_txt_holds_one_source_a_line(self, tmp_path):
        write(tmp_path / "a.mp4")
        listing = write(tmp_path / "list.txt", f"\ufeff# films\n{YOUTUBE}\n\n a.mp4 \n")
        assert [s.source for s in read_inputs([str(listing)])] == [YOUTUBE, str(tmp_path / "a.mp4")]

    def test_columns_are_carried_and_times_read_in_all_three_tables(self, tmp_path):
        rows = [{"url": YOUTUBE, "start": "0:01:30", "end": "95.5", "tag": "x"}]
        csv_ = write(tmp_path / "l.csv", "url,start,end,tag\n" + ",".join(rows[0].values()) + "\n")
        jsonl = write(tmp_path / "l.jsonl", json.dumps(rows[0]) + "\n")
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "l.parquet")
        for path in (csv_, jsonl, tmp_path / "l.parquet"):
            (source,) = read_inputs([str(path)])
            assert (source.start, source.end, source.carried) == (90.0, 95.5, {"tag": "x"})

    def test_parquet_values_of_any_type_can_be_carried(self, tmp_path):
        table = pa.table({"url": [YOUTUBE], "start": [float("nan")], "at": pa.array([0], pa.timestamp("s")), "n": [3]})
        pq.write_table(table, tmp_path / "l.parquet")
        (source,) = read_inputs([str(tmp_path / "l.parquet")])
        assert source.start is None
        assert json.loads(plan(None, [source])["carried"][0].as_py()) == {"at": "1970-01-01 00:00:00", "n": 3}

    @pytest.mark.parametrize(
        ("name", "text", "said"),
        [
            ("l.csv", "url,start\nhttp://x.org/a,soon\n", r"l.csv, line 2: start='soon'"),
            ("l.csv", "url,start,end\nhttp://x.org/a,10,5\n", r"line 2: end='5': must be later than start='10'"),
            ("l.csv", "url,start\nhttp://x.org/a,-1\n", r"line 2: start='-1'"),
            ("l.csv", "url,a\n,1\n", r"line 2: url=''"),
            ("l.csv", "link,a\nx,1\n", r"no column 'url'"),
            ("l.csv", "url\nhttp://x.org/a,b\n", r"line 2: more values"),
            ("l.jsonl", '{"url": "http://x.org/a"}\n{"url": 3}\n', r"line 2: url=3"),
            ("l.jsonl", "{url}\n", r"line 1: is not JSON"),
            ("l.jsonl", "[1]\n", r"line 1: must be an object"),
            ("l.parquet", "no", r"is not Parquet"),
            ("l.txt", "http://x.org/a\nmissing.mp4\n", r"l.txt, line 2: .*missing.mp4: no such file"),
            ("l.txt", "gopher://x.org/a\n", r"l.txt, line 1: gopher:// is not allowed"),
        ],
    )
    def test_a_bad_entry_is_named_with_file_line_and_value(self, tmp_path, name, text, said):
        with pytest.raises(UserError, match=said):
            read_inputs([str(write(tmp_path / name, text))])

    @pytest.mark.parametrize(
        ("text", "value"),
        [("90", 90), (" 1.5", 1.5), ("1:30", 90), ("01:02:03.5", 3723.5), (7, 7), (None, None), ("", None)],
    )
    def test_times_are_seconds_or_clock_times(self, text, value):
        assert seconds(text) == value

    @pytest.mark.parametrize("text", ["1:75", "x", "-3", float("inf"), True, "1:2:3:4"])
    def test_what_is_no_time_is_an_error(self, text):
        with pytest.raises(ValueError, match=r"."):
            seconds(text)


class TestIdentity:
    @pytest.mark.parametrize(
        "url",
        [
            YOUTUBE,
            "http://youtube.com/watch?v=dQw4w9WgXcQ&t=42s",
            "https://m.youtube.com/watch?list=PLx&v=dQw4w9WgXcQ&index=3",
            "https://youtu.be/dQw4w9WgXcQ?si=abc",
            "https://www.youtube.com/shorts/dQw4w9WgXcQ",
            "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ#x",
        ],
    )
    def test_one_youtube_video_has_one_id_however_it_is_written(self, url):
        assert url_id(url) == "youtube:dQw4w9WgXcQ"

    def test_other_sites_are_told_by_yt_dlp_and_unknown_ones_by_their_url(self):
        assert url_id("https://vimeo.com/76979871") == url_id("http://www.vimeo.com/76979871") == "vimeo:76979871"
        assert url_id("HTTPS://Example.ORG:443/a.mp4?x=1#t=3") == "https://example.org/a.mp4?x=1"

    def test_a_playlist_is_not_taken_for_a_video(self):
        assert "videoseries" not in url_id("https://www.youtube.com/embed/videoseries?list=PLBB231211A4F62143")

    @pytest.mark.parametrize(
        "url",
        [
            "https://www.dailymotion.com/video/x5kesuj",
            "https://archive.org/details/Cops1922",
            "https://www.bbc.co.uk/iplayer/episode/b03qqtm1",
            "https://example.org/video/3",
            "https://peertube.social/videos/watch/9c9de5e8-0a1e-484a-b099-e80766180a6d",
        ],
    )
    def test_ruling_extractors_out_by_text_finds_what_asking_each_would(self, url):
        first = next(extractor for _, extractor in _extractors() if extractor.suitable(url))
        assert _extractor_id(url) == _id_of(first, url)

    def test_the_longest_literal_of_a_pattern_is_one_that_every_match_holds(self):
        assert longest_literal(r"https?://(?:www\.)?example\.org/v/(?P<id>\d+)") == "example.org/v/"
        assert longest_literal(r"(?:abc|d)+e?") == ""

    def test_ten_thousand_youtube_urls_take_seconds(self):
        began = time.thread_time()
        read_inputs([f"https://www.youtube.com/watch?v={n:011d}" for n in range(10_000)])
        assert time.thread_time() - began < 5

    def test_ipv6_hosts_keep_their_brackets(self):
        assert normalised("http://[2001:DB8::1]:80/x") == "http://[2001:db8::1]/x"

    def test_a_file_is_known_by_its_bytes(self, tmp_path):
        write(tmp_path / "a.mp4", "same"), write(tmp_path / "b.mp4", "same"), write(tmp_path / "c.mp4", "other")
        a, b, c = read_inputs([str(tmp_path)])
        assert a.video_id == b.video_id == "0967115f2813a3541eaef77de9d9d577"[:16]
        assert c.video_id != a.video_id

    def test_a_hash_is_kept_until_the_file_changes(self, tmp_path):
        path, store = write(tmp_path / "a.mp4", "one"), tmp_path / "cache" / "hashes"
        (first,) = hash_files([path], store)
        times = path.stat()
        path.write_text("two")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert hash_files([path], store) == [first]
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
        assert hash_files([path], store) != [first]

    def test_a_cache_that_can_not_be_used_costs_nothing_but_time(self, tmp_path):
        path, broken = write(tmp_path / "a.mp4"), write(tmp_path / "hashes", "this is no database" * 100)
        assert hash_files([path], broken) == hash_files([path], None)


class TestPlan:
    def test_new_sources_fill_new_shards_at_the_end(self):
        first = plan(None, [link("a"), link("b"), link("c")])
        assert first["shard"].to_pylist() == [0, 0, 1]
        second = plan(first, [link("a"), link("b"), link("c"), link("d")])
        assert second.slice(0, 3).equals(first)
        assert second["shard"].to_pylist() == [0, 0, 1, 2]

    def test_the_same_input_again_adds_nothing(self):
        table = plan(None, [link("a"), link("a", 0, 5)])
        assert plan(table, [link("a"), link("a", 0, 5)]).equals(table)

    def test_auto_makes_sixteen_shards_of_few_videos_and_shards_of_64_of_many(self):
        assert [auto_videos_per_shard(n) for n in (0, 1, 16, 17, 1024, 100_000)] == [1, 1, 1, 2, 64, 64]
        planned = plan_sources(None, [link(str(n)) for n in range(40)], videos_per_shard="auto")
        assert planned.videos_per_shard == 3
        assert planned.new == 40
        assert max(planned.table["shard"].to_pylist()) == 13

    def test_a_video_under_another_name_is_a_duplicate_where_spans_overlap(self):
        a, b = link("a", 0, 10), link("b", 5, 15)
        same = Source(b.source, a.video_id, b.start, b.end, {}, True, b.canonical)
        apart = Source("https://example.org/c", a.video_id, 10, 20, {}, True)
        table = plan(None, [a, same, apart])
        assert table["verdict"].to_pylist() == [None, "duplicate", None]
        assert plan(table, [link("a", 3, 4)])["verdict"].to_pylist()[-1] == "duplicate"

    def test_a_changed_file_is_new_and_a_url_is_not_though_its_id_were_told_otherwise(self):
        old = [Source("/v/a.mp4", "1" * 16), Source("https://x.org/a", "2" * 16, is_url=True)]
        new = [Source("/v/a.mp4", "3" * 16), Source("https://x.org/a", "4" * 16, is_url=True)]
        assert plan(plan(None, old), new)["video_id"].to_pylist() == ["1" * 16, "2" * 16, "3" * 16]

    @pytest.mark.parametrize("name", [YOUTUBE, "youtube:dQw4w9WgXcQ", "dQw4w9WgXcQ", video_id("youtube:dQw4w9WgXcQ")])
    def test_excluded_sources_are_booked_and_not_worked_on(self, name):
        table = plan(None, [*read_inputs([YOUTUBE]), link("a")], exclude={name})
        assert table["verdict"].to_pylist() == ["excluded", None]

    def test_the_limit_counts_new_sources_with_work(self):
        table = plan(None, [link("a")], limit=1)
        found = [link("a"), link("x"), link("b"), link("c"), link("d")]
        grown = plan(table, found, limit=2, exclude={"https://example.org/x"})
        assert [Path(s).name for s in grown["source"].to_pylist()] == ["a", "x", "b", "c"]

    def test_retried_sources_go_into_new_shards_with_their_next_attempt_and_what_they_carried(self):
        table = plan(None, [Source("https://x.org/a", "1" * 16, 1.0, 2.0, {"k": 1}, True), link("b")])
        failed = source_rows(table)[:1]
        again = plan(table, [], retry=failed)
        row = source_rows(again)[-1]
        assert (row.attempt, row.shard, row.carried, row.start) == (2, 1, '{"k": 1}', 1.0)
        assert plan(again, [], retry=failed).equals(again)
        assert plan(again, [], retry=[row])["attempt"].to_pylist() == [1, 1, 2, 3]

    def test_rows_without_work_don_t_fill_a_shard(self):
        found = [link("x"), link("a"), link("x", 1), link("b"), link("c")]
        table = plan(None, found, exclude={"https://example.org/x"})
        assert table["shard"].to_pylist() == [0, 0, 0, 0, 1]

    def test_a_hundred_thousand_sources_are_planned_in_seconds(self):
        found = [link(str(n)) for n in range(100_000)]
        began = time.thread_time()
        table = plan(plan(None, found), found)
        assert len(table) == 100_000
        assert time.thread_time() - began < 20


spans = st.sampled_from([(None, None), (0.0, 5.0), (3.0, 9.0), (5.0, None)])
sources = st.builds(
    lambda name, id_, span, url: Source(f"{'https://' if url else '/'}x.org/{name}", id_ * 16, *span, {}, url),
    st.sampled_from("abcdef"),
    st.sampled_from("0123"),
    spans,
    st.booleans(),
)
runs = st.lists(
    st.tuples(
        st.lists(sources, max_size=12),
        st.sampled_from([1, 2, 5, "auto"]),
        st.sampled_from([None, 0, 1, 3]),
        st.sets(st.sampled_from(["0" * 16, "https://x.org/a"]), max_size=1),
        st.floats(0, 1),
    ),
    max_size=4,
)


@given(runs)
def test_a_table_only_ever_grows_at_its_end_and_no_two_worked_spans_of_a_video_overlap(history):
    table = SOURCES.empty_table()
    for found, per_shard, limit, exclude, share in history:
        worked = [row for row in source_rows(table) if row.planned_state is None]
        retry = worked[: int(share * len(worked))]
        planned = plan_sources(table, found, videos_per_shard=per_shard, limit=limit, exclude=exclude, retry=retry)
        grown = planned.table
        assert grown.schema == SOURCES
        assert grown.slice(0, len(table)).equals(table)
        added = grown.slice(len(table)).to_pylist()
        assert all(row["shard"] > max(table["shard"].to_pylist(), default=-1) for row in added)
        counts = Counter(row["shard"] for row in added if row["verdict"] is None)
        assert all(count <= planned.videos_per_shard for count in counts.values())
        fresh = [row for row in added if row["attempt"] == 1 and row["verdict"] is None]
        assert limit is None or len(fresh) <= limit
        table = grown
    kept = [row for row in table.to_pylist() if row["verdict"] is None and row["attempt"] == 1]
    for i, a in enumerate(kept):
        for b in kept[:i]:
            disjoint = (a["end"] or math.inf) <= (b["start"] or 0) or (b["end"] or math.inf) <= (a["start"] or 0)
            assert a["video_id"] != b["video_id"] or disjoint
