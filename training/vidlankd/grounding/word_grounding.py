r"""Text-to-video grounding: the clips that lie nearest to each word of a sentence, for teacher and student, as a page.

    train-vidlankd ground --teacher teacher/best --student student/best --shards DIR --features NAME \
        --sentence "a man pours water into a glass" --output ground.html

As in the paper's visualisations: a word's vector is compared with the teacher's vectors of clips. The teacher's word
vectors are trained to lie near those of their clips; the student's come into that space by the head it was distilled
with. Pieces of a word count as one, by the mean of their vectors.

Shapes: L tokens, W words of a sentence, N clips, H width of the teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from transformers import BertForMaskedLM

from runtime.errors import UserError
from training.data.data_settings import Split
from training.engine.model_folder import local_folder
from training.evaluation.score_files import check_writable
from training.features.feature_store import FeatureStore
from training.models.vidlankd.bert_model import hidden_states
from training.models.vidlankd.objectives.student_loss_weights import heads_of_kind
from training.models.vidlankd.student_model import load_student
from training.models.vidlankd.teacher_model import Teacher, check_features, load_teacher
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.grounding.clip_gallery import Clip, Stills, embed_clips, find_clips
from training.vidlankd.grounding.grounding_page import Grounded, Hit, Page, Word, render
from training.vidlankd.student.teacher_states import weights_identity

_PIECE = "##"


def ground(
    sentences: Sequence[str],
    *,
    teacher: str | Path,
    student: str | Path | None,
    shards: Sequence[str],
    features: str,
    output: Path,
    top: int = 5,
    limit: int = 20_000,
    split: Split | None = None,
    device: str | None = None,
) -> None:
    """Write the page.

    Args:
        sentences: each with a word at least.
        teacher: folder of a trained teacher.
        student: folder of a student that was distilled from it; None: the teacher alone.
        shards: DIRs with the clips.
        features: name of the feature set that the teacher was trained on.
        output: the HTML file; an older one is replaced.
        top: clips for each word.
        limit: clips that are looked at.
        split: only clips of this one; None: of both.
        device: where the models go; None: a GPU where there is one.

    Raises:
        UserError: a sentence without words or too long for a model, features that are missing or not the teacher's,
            models with different vocabularies or spaces, a student of another teacher, or an output that can't be
            written.
        ShardError: a DIR can't be read.
    """
    for name, value in (("top", top), ("limit", limit)):
        if value < 1:
            raise UserError(f"--{name} {value}: must be at least 1")
    if not sentences:
        raise UserError("--sentence: write at least one")
    check_writable(output)
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    model, tokenizer = load_teacher(teacher, place)
    speakers = [_Speaker("teacher", tokenizer, model.text, None)]
    if student is not None:
        identity = weights_identity(local_folder(teacher))
        speakers.append(_student(student, model, identity, tokenizer, place))
    texts = [_pieces(sentence, tokenizer, speakers) for sentence in sentences]
    store = FeatureStore.open(shards, features)
    check_features(model, store)
    clips, clips_NH = embed_clips(find_clips(shards, limit, split), model, store)
    stills = Stills()
    found = [_grounded(s, ids, speakers, clips, clips_NH, top, stills) for s, ids in zip(sentences, texts, strict=True)]
    facts = (f"{len(clips):,} clips", f"features {features} ({store.encoder})", *(who.said for who in speakers[1:]))
    output.write_text(render(Page(found, [who.name for who in speakers], facts)), encoding="utf-8")


@dataclass(frozen=True)
class _Speaker:
    """A model whose word vectors lie in the teacher's space."""

    name: str
    tokenizer: TextTokenizer
    text: BertForMaskedLM
    head: nn.Module | None
    said: str = ""

    def vectors(self, ids: Sequence[int]) -> torch.Tensor:
        """Of the tokens, without specials, of length 1; [L, H]."""
        device = next(self.text.parameters()).device
        row = [self.tokenizer.cls, *ids, self.tokenizer.sep]
        ids_BL = torch.tensor([row], device=device)
        hidden_LH = hidden_states(self.text, ids_BL, torch.ones_like(ids_BL, dtype=torch.bool))[0, 1:-1]
        return F.normalize((self.head(hidden_LH) if self.head else hidden_LH).float(), dim=-1)


def _student(folder: str | Path, teacher: Teacher, identity: str, tokenizer: TextTokenizer, device: str) -> _Speaker:
    """The student, with the first of its heads that leads into the teacher's space."""
    model, own = load_student(folder, device)
    if own.identity != tokenizer.identity:
        raise UserError(
            f"--student {folder}: its vocabulary ({own.vocab_size} entries) is not the teacher's "
            f"({tokenizer.vocab_size}); name a student that was distilled from this teacher"
        )
    if model.teacher not in (None, identity):
        raise UserError(
            f"--student {folder}: was distilled from another teacher (weights {model.teacher}, --teacher has "
            f"{identity}), whose space is not this one's; name the teacher that it was distilled from"
        )
    name = next((name for name in heads_of_kind("teacher_space") if name in model.heads), None)
    head = model.heads[name] if name else None
    width = model.architecture["distillation"]["teacher_width"] if head else model.text.config.hidden_size
    if width != teacher.hidden:
        raise UserError(
            f"--student {folder}: its vectors are {width} wide, the teacher's {teacher.hidden}, and no head leads from "
            "the one to the other; name a student that was distilled with CRD from this teacher"
        )
    how = f"student through its head for {name}" if name else "student without a head: its last hidden states"
    return _Speaker("student", own, model.text, head, how)


def _pieces(sentence: str, tokenizer: TextTokenizer, speakers: Sequence[_Speaker]) -> list[int]:
    """The sentence's tokens, checked to be some and not too many."""
    (ids,) = tokenizer.encode([sentence])
    if not ids:
        raise UserError(f"--sentence {sentence!r}: has no word; write one")
    for who in speakers:
        room = int(who.text.config.max_position_embeddings) - 2
        if len(ids) > room:
            raise UserError(f"--sentence {sentence[:40]!r}: {len(ids)} tokens, the {who.name} takes {room}; shorten it")
    return ids


def _grounded(
    sentence: str,
    ids: Sequence[int],
    speakers: Sequence[_Speaker],
    clips: Sequence[Clip],
    clips_NH: torch.Tensor,
    top: int,
    stills: Stills,
) -> Grounded:
    """One sentence: for each word and model the nearest clips."""
    words, groups = words_of(speakers[0].tokenizer.tokens(ids))
    with torch.inference_mode():
        found = [nearest(word_vectors(who.vectors(ids), groups), clips_NH, top) for who in speakers]
    rows = []
    for number, word in enumerate(words):
        hits = [
            [Hit(clips[place], score, stills.shown(clips[place])) for place, score in of_model[number]]
            for of_model in found
        ]
        rows.append(Word(word, hits))
    return Grounded(sentence, rows)


def words_of(pieces: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Word pieces as words, and which pieces make each: ``un ##told`` is one word."""
    words: list[str] = []
    groups: list[list[int]] = []
    for number, piece in enumerate(pieces):
        if piece.startswith(_PIECE) and words:
            words[-1] += piece.removeprefix(_PIECE)
            groups[-1].append(number)
        else:
            words.append(piece)
            groups.append([number])
    return words, groups


def word_vectors(vectors_LH: torch.Tensor, groups: Sequence[Sequence[int]]) -> torch.Tensor:
    """The mean of each word's pieces, of length 1; [W, H]."""
    return F.normalize(torch.stack([vectors_LH[list(group)].mean(0) for group in groups]), dim=1)


def nearest(words_WH: torch.Tensor, clips_NH: torch.Tensor, top: int) -> list[list[tuple[int, float]]]:
    """For each word the places and cosines of the `top` clips (all, where there are fewer), nearest first."""
    scores_WN = words_WH @ clips_NH.T
    best = scores_WN.topk(min(top, scores_WN.shape[1]), dim=1)
    return [
        list(zip(places, scores, strict=True))
        for places, scores in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
