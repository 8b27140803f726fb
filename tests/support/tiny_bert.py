"""A real WordPiece tokenizer of BERT's kind with a few hundred entries, as flat Hugging Face files."""

from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase, digits

from transformers import BertTokenizer

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_COMMON = (
    "the a an of and to in on is are was were it he she they this that with for from at by as not one two three red "
    "green blue yellow black white round square ball box cup car cat dog man woman child hand table water river house "
    "tree fire knife paper video small large old new left right up down move turn cut hold put take open close run "
    "walk fall first then after before while slowly quickly colour shape people world time day year"
)
WORDS = tuple(_COMMON.split())
"""Whole words of the vocabulary; any other word is split into letters."""


def tiny_tokenizer(folder: Path, words: Sequence[str] = WORDS) -> Path:
    """Write a tokenizer of `words`, word endings, letters, digits and punctuation into `folder`, and return the folder.

    Ids are fixed by `words`: [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, then letters and the words in order.
    """
    characters = [*ascii_lowercase, *digits, *".,;:!?'\"-()[]=@%&/<>"]
    endings = [f"##{piece}" for piece in (*ascii_lowercase, *digits, "s", "ed", "ing", "er", "ly")]
    entries = dict.fromkeys([*SPECIALS, *characters, *endings, *words])
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    folder.mkdir(parents=True, exist_ok=True)
    BertTokenizer(vocab=vocabulary, model_max_length=512).save_pretrained(folder)
    return folder
