"""The tokenizer that corpus, teacher and student share."""

import json
import pickle
from pathlib import Path

import pytest
from support.tiny_bert import tiny_tokenizer
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import AutoTokenizer, BertTokenizer

from runtime.errors import UserError
from training.models.vidlankd.text_tokenizer import PACKAGED_TOKENIZER, TextTokenizer

TEXTS = ["The red balls, moved SLOWLY!", "", "Ümlaut é 火 [MASK] a\tb", "x" * 150]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_ids_are_those_of_the_published_library(folder: Path) -> None:
    reference = BertTokenizer.from_pretrained(folder)
    ours = TextTokenizer.from_folder(folder)
    for text in (TEXTS[0], TEXTS[1], TEXTS[3]):
        assert ours.encode([text]) == [reference(text, add_special_tokens=False)["input_ids"]]
    assert (ours.pad, ours.cls, ours.sep, ours.mask) == (0, 2, 3, 4)
    assert ours.vocab_size == len(reference)


def test_a_special_token_written_in_a_text_is_text(folder: Path) -> None:
    tokenizer = TextTokenizer.from_folder(folder)
    [ids] = tokenizer.encode(["the [MASK] [SEP] fell"])
    assert not {tokenizer.mask, tokenizer.sep} & set(ids)
    assert tokenizer.tokens(ids)[:2] == ["the", "["]


def test_a_pickled_tokenizer_is_the_same(folder: Path) -> None:
    tokenizer = TextTokenizer.from_folder(folder)
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.identity == tokenizer.identity
    assert again.encode(TEXTS) == tokenizer.encode(TEXTS)


def test_saved_files_open_here_and_in_transformers(folder: Path, tmp_path: Path) -> None:
    tokenizer = TextTokenizer.from_folder(folder)
    tokenizer.save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["tokenizer.json", "tokenizer_config.json"]
    assert TextTokenizer.from_folder(tmp_path).identity == tokenizer.identity
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    [ids] = tokenizer.encode([TEXTS[0]])
    assert theirs(TEXTS[0])["input_ids"] == [tokenizer.cls, *ids, tokenizer.sep]
    assert theirs("a " * 600, truncation=True)["input_ids"][-1] == tokenizer.sep


def test_padding_and_truncation_of_the_file_are_switched_off(folder: Path, tmp_path: Path) -> None:
    saved = Tokenizer.from_file(str(folder / "tokenizer.json"))
    saved.enable_truncation(8)
    saved.enable_padding(length=8)
    saved.save(str(tmp_path / "tokenizer.json"))
    tokenizer = TextTokenizer.from_folder(tmp_path)
    assert [len(ids) for ids in tokenizer.encode(["the " * 30, "the"])] == [30, 1]


def test_a_bare_vocabulary_opens_too_and_has_the_same_identity(folder: Path, tmp_path: Path) -> None:
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    (tmp_path / "vocab.txt").write_text("".join(f"{entry}\n" for entry in sorted(vocabulary, key=vocabulary.get)))
    assert TextTokenizer.from_folder(tmp_path).identity == TextTokenizer.from_folder(folder).identity


def test_another_vocabulary_or_another_case_has_another_identity(folder: Path, tmp_path: Path) -> None:
    here = TextTokenizer.from_folder(folder).identity
    assert TextTokenizer.from_folder(tiny_tokenizer(tmp_path / "words", words=["cat", "dog"])).identity != here
    cased = json.loads((folder / "tokenizer.json").read_text())
    cased["normalizer"]["lowercase"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(cased))
    assert TextTokenizer.from_folder(tmp_path).identity != here


def test_random_tokens_are_not_drawn_from_the_specials(folder: Path) -> None:
    assert TextTokenizer.from_folder(folder).specials == (0, 1, 2, 3, 4)


def test_a_folder_without_a_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tokenizer path://.*: no tokenizer.json and no vocab.txt"):
        TextTokenizer.from_uri(f"path://{tmp_path}")


def test_another_kind_of_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    Tokenizer(BPE({"a": 0}, [])).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UserError, match="is of the kind BPE; use a WordPiece tokenizer"):
        TextTokenizer.from_folder(tmp_path)


def test_a_wordpiece_tokenizer_that_splits_otherwise_is_refused(folder: Path, tmp_path: Path) -> None:
    rules = json.loads((folder / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(rules | {"pre_tokenizer": {"type": "WhitespaceSplit"}}))
    with pytest.raises(UserError, match="splits words by WhitespaceSplit; use"):
        TextTokenizer.from_folder(tmp_path)


def test_a_missing_special_token_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text((folder / "tokenizer.json").read_text().replace("[MASK]", "[HIDE]"))
    with pytest.raises(UserError, match=r"has no \[MASK\]"):
        TextTokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"mask_token": {"content": "[HIDE]"}}))
    assert TextTokenizer.from_folder(tmp_path).mask == 4


def test_a_vocabulary_without_an_entry_for_unknown_words_is_refused(folder: Path, tmp_path: Path) -> None:
    saved = json.loads((folder / "tokenizer.json").read_text())
    saved["model"]["vocab"]["[OTHER]"] = saved["model"]["vocab"].pop("[UNK]")
    saved["added_tokens"] = [token for token in saved["added_tokens"] if token["content"] != "[UNK]"]
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "tokenizer.json").write_text(json.dumps(saved))
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "vocab.txt").write_text("".join(f"{entry}\n" for entry in saved["model"]["vocab"]))
    for name in ("json", "bare"):
        with pytest.raises(UserError, match=r"has no \[UNK\] for unknown words; use one of BERT's kind"):
            TextTokenizer.from_folder(tmp_path / name)


def test_a_cut_file_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text((folder / "tokenizer.json").read_text()[:500])
    with pytest.raises(UserError, match="can't be read"):
        TextTokenizer.from_folder(tmp_path)


def test_the_packaged_tokenizer_is_berts() -> None:
    tokenizer = TextTokenizer.from_uri(PACKAGED_TOKENIZER)
    assert (tokenizer.vocab_size, tokenizer.pad, tokenizer.cls, tokenizer.sep, tokenizer.mask) == (
        30522,
        0,
        101,
        102,
        103,
    )
    assert tokenizer.tokens(tokenizer.encode(["Unaffable"])[0]) == ["una", "##ffa", "##ble"]
