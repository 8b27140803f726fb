"""`curate run` from end to end on one real Ray: what is done again and what is not, whatever has changed since.

One DIR grows through the module's fixtures (`grown`); each test that changes it takes a copy.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.broken_videos import path_of
from support.curate_runs import CHEAP, Ended, config_in, curate, run_arguments, talk
from support.dir_contents import (
    Snapshot,
    all_rows,
    assert_texts_hold,
    assert_trees_nest,
    latest_states,
    shape,
    snapshot,
)
from support.fake_llm import Body, FakeLLM, Reply
from support.model_replies import INJECTED, INVENTED, SEEN, careful, garbage, has_image, obedient
from support.video_server import video_server

from runtime.ray_runner.cluster import ClusterSettings, connected
from shards.reader import read_artifact, read_table
from shards.storage.store import Store

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def ray_here() -> Iterator[None]:
    """One Ray of four logical CPUs for the module; each run uses it as it would use its own."""
    with connected(ClusterSettings(num_cpus=4)):
        yield


@dataclass(frozen=True)
class Grown:
    """A DIR that was made in three runs, and its content after each."""

    config: Path
    inputs: Path
    dir: Path
    media_only: Snapshot
    media_and_captions: Snapshot
    whys: tuple[str, ...]
    """The layout of each run's stages."""

    @property
    def store(self) -> Store:
        """The DIR."""
        return Store(self.dir)

    def copy(self, folder: Path) -> Path:
        """Copy the DIR into another folder."""
        return Path(shutil.copytree(self.dir, folder / "dir"))

    def again(self, output: Path, llm: FakeLLM, *extra: str | Path, inputs: Path | list[Path] | None = None) -> Ended:
        """Run the same command once more, on a copy."""
        return curate(*run_arguments(CHEAP, self.config, inputs or self.inputs, output, llm), *extra)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Grown:
    """Two talks' media; then all media and captions; then the texts. One talk tries to give orders."""
    root = tmp_path_factory.mktemp("grown")
    inputs, output = root / "in", root / "out"
    inputs.mkdir()
    talk(inputs / "a.mp4", 75)
    talk(inputs / "b.mp4", 9)
    talk(inputs / "c.mp4", 9, injected=True)
    talk(inputs / "d-unwanted.mp4", 6)
    config = config_in(root)
    excluded = hashlib.sha256((inputs / "d-unwanted.mp4").read_bytes()).hexdigest()[:16]
    (root / "ids.txt").write_text(f"# not this one\n{excluded}\n")
    steps = [["--stages", "media", "--limit", "2", "--exclude", excluded], ["--stages", "media,caption"], []]
    steps[1] += ["--exclude", str(root / "ids.txt")]
    snapshots = []
    with FakeLLM(careful) as llm:
        arguments = run_arguments(CHEAP, config, inputs, output, llm)
        for step in steps:
            ended = curate(*arguments, "--set", "videos_per_shard=1", *step)
            assert ended.status == 0, ended.err
            snapshots.append(snapshot(output))
    whys = [json.loads(log.read_text().splitlines()[0])["why"] for log in sorted((output / "log").glob("*.jsonl"))]
    return Grown(config, inputs, output, snapshots[0], snapshots[1], tuple(whys))


def committed(found: Snapshot, folder: str) -> set[str]:
    """Return the names of the tables in a folder."""
    return {name for name in found if name.startswith(f"{folder}/") and name.endswith(".parquet")}


def changed(before: Snapshot, after: Snapshot) -> set[str]:
    """Return the names that are new, gone, or were written again."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def besides(names: set[str], folder: str) -> set[str]:
    """Return the names outside a folder."""
    return {name for name in names if not name.startswith(folder)}


# Stages one by one


def test_media_alone_stops_there_and_takes_no_more_than_the_limit(grown: Grown) -> None:
    assert committed(grown.media_only, "media") == {"media/0000000.parquet", "media/0000001.parquet"}
    assert not committed(grown.media_only, "captions/cheap")
    assert not committed(grown.media_only, "text/cheap")
    assert "index.parquet" in grown.media_only


def test_stages_that_are_named_take_turns(grown: Grown) -> None:
    assert grown.whys[1] == "stages take turns: as asked"
    assert len(committed(grown.media_and_captions, "captions/cheap")) == 3
    assert not committed(grown.media_and_captions, "text/cheap")
    times = {folder: [at for name, (_, at) in grown.media_and_captions.items() if name.startswith(folder)]
             for folder in ("media/0000002", "captions/cheap/0")}  # fmt: skip
    assert max(times["media/0000002"]) < min(times["captions/cheap/0"])


def test_the_rest_comes_later_and_makes_nothing_again(grown: Grown) -> None:
    final = snapshot(grown.dir)
    assert len(committed(final, "text/cheap")) == 3
    first = {name for name in grown.media_only if name.split("/")[0] in ("media", "keyframes", "ledger")}
    assert not changed(grown.media_only, final) & first
    assert besides(changed(grown.media_and_captions, final), "text/cheap/") == {"selections/cheap.parquet"}


def test_an_id_that_is_excluded_is_booked_as_such_and_never_opened(grown: Grown) -> None:
    ledger = {Path(row["source"]).name: row for row in all_rows(grown.store, "ledger")}
    assert {name: row["state"] for name, row in ledger.items()} == {
        "a.mp4": "written", "b.mp4": "written", "c.mp4": "written", "d-unwanted.mp4": "filtered",
    }  # fmt: skip
    assert ledger["d-unwanted.mp4"]["class"] == "excluded"
    assert latest_states(grown.store) == {"written": 3, "filtered": 1}


def test_a_dir_that_grew_in_steps_passes_its_check(grown: Grown) -> None:
    ended = curate("check", grown.dir)
    assert ended.status == 0, ended.out
    assert_trees_nest(all_rows(grown.store, "media"))
    assert assert_texts_hold(grown.store, "cheap") == {"ok": len(all_rows(grown.store, "media"))}
    assert {row["level"] for row in all_rows(grown.store, "media")} == {"short", "medium", "long"}


def test_captions_of_a_vision_language_model_stand_in_every_row(grown: Grown) -> None:
    for row in all_rows(grown.store, "text/cheap"):
        assert {frame["text"] for frame in row["frame_captions"]} == {SEEN}
        assert row["caption"].rstrip(".").casefold() == SEEN
        assert row["grounding_score"] == 0.5
        assert row["models"]["captioner"] == row["models"]["rewriter"] == "fake"


# More input, and lost artifacts


@dataclass(frozen=True)
class Mended:
    """A copy of a DIR before and after a run that had captions to mend and a file to add."""

    dir: Path
    before: Snapshot
    after: Snapshot


@pytest.fixture(scope="module")
def mended(grown: Grown, tmp_path_factory: pytest.TempPathFactory) -> Mended:
    """A copy with a new file and without the captions of one shard, run again: before, after, and the new file."""
    root = tmp_path_factory.mktemp("mended")
    output = grown.copy(root)
    new = talk(root / "new.mp4", 6)
    (output / "captions" / "cheap" / "0000001.parquet").unlink()
    before = snapshot(output)
    with FakeLLM(careful) as llm:
        ended = grown.again(output, llm, inputs=[grown.inputs, new])
    assert ended.status == 0, ended.err
    return Mended(output, before, snapshot(output))


def test_a_new_file_makes_a_new_shard_and_leaves_all_others_untouched(mended: Mended) -> None:
    output, before, after = mended.dir, mended.before, mended.after
    of_new = {name for name in changed(before, after) if "0000003" in name}
    assert of_new == {
        "media/0000003.tar", "media/0000003.parquet", "keyframes/0000003.tar", "ledger/0000003.parquet",
        "videos/0000003.parquet", "captions/cheap/0000003.parquet", "text/cheap/0000003.parquet",
        "sources/0000003-0000003.parquet",
    }  # fmt: skip
    assert {row["source"] for row in all_rows(Store(output), "media") if row["shard"] == 3} == {
        str(output.parent / "new.mp4")
    }
    assert read_table(Store(output), "index.parquet")["shard"].to_pylist() == [0, 1, 2, 3]


def test_lost_captions_make_only_their_shards_captions_and_texts_again(mended: Mended) -> None:
    before, after = mended.before, mended.after
    of_old = {name for name in changed(before, after) if "0000003" not in name}
    assert of_old == {
        "captions/cheap/0000001.parquet", "text/cheap/0000001.parquet", "selections/cheap.parquet",
        "index.parquet",
    }  # fmt: skip


def test_a_mended_dir_passes_its_check(mended: Mended) -> None:
    output = mended.dir
    assert curate("check", output).status == 0
    assert assert_texts_hold(Store(output), "cheap").keys() == {"ok"}


# Other settings, and models that misbehave


def test_a_second_layer_stands_beside_the_first_and_a_model_of_noise_gives_fallbacks(
    grown: Grown, tmp_path: Path
) -> None:
    output = grown.copy(tmp_path)
    before = snapshot(output)
    with FakeLLM(garbage) as llm:
        ended = grown.again(output, llm, "--layer", "noisy", "--set", "rewrite.max_claims=2")
        assert not any(has_image(body) for body in llm.requests), "captions are reused"
    assert ended.status == 0, ended.err
    assert besides(changed(before, snapshot(output)), "text/noisy/") == {"selections/noisy.parquet"}
    assert assert_texts_hold(Store(output), "noisy").keys() == {"fallback"}
    assert curate("check", output, "--quick").status == 0
    assert "--layer noisy" in ended.err


@dataclass(frozen=True)
class Replaced:
    """A copy of a DIR whose layer was replaced."""

    dir: Path
    before: Snapshot
    asked: Sequence[Body]
    """Requests that the model received."""


@pytest.fixture(scope="module")
def replaced(grown: Grown, tmp_path_factory: pytest.TempPathFactory) -> Replaced:
    """A copy whose layer was replaced, by a model that does what subtitles say."""
    output = grown.copy(tmp_path_factory.mktemp("replaced"))
    before = snapshot(output)
    with FakeLLM(obedient) as llm:
        ended = grown.again(output, llm, "--replace", "--set", "rewrite.claim_chars=100")
        asked = list(llm.requests)
    assert ended.status == 0, ended.err
    return Replaced(output, before, asked)


def test_a_layer_is_replaced_when_all_of_its_successor_is_there(grown: Grown, replaced: Replaced) -> None:
    output, before, asked = replaced.dir, replaced.before, replaced.asked
    assert besides(changed(before, snapshot(output)), "text/cheap/") == {"selections/cheap.parquet"}
    assert [path.name for path in (output / "text").iterdir()] == ["cheap"]
    assert not any(has_image(body) for body in asked), "captions are reused"
    store = Store(output)
    hashes = {read_artifact(store, name).content_hash for name in committed(snapshot(output), "text/cheap")}
    assert len(hashes) == 1
    assert hashes.isdisjoint(read_artifact(grown.store, name).content_hash for name in committed(before, "text/cheap"))
    assert curate("check", output, "--quick").status == 0


def test_no_claim_of_a_model_that_obeys_a_subtitle_is_kept(replaced: Replaced) -> None:
    output, asked = replaced.dir, replaced.asked
    assert any(INJECTED in json.dumps(body) for body in asked), "the order did reach the model"
    statuses = assert_texts_hold(Store(output), "cheap")
    assert statuses.keys() == {"fallback"}
    rows = all_rows(Store(output), "text/cheap")
    said = [claim for row in rows for claim in row["claims"] if claim["text"].casefold() == INJECTED]
    assert said and {claim["verdict"] for claim in said} <= {"unsupported", "uncited"}


@dataclass(frozen=True)
class Outlived:
    """A copy of a DIR on which the model's server died during a run, and which a later run finished."""

    dir: Path
    url: str
    died: Ended
    then: Snapshot
    """The DIR after the server died."""
    checked: Ended
    finished: Ended


@pytest.fixture(scope="module")
def outlived(grown: Grown, tmp_path_factory: pytest.TempPathFactory) -> Outlived:
    """A copy on which the model's server died during a run, and which a later run finished."""
    output = grown.copy(tmp_path_factory.mktemp("outlived"))
    lock, left = threading.Lock(), [3]

    def dying(body: Body) -> Reply:
        with lock:
            left[0] -= 1
            alive = left[0] >= 0
        if alive:
            return careful(body)
        llm.die()
        return Reply(stall=True)

    with FakeLLM(dying) as llm:
        impatient = ("--set", "engines.llm.backoff=0.001")
        died = grown.again(output, llm, "--layer", "second", "--set", "rewrite.max_claims=2", *impatient)
        url = llm.url
    then = snapshot(output)
    checked = curate("check", output, "--quick")
    with FakeLLM(careful) as llm:
        finished = grown.again(output, llm, "--layer", "second", "--set", "rewrite.max_claims=2")
    return Outlived(output, url, died, then, checked, finished)


def test_a_model_server_that_dies_ends_the_run_with_one_line_and_status_1(outlived: Outlived) -> None:
    url, died = outlived.url, outlived.died
    assert died.status == 1
    assert "Traceback" not in died.err
    (line,) = [line for line in died.err.splitlines() if line.startswith("curate: ")]
    assert line.startswith("curate: stopped: ") and url in line and "can't be reached" in line


def test_nothing_half_written_is_left_when_the_model_server_dies(grown: Grown, outlived: Outlived) -> None:
    then, checked = outlived.then, outlived.checked
    assert checked.status == 0, checked.out
    assert changed(snapshot(grown.dir), then) == {"text/second/_stage.json"} | committed(then, "text/second")
    assert len(committed(then, "text/second")) < 3


def test_the_next_run_finishes_what_the_dead_server_left(outlived: Outlived) -> None:
    output, then, finished = outlived.dir, outlived.then, outlived.finished
    assert finished.status == 0, finished.err
    after = snapshot(output)
    assert len(committed(after, "text/second")) == 3
    assert not changed(then, after) & set(then)
    assert assert_texts_hold(Store(output), "second").keys() == {"ok"}
    assert any(claim["text"] == INVENTED for row in all_rows(Store(output), "text/second") for claim in row["claims"])


# Sources that fail


@dataclass(frozen=True)
class Retried:
    """A DIR whose sources failed at first because their server was down."""

    store: Store
    between: Snapshot
    """The DIR after the first run."""
    states: Counter[str]
    """States of the sources after the first run."""
    third: Ended


@pytest.fixture(scope="module")
def retried(grown: Grown, tmp_path_factory: pytest.TempPathFactory) -> Retried:
    """A URL whose server was down at the first run and up at the second."""
    root = tmp_path_factory.mktemp("retried")
    (root / "served").mkdir()
    shutil.copyfile(path_of("good"), root / "served" / "good.mp4")
    output = root / "out"
    arguments = [*run_arguments(CHEAP, grown.config, root / "urls.txt", output), "--stages", "media"]
    arguments += ["--set", "media.download.allow_private_addresses=127.0.0.0/8"]
    with video_server(root / "served", listening=False) as server:
        (root / "urls.txt").write_text(f"{server.url('good.mp4')}\n{server.url('gone.mp4')}\n")
        first = curate(*arguments)
        between, states = snapshot(output), latest_states(Store(output))
        server.listen()
        second = curate(*arguments, "--retry-failed", "network")
        third = curate(*arguments, "--retry-failed", "network")
    assert (first.status, second.status, third.status) == (0, 0, 0), first.err + second.err + third.err
    return Retried(Store(output), between, states, third)


def test_a_server_that_is_down_fails_its_sources_as_network(retried: Retried) -> None:
    store, states = retried.store, retried.states
    assert states == {"failed": 2}
    assert {row["class"] for row in read_table(store, "ledger/0000000.parquet").to_pylist()} == {"network"}


def test_retried_sources_end_in_a_new_shard_and_the_old_one_stays(retried: Retried) -> None:
    store, between = retried.store, retried.between
    old = {name for name in between if "0000000" in name}
    after = snapshot(Path(store.root))
    assert old and not changed(between, after) & old
    attempts = {(row["source"].rpartition("/")[2], row["attempt"]): row for row in all_rows(store, "ledger")}
    assert {name: (row["state"], row["class"], row["shard"]) for name, row in attempts.items()} == {
        ("good.mp4", 1): ("failed", "network", 0),
        ("gone.mp4", 1): ("failed", "network", 0),
        ("good.mp4", 2): ("written", None, 1),
        ("gone.mp4", 2): ("failed", "removed", 1),
    }
    assert latest_states(store) == {"written": 1, "failed": 1}


def test_a_class_without_failures_is_not_retried(retried: Retried) -> None:
    assert "nothing to do" in retried.third.err


def test_two_runs_over_the_same_input_have_the_same_shape(grown: Grown, mended: Mended) -> None:
    output = mended.dir
    mine, other = shape(grown.store, "cheap"), shape(Store(output), "cheap")
    assert mine["members"].items() <= other["members"].items()
    assert mine["texts"].items() <= other["texts"].items()
    assert Counter(mine["clips"]) <= Counter(other["clips"])
