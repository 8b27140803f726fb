"""Text corpora of every kind become one stream of tokens."""

import errno
import gzip
import json
import os
import re
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from support.shard_factory import LAYER, build_dir
from support.tiny_bert import tiny_tokenizer
from support.tiny_corpus import sentences, tokenise

from runtime.errors import MachineError, UserError
from runtime.settings import build
from shards.dataset import Dataset
from training.corpus import corpus_parts, format_detection, part_lines
from training.corpus.corpus_inputs import inspect_files
from training.corpus.corpus_parts import CorpusPart, split_into_parts
from training.corpus.token_files import PartRecord, TokenBlocks
from training.corpus.tokenize_settings import TokenizeSettings
from training.corpus.tokenizer_pool import tokenize_parts
from training.models.vidlankd.text_tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_tokenizer(tmp_path_factory.mktemp("vocabulary"))


def written(folder: Path, text: str | bytes, name: str = "text.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def stream(folder: Path) -> list[int]:
    """All tokens, as they lie on disk."""
    record = json.loads((folder / "tokens.json").read_text())
    parts = [np.fromfile(folder / "parts" / part["name"], record["dtype"]) for part in record["parts"]]
    return np.concatenate(parts).tolist()


def expected(vocabulary: Path, *lines: str) -> list[int]:
    return [number for ids in TextTokenizer.from_folder(vocabulary).encode(lines) for number in ids]


def test_plain_text_becomes_its_tokens_without_specials(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, "The red ball.\n\n  \nA man walked\r\nlast line")
    summary = tokenise([text], tmp_path / "out", vocabulary)
    assert stream(tmp_path / "out") == expected(vocabulary, "The red ball.", "A man walked", "last line")
    assert summary.record.counts == {"bytes": text.stat().st_size, "lines": 5, "empty": 2}
    assert "5 lines (2 empty left out)" in summary.text()


def test_files_follow_one_another_and_the_tokenizer_is_kept(tmp_path: Path, vocabulary: Path) -> None:
    one, two = written(tmp_path, "the cat", "one"), written(tmp_path, "the dog", "two")
    tokenise([two, one], tmp_path / "out", vocabulary)
    assert stream(tmp_path / "out") == expected(vocabulary, "the dog", "the cat")
    record = json.loads((tmp_path / "out" / "tokens.json").read_text())
    kept = TextTokenizer.from_folder(tmp_path / "out" / "tokenizer")
    assert record["plan"]["tokenizer"] == kept.identity == TextTokenizer.from_folder(vocabulary).identity
    assert record["vocab_size"] == kept.vocab_size


def test_tokens_do_not_depend_on_workers_or_parts(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, sentences(3000))
    whole = tokenise([text], tmp_path / "whole", vocabulary)
    here = tokenise([text], tmp_path / "here", vocabulary, part_mb=0.02)
    apart = tokenise([text], tmp_path / "apart", vocabulary, part_mb=0.02, workers=2)
    assert len(whole.record.parts) == 1
    assert len(here.record.parts) > 5
    assert here.record.parts == apart.record.parts
    assert stream(tmp_path / "whole") == stream(tmp_path / "here") == stream(tmp_path / "apart")
    assert here.record.counts == whole.record.counts


def test_wikitext_headings_are_left_out(tmp_path: Path, vocabulary: Path) -> None:
    text = " \n = The House = \n \n The cat = a dog \n = = Old = = \n"
    summary = tokenise([written(tmp_path, text, "wiki.train.tokens")], tmp_path / "out", vocabulary)
    assert stream(tmp_path / "out") == expected(vocabulary, "The cat = a dog")
    assert summary.record.counts["headings"] == 2
    tokenise([written(tmp_path, text, "page.txt")], tmp_path / "asked", vocabulary, format="wikitext")
    assert stream(tmp_path / "asked") == stream(tmp_path / "out")
    tokenise([tmp_path / "wiki.train.tokens"], tmp_path / "text", vocabulary, format="text")
    assert len(stream(tmp_path / "text")) > len(stream(tmp_path / "out"))


def test_lines_shorter_than_min_words_are_left_out(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, "one two\none two three\nthe cat is on the table\n")
    summary = tokenise([text], tmp_path / "out", vocabulary, min_words=3)
    assert stream(tmp_path / "out") == expected(vocabulary, "one two three", "the cat is on the table")
    assert summary.record.counts["short"] == 1


def test_gzip_is_read_as_the_text_it_contains(tmp_path: Path, vocabulary: Path) -> None:
    text = sentences(2000)
    tokenise([written(tmp_path, text)], tmp_path / "plain", vocabulary)
    packed = written(tmp_path, gzip.compress(text.encode()), "text.gz")
    summary = tokenise([packed], tmp_path / "packed", vocabulary, part_mb=0.02)
    assert len(summary.record.parts) > 3
    assert stream(tmp_path / "packed") == stream(tmp_path / "plain")


def test_a_cut_gzip_is_refused_by_name(tmp_path: Path, vocabulary: Path) -> None:
    packed = written(tmp_path, gzip.compress(sentences(2000).encode())[:-200], "text.gz")
    with pytest.raises(UserError, match=r"text.gz: truncated or damaged gzip .*; fetch it again"):
        tokenise([packed], tmp_path / "out", vocabulary)


@pytest.mark.parametrize("name", ["UTF-16LE", "UTF-16BE"])
@pytest.mark.parametrize("text", ["the cat and the dog\n", "кот и собака у дома\n"], ids=["latin", "cyrillic"])
def test_utf16_without_its_mark_is_refused_and_not_read_as_letters(
    tmp_path: Path, vocabulary: Path, name: str, text: str
) -> None:
    data = (text * 20).encode(name)
    for path in (written(tmp_path, data), written(tmp_path, gzip.compress(data), "text.gz")):
        with pytest.raises(UserError, match=rf"{path.name}: from byte \d+ on \d+% are NUL, .*iconv -f {name} -t UTF-8"):
            tokenise([path], tmp_path / path.stem / path.suffix, vocabulary)


def test_parquet_gives_its_text_column(tmp_path: Path, vocabulary: Path) -> None:
    rows = ["the cat\nthe dog", None, "", *sentences(500).splitlines()]
    pq.write_table(pa.table({"text": rows, "body": rows[::-1]}), tmp_path / "t.parquet", row_group_size=50)
    summary = tokenise([tmp_path / "t.parquet"], tmp_path / "out", vocabulary, part_mb=0.01)
    assert len(summary.record.parts) > 2
    assert stream(tmp_path / "out") == expected(vocabulary, *[row for row in rows if row])
    assert summary.record.counts["empty"] == 2
    tokenise([tmp_path / "t.parquet"], tmp_path / "body", vocabulary, column="body")
    assert stream(tmp_path / "body") == expected(vocabulary, *[row for row in rows[::-1] if row])


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path, vocabulary: Path) -> None:
    pq.write_table(pa.table({"texts": ["a"], "n": [1]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"no text column 'text' \(did you mean 'texts'\?\); set --column"):
        tokenise([tmp_path / "t.parquet"], tmp_path / "out", vocabulary)


def test_a_column_that_is_not_text_is_refused_with_its_type(tmp_path: Path, vocabulary: Path) -> None:
    pq.write_table(pa.table({"text": [["the", "cat"]], "n": [1]}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"column 'text' holds list<.*string>, not text; write it as strings"):
        tokenise([tmp_path / "t.parquet"], tmp_path / "out", vocabulary)
    with pytest.raises(UserError, match=r"none of its columns \(text, n\) holds text; name another file"):
        tokenise([tmp_path / "t.parquet"], tmp_path / "out", vocabulary, column="body")


def test_damaged_parquet_is_refused_with_its_row(tmp_path: Path, vocabulary: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": sentences(200).splitlines()}), path, row_group_size=100, use_dictionary=False)
    data = bytearray(path.read_bytes())
    second = pq.read_metadata(path).row_group(1).column(0)
    data[second.data_page_offset + 60 : second.data_page_offset + second.total_compressed_size] = bytes(
        second.total_compressed_size - 60
    )
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"t.parquet: damaged Parquet from row 100 on \(.*\); fetch it again"):
        tokenise([path], tmp_path / "out", vocabulary, part_mb=0.001)


def test_parquet_with_a_damaged_name_is_refused(tmp_path: Path, vocabulary: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"text": ["the cat"]}), path, store_schema=False)
    head, _, tail = path.read_bytes().rpartition(b"text")
    path.write_bytes(head + b"te\xe9t" + tail)
    with pytest.raises(UserError, match=r"t.parquet: incomplete or damaged Parquet file \(.*\); fetch it again"):
        tokenise([path], tmp_path / "out", vocabulary)


def test_a_machine_fault_while_reading_parquet_is_not_the_files() -> None:
    with pytest.raises(OSError, match="no room"):
        format_detection.raise_damaged(OSError(errno.ENOSPC, "no room"), "t.parquet", "damaged")


def test_parquet_that_is_not_utf8_is_not_sent_to_another_encoding(tmp_path: Path, vocabulary: Path) -> None:
    rows = pa.array([b"the cat", b"caf\xe9"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": rows}), tmp_path / "t.parquet")
    with pytest.raises(UserError, match=r"row 1, byte 3 \(0xe9\) is not utf-8, which column 'text'") as caught:
        tokenise([tmp_path / "t.parquet"], tmp_path / "out", vocabulary)
    assert "--encoding" not in str(caught.value)


def test_the_texts_of_kept_training_clips_make_a_corpus(tmp_path: Path, vocabulary: Path) -> None:
    shards = build_dir(tmp_path / "dir", val_percent=50).root
    tokenise([], tmp_path / "out", vocabulary, shards=[shards])
    dataset = Dataset(shards, LAYER)
    rows = [row for shard in dataset.shards for row in dataset.texts(shard).to_pylist()]
    texts = [row["grounded_text"] for row in rows if row["split"] == "train" and row["keep"] and row["grounded_text"]]
    assert texts
    assert len(texts) < len(rows)
    assert stream(tmp_path / "out") == expected(vocabulary, *texts)
    with pytest.raises(UserError, match=r"--column grounded: .*did you mean 'grounded_text'"):
        tokenise([], tmp_path / "other", vocabulary, shards=[shards], column="grounded")


def test_bytes_of_another_encoding_are_named_with_their_place(tmp_path: Path, vocabulary: Path) -> None:
    head = sentences(2000).encode()
    text = written(tmp_path, head + "the caf\xe9 is old\n".encode("latin-1") + head)
    with pytest.raises(UserError, match=rf"text.txt: byte {len(head) + 7} \(0xe9\) is not utf-8; .*--encoding latin-1"):
        tokenise([text], tmp_path / "out", vocabulary, part_mb=0.02)
    tokenise([text], tmp_path / "latin", vocabulary, encoding="latin-1")
    assert len(stream(tmp_path / "latin")) > 0


def test_an_unknown_encoding_and_one_without_ascii_are_refused(tmp_path: Path) -> None:
    for name in ("utf8-wrong", "utf-16", "base64"):
        with pytest.raises(UserError, match=f"encoding='{name}': unknown, or not a superset of ASCII"):
            build(TokenizeSettings, {"encoding": name}, "")


def test_a_bom_and_control_characters_leave_no_trace(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, b"\xef\xbb\xbfthe\x00cat\x07\x1b is\x0bold\x7f\n\x00\n")
    summary = tokenise([text], tmp_path / "out", vocabulary)
    assert stream(tmp_path / "out") == expected(vocabulary, "the cat is old")
    assert summary.record.counts["empty"] == 1


def test_lines_without_end_are_split_between_words(
    tmp_path: Path, vocabulary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = written(tmp_path, "the ball " * 5000)
    tokenise([text], tmp_path / "whole", vocabulary)
    monkeypatch.setattr(part_lines, "MAX_LINE", 1000)
    monkeypatch.setattr(corpus_parts, "_SEARCH_BYTES", 500)
    summary = tokenise([text], tmp_path / "out", vocabulary, part_mb=0.005)
    assert len(summary.record.parts) > 5
    assert stream(tmp_path / "out") == stream(tmp_path / "whole")


def test_a_part_is_never_cut_within_a_character(
    tmp_path: Path, vocabulary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus_parts, "_SEARCH_BYTES", 50)
    text = written(tmp_path, "é火" * 3000)
    assert len(tokenise([text], tmp_path / "out", vocabulary, part_mb=0.001).record.parts) > 5


def test_files_that_are_not_text_are_refused_by_format(tmp_path: Path, vocabulary: Path) -> None:
    cases = {
        "is compressed with zip; decompress it first": written(tmp_path, b"PK\x03\x04rest", "a"),
        "looks like UTF-16; convert it first": written(tmp_path, "text".encode("utf-16"), "b"),
        "is a tar archive; unpack it first": archive(tmp_path / "e.tar", "w"),
        "is a tar archive; unpack it": archive(tmp_path / "e.tar.gz", "w:gz"),
        "incomplete or damaged Parquet file": written(tmp_path, b"PAR1rest", "c"),
        "there is no such file": tmp_path / "none",
        "is a folder; name its files": tmp_path,
        r"can't be opened \(Not a directory\); name a file": written(tmp_path, "the cat", "d") / "x",
        r"can't be opened \(File name too long\); name a file": tmp_path / ("x" * 300),
    }
    for message, path in cases.items():
        with pytest.raises(UserError, match=rf"--corpus {path}: {message}"):
            tokenise([path], tmp_path / "out", vocabulary)
    with pytest.raises(UserError, match="--format parquet, but this is no Parquet file"):
        tokenise([written(tmp_path, "text")], tmp_path / "out", vocabulary, format="parquet")


def archive(path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as tar:
        tar.add(written(path.parent, "the cat\n" * 9000, "member"), "member")
    return path


@pytest.mark.parametrize(
    "text", ['{"text": "the cat"}\n', '\ufeff{ "id": 1, "text": "the cat"}', '[\n {\n  "text": "the cat"\n }\n]']
)
def test_json_is_not_read_as_text_unless_asked(tmp_path: Path, vocabulary: Path, text: str) -> None:
    for name, data in (("a.jsonl", text.encode()), ("a.json.gz", gzip.compress(text.encode()))):
        path = written(tmp_path, data, name)
        with pytest.raises(UserError, match=f"--corpus {path}: looks like JSON.* or read the file .* --format text"):
            tokenise([path], tmp_path / "out", vocabulary)
    assert tokenise([tmp_path / "a.jsonl"], tmp_path / "out", vocabulary, format="text").record.tokens


def test_an_input_that_is_named_twice_is_refused(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, "the cat")
    (tmp_path / "link").symlink_to(text)
    with pytest.raises(UserError, match=f"--corpus {text}: is named twice; leave one out"):
        tokenise([text, tmp_path / "link"], tmp_path / "out", vocabulary)
    with pytest.raises(UserError, match="--shards DIR: is named twice"):
        tokenise([], tmp_path / "out", vocabulary, shards=["DIR", "DIR"])


def test_wikitext_with_unknown_words_is_read_and_said_to_be_the_wrong_one(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, " = Lobster = \n \n a <unk> lobster \n the red one \n")
    assert "1 lines hold WikiText's <unk>" in tokenise([text], tmp_path / "a", vocabulary, format="wikitext").text()
    raw = written(tmp_path, " = Lobster = \n \n a large lobster \n", "raw")
    assert "<unk>" not in tokenise([raw], tmp_path / "b", vocabulary, format="wikitext").text()


def test_a_corpus_without_any_text_is_refused(tmp_path: Path, vocabulary: Path) -> None:
    with pytest.raises(UserError, match="no text in 3 lines of 2 inputs"):
        tokenise([written(tmp_path, "\n \n\n"), written(tmp_path, "", "none")], tmp_path / "out", vocabulary)
    with pytest.raises(UserError, match="name at least one text file"):
        tokenise([], tmp_path / "out", vocabulary)


def test_a_finished_corpus_is_not_made_again(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, sentences(10))
    first = tokenise([text], tmp_path / "out", vocabulary)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.bin")}
    again = tokenise([text], tmp_path / "out", vocabulary)
    assert (again.record, again.kept) == (first.record, 1)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.bin")}


def test_a_stopped_run_keeps_its_parts_and_a_cut_one_is_made_again(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, sentences(2000))
    whole = tokenise([text], tmp_path / "out", vocabulary, part_mb=0.02)
    tokens = stream(tmp_path / "out")
    parts = tmp_path / "out" / "parts"
    (tmp_path / "out" / "tokens.json").unlink()
    (parts / "00001.json").unlink()
    (parts / "00002.bin").write_bytes((parts / "00002.bin").read_bytes()[:-2])
    (parts / ".tmp-rest").write_bytes(b"half")
    again = tokenise([text], tmp_path / "out", vocabulary, part_mb=0.02)
    assert again.kept == len(whole.record.parts) - 2
    assert again.record == whole.record
    assert stream(tmp_path / "out") == tokens
    assert not (parts / ".tmp-rest").exists()


def test_a_part_whose_record_is_empty_or_of_another_is_made_again(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, sentences(2000))
    whole = tokenise([text], tmp_path / "out", vocabulary, part_mb=0.02)
    tokens = stream(tmp_path / "out")
    parts = tmp_path / "out" / "parts"
    (tmp_path / "out" / "tokens.json").unlink()
    (parts / "00000.json").write_bytes(b"")
    (parts / "00001.json").write_bytes((parts / "00002.json").read_bytes())
    (parts / "notes.json").write_text("{}")
    again = tokenise([text], tmp_path / "out", vocabulary, part_mb=0.02)
    assert again.kept == len(whole.record.parts) - 2
    assert again.record == whole.record
    assert stream(tmp_path / "out") == tokens


def test_a_killed_run_is_finished_by_the_next(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, sentences(20000))
    program = f"""
        import os, sys
        from pathlib import Path
        from training.corpus import part_tokenizer, tokenize_corpus as t, tokenize_settings
        make = part_tokenizer.PartTokenizer.__call__
        def killed(self, number, part):
            if number == 3:
                os.kill(os.getpid(), 9)
            return make(self, number, part)
        part_tokenizer.PartTokenizer.__call__ = killed
        settings = tokenize_settings.TokenizeSettings(tokenizer="path://{vocabulary}", workers=0, part_mb=0.1)
        t.tokenize([Path("{text}")], Path("{tmp_path}/out"), settings)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -9
    with pytest.raises(UserError, match=r"no tokens.json there; it was not finished"):
        TokenBlocks.open(tmp_path / "out")
    again = tokenise([text], tmp_path / "out", vocabulary, part_mb=0.1)
    assert again.kept == 3
    tokenise([text], tmp_path / "undisturbed", vocabulary, part_mb=0.1)
    assert stream(tmp_path / "out") == stream(tmp_path / "undisturbed")


class Dies:
    """Stands for a part that is too much for the machine."""

    def __call__(self, number: int, part: CorpusPart) -> PartRecord:
        os._exit(9)


def test_a_worker_that_dies_is_a_machine_error(tmp_path: Path) -> None:
    [source] = inspect_files([written(tmp_path, "the cat")], TokenizeSettings())
    with pytest.raises(MachineError, match="a tokenizing process died"):
        list(tokenize_parts(Dies(), enumerate(split_into_parts(source, 1000)), 1, {}))


def test_two_runs_do_not_write_one_corpus(tmp_path: Path, vocabulary: Path) -> None:
    text, out = written(tmp_path, "the cat"), tmp_path / "out"
    out.mkdir()
    with FileLock(out / ".lock"), pytest.raises(UserError, match="another `train-vidlankd tokenize` is writing there"):
        tokenise([text], out, vocabulary)


def test_other_settings_and_changed_inputs_are_refused_with_the_difference(tmp_path: Path, vocabulary: Path) -> None:
    text, out = written(tmp_path, sentences(10)), tmp_path / "out"
    tokenise([text], out, vocabulary)
    with pytest.raises(UserError, match=r"--output .*: was begun with block=126, not 30; name a new folder"):
        tokenise([text], out, vocabulary, block=30)
    with pytest.raises(UserError, match=r"another tokenizer"):
        tokenise([text], out, tiny_tokenizer(tmp_path / "other", ["cat"]))
    with pytest.raises(UserError, match=r"other inputs \(text.txt\)"):
        tokenise([text, written(tmp_path, "the cat", "more")], out, vocabulary)
    written(tmp_path, sentences(11))
    with pytest.raises(UserError, match=r"an earlier version of .*text.txt"):
        tokenise([text], out, vocabulary)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, vocabulary: Path) -> None:
    text = written(tmp_path, "the cat")
    with pytest.raises(UserError, match=r"--output .*: holds text.txt, and no corpus"):
        tokenise([text], tmp_path, vocabulary)
    with pytest.raises(UserError, match=r"is a file, or is below one"):
        tokenise([text], text / "out", vocabulary)


def test_real_wikitext_is_read_whole(shared_fixtures: Path, tmp_path: Path, vocabulary: Path) -> None:
    text = shared_fixtures / "text" / "wikitext-2" / "valid.txt"
    counts = tokenise([text], tmp_path / "out", vocabulary).record.counts
    assert counts["bytes"] == text.stat().st_size
    assert counts["headings"] == len(re.findall(r"^ = .* = $", text.read_text(), re.MULTILINE))
    assert counts["lines"] == text.read_text().count("\n")
