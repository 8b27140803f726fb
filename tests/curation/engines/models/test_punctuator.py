"""The punctuator over tiny token classifiers whose labels the tests choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

from curation.engines.models.punctuator import PunctuationSettings, Punctuator, read_label
from runtime.errors import UserError

WORDS = ["the", "lion", "sleeps", "in", "the", "sun", "who", "is", "there"]
FULLSTOP = ["0", ".", ",", "?", "-", ":"]
MakeModel = Callable[..., str]
RESTORE = ["OU", "OO", ".O", "!O", ",O", ".U", "!U", ",U", ":O", ";O", ":U", "'O", "-O", "?O", "?U"]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Return a maker of tiny BERT token classifiers on disk; `by_word` names the label of each word."""

    def make(
        labels: Sequence[str], by_word: dict[str, str] | None = None, positions: int = 128, pieces: bool = False
    ) -> str:
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(WORDS), "##s"]
        if pieces:
            vocabulary.remove("sleeps")
            vocabulary.append("sleep")
        tokens = {word: i for i, word in enumerate(vocabulary)}
        backend = Tokenizer(models.WordPiece(tokens, unk_token="[UNK]"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", model_max_length=positions
        )
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=positions,
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
        )
        torch.manual_seed(0)
        model = BertForTokenClassification(config)
        if by_word is not None:
            _decide(model, tokens, labels, by_word)
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        return f"path://{tmp_path}"

    return make


def _decide(model: Any, tokens: dict[str, int], labels: Sequence[str], by_word: dict[str, str]) -> None:
    """Set the weights so that a token's own embedding alone decides: dimension i is label i."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for norm in (m for m in model.modules() if isinstance(m, torch.nn.LayerNorm)):
            norm.weight.fill_(1.0)
        for token, number in tokens.items():
            model.bert.embeddings.word_embeddings.weight[number, labels.index(by_word.get(token, labels[0]))] = 1.0
        for i in range(len(labels)):
            model.classifier.weight[i, i] = 1.0


def punctuator(uri: str, **settings: Any) -> Punctuator:
    return Punctuator(PunctuationSettings(model=uri, **settings))


def test_marks_follow_the_words_the_model_points_at_and_sentences_begin_with_a_capital(make_model: MakeModel) -> None:
    restore = punctuator(make_model(FULLSTOP, {"sun": ".", "lion": ",", "there": "?"}))
    assert restore(WORDS) == ["The", "lion,", "sleeps", "in", "the", "sun.", "Who", "is", "there?"]


def test_a_model_that_knows_case_decides_on_capitals_itself(make_model: MakeModel) -> None:
    restore = punctuator(make_model(RESTORE, dict.fromkeys(WORDS, "OO") | {"the": "OU", "sun": ".O", "lion": "OU"}))
    assert restore(WORDS) == ["The", "Lion", "sleeps", "in", "The", "sun.", "who", "is", "there"]


def test_the_last_piece_of_a_word_decides_where_labels_are_marks(make_model: MakeModel) -> None:
    restore = punctuator(make_model(FULLSTOP, {"sleep": "?", "##s": "."}, pieces=True))
    assert restore(["lion", "sleeps"]) == ["Lion", "sleeps."]


def test_the_first_piece_of_a_word_decides_where_labels_know_case(make_model: MakeModel) -> None:
    labels = dict.fromkeys(WORDS, "OO") | {"sleep": "?U", "##s": ".O"}
    assert punctuator(make_model(RESTORE, labels, pieces=True))(["lion", "sleeps"]) == ["lion", "Sleeps?"]


def test_hyphens_and_apostrophes_add_nothing(make_model: MakeModel) -> None:
    assert punctuator(make_model(FULLSTOP, {"lion": "-"}))(["the", "lion"]) == ["The", "lion"]


def test_marks_that_are_there_are_kept(make_model: MakeModel) -> None:
    assert punctuator(make_model(FULLSTOP, {"sun": "."}))(["sun", "sun!"]) == ["Sun.", "Sun!"]


def test_words_are_equal_in_number_over_many_windows_and_marks_fall_where_they_should(make_model: MakeModel) -> None:
    restore = punctuator(make_model(FULLSTOP, {"sun": "."}), window_words=20, overlap_words=7, batch=3)
    words = WORDS * 37
    out = restore(words)
    assert [word.lower().rstrip(".") for word in out] == words
    assert [word.endswith(".") for word in out] == [word == "sun" for word in words]


def test_a_model_of_random_weights_keeps_number_and_order_of_words(make_model: MakeModel) -> None:
    words = (WORDS * 12) + ["unheard", "of", "\u200b"]
    out = punctuator(make_model(FULLSTOP))(words)
    assert [word.lower().rstrip(".,?:") for word in out] == words


def test_words_beyond_what_the_model_can_see_get_no_mark(make_model: MakeModel) -> None:
    restore = punctuator(make_model(FULLSTOP, dict.fromkeys(WORDS, "."), positions=16), window_words=20)
    assert restore(["sun"] * 20)[-1] == "sun"


def test_no_words_are_no_error(make_model: MakeModel) -> None:
    assert punctuator(make_model(FULLSTOP))([]) == []


def test_labels_that_mean_nothing_are_the_users_mistake(make_model: MakeModel) -> None:
    with pytest.raises(UserError, match="its label 'LABEL_0' is not understood"):
        punctuator(make_model(["LABEL_0", "LABEL_1"]))


@pytest.mark.parametrize(
    ("name", "mark", "capital"),
    [("0", "", None), ("O", "", None), ("OU", "", True), ("OO", "", False), (".U", ".", True), ("QUESTION", "?", None)],
)
def test_labels_of_the_models_in_use_are_read(name: str, mark: str, capital: bool | None) -> None:
    assert read_label(name, "m") == (mark, capital)
