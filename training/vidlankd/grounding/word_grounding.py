r"""Text-to-video grounding: the clips nearest to each word of a sentence, for teacher and student, as a page.

    train-vidlankd ground --teacher teacher/best --student student/best --shards DIR --features NAME \
        --sentence "a man pours water into a glass" --output ground.html

As in the paper's visualisations, a word's vector is compared with the teacher's vectors of clips. The teacher's word
vectors are trained to be near those of their clips; the head that the student was distilled with maps its vectors into
that space. A word of several pieces is represented by the mean of their vectors.

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
from training.engine.checkpoints.model_config import local_folder
from training.evaluation.score_files import check_writable
from training.features.feature_store import FeatureStore
from training.models.vidlankd.bert_model import hidden_states
from training.models.vidlankd.objectives.student_loss_weights import heads_of_kind
from training.models.vidlankd.student_model import load_student
from training.models.vidlankd.teacher_model import Teacher, check_features, load_teacher
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.grounding.clip_gallery import GalleryClip, Stills, embed_clips, find_clips
from training.vidlankd.grounding.grounding_page import GroundingPage, Hit, QueryWord, SentenceGrounding, render
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
    selection: str | None = None,
    device: str | None = None,
) -> None:
    """Write the grounding page.

    Args:
        sentences: sentences of at least one word.
        teacher: folder of a trained teacher.
        student: folder of a student that was distilled from it; None: the teacher alone.
        shards: DIRs with the clips.
        features: name of the feature set that the teacher was trained on.
        output: the HTML file; an older one is replaced.
        top: number of clips for each word.
        limit: largest number of clips in the gallery.
        split: split of the clips; None: both.
        selection: says which clips to keep; None: the selection that is named as the text layer.
        device: device of the models; None: a GPU if there is one.

    Raises:
        UserError: a sentence has no words or is too long for a model, features are missing or not the teacher's, the
            models have different vocabularies or spaces, the student has another teacher, or the output can't be
            written.
        ShardError: a DIR can't be read.
    """
    for name, value in (("top", top), ("limit", limit)):
        if value < 1:
            raise UserError(f"--{name} {value}: must be at least 1")
    if not sentences:
        raise UserError("--sentence: write at least one")
    check_writable(output)
    chosen_device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    model, tokenizer = load_teacher(teacher, chosen_device)
    models = [_WordModel("teacher", tokenizer, model.text, None)]
    if student is not None:
        identity = weights_identity(local_folder(teacher))
        models.append(_open_student(student, model, identity, tokenizer, chosen_device))
    texts = [_encode(sentence, tokenizer, models) for sentence in sentences]
    store = FeatureStore.open(shards, features)
    check_features(model, store)
    clips, clips_NH = embed_clips(find_clips(shards, limit, split, selection), model, store)
    gallery = _Gallery(clips, clips_NH, Stills())
    groundings = [_ground_sentence(s, ids, models, gallery, top) for s, ids in zip(sentences, texts, strict=True)]
    facts = (f"{len(clips):,} clips", f"features {features} ({store.encoder})", *(each.note for each in models[1:]))
    output.write_text(render(GroundingPage(groundings, [each.name for each in models], facts)), encoding="utf-8")


@dataclass(frozen=True)
class _Gallery:
    """Clips with the teacher's vectors and their pictures."""

    clips: Sequence[GalleryClip]
    vectors_NH: torch.Tensor
    stills: Stills


@dataclass(frozen=True)
class _WordModel:
    """A model that gives vectors of words in the teacher's space."""

    name: str
    tokenizer: TextTokenizer
    text: BertForMaskedLM
    head: nn.Module | None
    note: str = ""
    """Phrase for the facts of the page."""

    def vectors(self, ids: Sequence[int]) -> torch.Tensor:
        """Return the vectors of tokens, specials excluded, of length 1; [L, H]."""
        device = next(self.text.parameters()).device
        row = [self.tokenizer.cls, *ids, self.tokenizer.sep]
        ids_BL = torch.tensor([row], device=device)
        hidden_LH = hidden_states(self.text, ids_BL, torch.ones_like(ids_BL, dtype=torch.bool))[0, 1:-1]
        return F.normalize((self.head(hidden_LH) if self.head else hidden_LH).float(), dim=-1)


def _open_student(
    folder: str | Path, teacher: Teacher, identity: str, tokenizer: TextTokenizer, device: str
) -> _WordModel:
    """Load the student with the first of its heads that maps into the teacher's space."""
    model, own = load_student(folder, device)
    if own.identity != tokenizer.identity:
        raise UserError(
            f"--student {folder}: its vocabulary ({own.vocab_size} entries) is not the teacher's "
            f"({tokenizer.vocab_size}); name a student that was distilled from this teacher"
        )
    if model.teacher not in (None, identity):
        raise UserError(
            f"--student {folder}: was distilled from another teacher (weights {model.teacher}, --teacher has "
            f"{identity}), which has another space; name the teacher that it was distilled from"
        )
    name = next((name for name in heads_of_kind("teacher_space") if name in model.heads), None)
    head = model.heads[name] if name else None
    width = model.architecture["distillation"]["teacher_width"] if head else model.text.config.hidden_size
    if width != teacher.hidden:
        raise UserError(
            f"--student {folder}: its vectors are {width} wide, the teacher's {teacher.hidden}, and no head maps "
            "between them; name a student that was distilled with CRD from this teacher"
        )
    note = f"student: output of its head for {name}" if name else "student: last hidden states, as it has no head"
    return _WordModel("student", own, model.text, head, note)


def _encode(sentence: str, tokenizer: TextTokenizer, models: Sequence[_WordModel]) -> list[int]:
    """Return the sentence's tokens; refuse a sentence without words, or one too long for a model."""
    (ids,) = tokenizer.encode([sentence])
    if not ids:
        raise UserError(f"--sentence {sentence!r}: has no word; write one")
    for each in models:
        room = int(each.text.config.max_position_embeddings) - 2
        if len(ids) > room:
            raise UserError(
                f"--sentence {sentence[:40]!r}: {len(ids)} tokens, the {each.name} takes {room}; shorten it"
            )
    return ids


def _ground_sentence(
    sentence: str, ids: Sequence[int], models: Sequence[_WordModel], gallery: _Gallery, top: int
) -> SentenceGrounding:
    """Find the nearest clips of a sentence for each word and model."""
    words, groups = join_pieces(models[0].tokenizer.tokens(ids))
    with torch.inference_mode():
        matches = [nearest(word_vectors(each.vectors(ids), groups), gallery.vectors_NH, top) for each in models]
    rows = []
    for number, word in enumerate(words):
        hits = [[_hit(gallery, index, score) for index, score in of_model[number]] for of_model in matches]
        rows.append(QueryWord(word, hits))
    return SentenceGrounding(sentence, rows)


def _hit(gallery: _Gallery, index: int, score: float) -> Hit:
    clip = gallery.clips[index]
    return Hit(clip, score, gallery.stills.picture(clip))


def join_pieces(pieces: Sequence[str]) -> tuple[list[str], list[list[int]]]:
    """Join word pieces into words; also return the numbers of the pieces of each: ``un ##told`` is one word."""
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
    """Return the normalised mean of each word's pieces; [W, H]."""
    return F.normalize(torch.stack([vectors_LH[list(group)].mean(0) for group in groups]), dim=1)


def nearest(words_WH: torch.Tensor, clips_NH: torch.Tensor, top: int) -> list[list[tuple[int, float]]]:
    """Return for each word the indices and cosines of the `top` clips (or of all, if fewer), nearest first."""
    scores_WN = words_WH @ clips_NH.T
    best = scores_WN.topk(min(top, scores_WN.shape[1]), dim=1)
    return [
        list(zip(indices, scores, strict=True))
        for indices, scores in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
