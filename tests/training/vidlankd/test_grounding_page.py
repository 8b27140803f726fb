"""Grounding: the clips nearest to words, on a page that is safe to open."""

import itertools
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from support import tiny_teacher
from support.feature_sets import NAME, write_features
from support.selections import write_selection
from support.shard_factory import LAYER, build_dir
from support.tiny_bert import WORDS, tiny_tokenizer

from runtime.errors import UserError
from shards.reader import read_table
from shards.storage.store import Store
from training.features.feature_store import FeatureStore
from training.models.vidlankd.bert_model import hidden_states
from training.models.vidlankd.student_model import Distillation, Student, load_student, save_student
from training.models.vidlankd.teacher_model import load_teacher, save_teacher
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.grounding.clip_gallery import GalleryClip, Stills, embed_clips, find_clips
from training.vidlankd.grounding.grounding_page import GroundingPage, Hit, QueryWord, SentenceGrounding, clock, render
from training.vidlankd.grounding.word_grounding import ground, join_pieces, nearest, word_vectors
from training.vidlankd.student.teacher_states import weights_identity
from training.vidlankd.train_vidlankd import main

SENTENCE = "a man cut the redly paper"


class Found(HTMLParser):
    """What a page shows: pictures, headings of rows, and anything that would be fetched or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[str] = []
        self.outside: list[str] = []
        self.figures = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.figures += tag == "figure"
        if tag == "img":
            self.images.append(values["src"])
        loads = [values.get("src", ""), values.get("href", "")]
        if tag in ("script", "link", "iframe") or any(v and not v.startswith(("data:image/jpeg", "#")) for v in loads):
            self.outside.append(tag)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Shards with features, a teacher, a student with heads and one without."""
    folder = tmp_path_factory.mktemp("ground")
    shards = str(folder / "shards")
    build_dir(shards, shards=2, videos_per_shard=2)
    write_features(shards, encoder="counts")
    tokenizer = tiny_teacher.tokenizer()
    save_teacher(tiny_teacher.teacher(), tokenizer, folder / "teacher")
    return {
        "folder": folder,
        "shards": shards,
        "teacher": folder / "teacher",
        "student": student_in(folder / "student", 16, Distillation(("nst", "crd"), 32, 8)),
        "plain": student_in(folder / "plain", 32, None),
        "narrow": student_in(folder / "narrow", 16, Distillation(("nst",), 32)),
    }


def student_in(folder: Path, hidden: int, distillation: Distillation | None, tokenizer: TextTokenizer = None) -> Path:
    torch.manual_seed(5)
    shape = tiny_teacher.settings().shape.model_copy(update={"hidden": hidden})
    tokenizer = tokenizer or tiny_teacher.tokenizer()
    save_student(Student(shape, tokenizer, distillation), tokenizer, folder)
    return folder


def run(made: dict, output: Path, sentences: list[str] | None = None, **changes: object) -> str:
    given = {"teacher": made["teacher"], "student": made["student"], "shards": [made["shards"]], "features": NAME}
    ground([SENTENCE] if sentences is None else sentences, **given | {"top": 3, "output": output} | changes)
    return output.read_text(encoding="utf-8")


def test_each_word_shows_its_nearest_clips_by_teacher_and_by_student(made: dict, tmp_path: Path) -> None:
    page = Found(run(made, tmp_path / "page.html", [SENTENCE, "water"]))
    assert page.figures == (6 + 1) * 3 * 2
    assert len(page.images) == page.figures


def test_the_command_writes_the_page_and_prints_its_path(
    made: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = ["--teacher", str(made["teacher"]), "--student", str(made["student"])]
    data = ["--shards", made["shards"], "--features", NAME, "--output", str(tmp_path / "page.html")]
    assert main(["ground", *models, *data, "--sentence", "water", "--sentence", "red ball", "--top", "2"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "page.html")
    assert Found((tmp_path / "page.html").read_text()).figures == 3 * 2 * 2


def test_the_page_fetches_nothing_and_runs_nothing(made: dict, tmp_path: Path) -> None:
    text = run(made, tmp_path / "page.html")
    assert Found(text).outside == []
    assert "default-src 'none'" in text


def test_the_students_words_come_into_the_teachers_space_by_its_head_for_crd(made: dict, tmp_path: Path) -> None:
    text = run(made, tmp_path / "page.html", ["water"], top=1)
    teacher, tokenizer = load_teacher(made["teacher"])
    student, _ = load_student(made["student"])
    store = FeatureStore.open([made["shards"]], NAME)
    _, clips_NH = embed_clips(find_clips([made["shards"]], 100), teacher, store)
    ids_BL = torch.tensor([[tokenizer.cls, *tokenizer.encode(["water"])[0], tokenizer.sep]])
    valid_BL = torch.ones_like(ids_BL, dtype=torch.bool)
    with torch.no_grad():
        own = teacher.token_vectors(ids_BL, valid_BL)[0, 1]
        theirs = F.normalize(student.heads["crd"](hidden_states(student.text, ids_BL, valid_BL))[0, 1], dim=0)
    for vector in (own, theirs):
        assert f"<b>{(clips_NH @ vector).max():.3f}</b>" in text


def test_a_student_without_head_is_compared_by_its_hidden_states_if_widths_agree(made: dict, tmp_path: Path) -> None:
    assert "as it has no head" in run(made, tmp_path / "page.html", student=made["plain"])


def test_the_teacher_can_stand_alone(made: dict, tmp_path: Path) -> None:
    assert Found(run(made, tmp_path / "page.html", student=None)).figures == 6 * 3


def test_nearest_are_the_greatest_cosines_in_their_order() -> None:
    words_WH, clips_NH = (
        F.normalize(torch.randn(n, 8, generator=torch.Generator().manual_seed(n)), dim=1) for n in (3, 20)
    )
    for row, word in zip(nearest(words_WH, clips_NH, 4), words_WH, strict=True):
        scores = {n: float(word @ clip) for n, clip in enumerate(clips_NH)}
        assert [place for place, _ in row] == sorted(scores, key=scores.__getitem__, reverse=True)[:4]
        assert [score for _, score in row] == pytest.approx(sorted(scores.values(), reverse=True)[:4])
    assert len(nearest(words_WH, clips_NH, 50)[0]) == 20


def test_pieces_make_one_word_with_the_mean_of_their_vectors() -> None:
    words, groups = join_pieces(["un", "##to", "##ld", "red", "."])
    assert words == ["untold", "red", "."]
    vectors_LH = F.normalize(torch.randn(5, 4), dim=1)
    expected = F.normalize(vectors_LH[:3].mean(0), dim=0)
    torch.testing.assert_close(word_vectors(vectors_LH, groups)[0], expected)


def test_clips_tile_their_roots_and_were_kept(made: dict) -> None:
    found = find_clips([made["shards"]], 100)
    spans = sorted((clip.root_key, clip.start, clip.end) for clip in found)
    assert all(a[0] != b[0] or a[2] <= b[1] for a, b in itertools.pairwise(spans))
    assert len(found) == 4 * 3  # a tree's two shorts and its second medium; the short roots were filtered
    assert len(find_clips([made["shards"]], 5)) == 5
    assert find_clips([made["shards"]], 5) == found[:5]


@pytest.mark.parametrize(
    ("kept", "found"), [({0}, {0}), ({0, 1}, {1}), ({0, 2}, {2}), ({0, 1, 2, 4}, {2, 4}), ({1, 3}, {3})]
)
def test_a_kept_clip_represents_the_clips_in_it_that_were_not_kept(tmp_path: Path, kept: set, found: set) -> None:
    """Of a tree with the root 0, its mediums 1 and 4, and 2 and 3 in the first of them."""
    build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    store, name = Store(tmp_path / "dir"), f"text/{LAYER}/0000000.parquet"
    rows = read_table(store, name).to_pylist()
    tree = [row["key"] for row in rows if row["root_key"] == rows[0]["root_key"]]
    keep = {tree[number] for number in kept}
    marks = [{"filter_reason": None if row["key"] in keep else "dull", "keep": row["key"] in keep} for row in rows]
    shared = [{"key": row["key"], "shard": row["shard"], "split": "train"} for row in rows]
    write_selection(store, LAYER, [one | mark for one, mark in zip(shared, marks, strict=True)])
    assert {tree.index(clip.key) for clip in find_clips([str(tmp_path / "dir")], 100)} == found


def test_texts_from_sentences_and_shards_are_escaped() -> None:
    bad = "<script>alert('x')</script>"
    clip = GalleryClip("dir", 0, "key", "root", 0.0, 5.0, 0.0, bad + '" onload="')
    page = GroundingPage([SentenceGrounding(bad, [QueryWord(bad, [[Hit(clip, 0.5, None)]])])], ["teacher"], [bad])
    text = render(page)
    assert "<script" not in text
    assert Found(text).outside == []
    assert 'onload="' not in text


def test_a_clip_without_a_readable_still_is_shown_without_a_picture(tmp_path: Path) -> None:
    build_dir(tmp_path, shards=1, videos_per_shard=1)
    (clip, *_) = find_clips([str(tmp_path)], 10)
    assert Stills().picture(clip) is not None
    tar = Path(Store(tmp_path).path("keyframes/0000000.tar"))
    data = tar.read_bytes()
    tar.write_bytes(data.replace(b"\xff\xd8\xff", b"\x00\x00\x00"))
    assert Stills().picture(clip) is None
    tar.unlink()
    assert Stills().picture(clip) is None
    text = render(GroundingPage([SentenceGrounding("a", [QueryWord("a", [[Hit(clip, 0.5, None)]])])], ["teacher"], []))
    assert "no still" in text


def test_clips_without_features_are_left_out_and_none_with_any_is_refused(tmp_path: Path, made: dict) -> None:
    build_dir(tmp_path, shards=1, videos_per_shard=2)
    clips, teacher = find_clips([str(tmp_path)], 100), load_teacher(made["teacher"])[0]
    one = clips[0].root_key
    write_features(tmp_path, encoder="counts", has=lambda root_key: root_key == one)
    kept, vectors_NH = embed_clips(clips, teacher, FeatureStore.open([str(tmp_path)], NAME))
    assert {clip.root_key for clip in kept} == {one}
    assert len(vectors_NH) == len(kept)
    write_features(tmp_path, encoder="counts", has=lambda root_key: False)
    with pytest.raises(UserError, match=r"none of \d+ clips has any; run `train-vidlankd features`"):
        embed_clips(clips, teacher, FeatureStore.open([str(tmp_path)], NAME))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sentences": []}, "--sentence: write at least one"),
        ({"sentences": ["  "]}, "has no word"),
        ({"sentences": ["red " * 40]}, "40 tokens, the teacher takes 30; shorten it"),
        ({"features": "other"}, "features 'other'"),
        ({"top": 0}, "--top 0: must be at least 1"),
        ({"output": Path("/proc/nowhere/page.html")}, "can't be written"),
    ],
)
def test_mistakes_are_reported_in_one_line(made: dict, tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(UserError, match=said) as raised:
        run(made, **{"output": tmp_path / "page.html"} | changes)
    assert "\n" not in str(raised.value)


def test_features_of_another_encoder_are_refused(made: dict, tmp_path: Path) -> None:
    write_features(made["shards"], name="elsewhere", encoder="another")
    with pytest.raises(UserError, match="not those of the teacher"):
        run(made, tmp_path / "page.html", features="elsewhere")


def test_a_student_of_another_vocabulary_or_space_is_refused(made: dict, tmp_path: Path) -> None:
    other = TextTokenizer.from_folder(tiny_tokenizer(tmp_path / "vocabulary", words=WORDS[:9]))
    student_in(tmp_path / "student", 32, None, other)
    with pytest.raises(UserError, match="is not the teacher's"):
        run(made, tmp_path / "page.html", student=tmp_path / "student")
    with pytest.raises(UserError, match="no head maps between them"):
        run(made, tmp_path / "page.html", student=made["narrow"])


def test_a_student_of_another_teacher_is_refused_but_a_moved_teacher_is_not(made: dict, tmp_path: Path) -> None:
    identity = weights_identity(made["teacher"])
    student = student_in(tmp_path / "student", 16, Distillation(("crd",), 32, 8, identity))
    copy = Path(shutil.copytree(made["teacher"], tmp_path / "copy"))
    assert "head for crd" in run(made, tmp_path / "page.html", student=student, teacher=copy)
    save_teacher(tiny_teacher.teacher(seed=7), tiny_teacher.tokenizer(), tmp_path / "other")
    with pytest.raises(UserError, match=f"distilled from another teacher .weights {identity}, --teacher has"):
        run(made, tmp_path / "page.html", student=student, teacher=tmp_path / "other")


def test_times_read_as_on_a_clock() -> None:
    assert [clock(x) for x in (0, 65.9, 3723)] == ["0:00", "1:05", "1:02:03"]
