"""Looks: a real tower of open_clip, tiny and random, and a head whose layers are written here."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from support.open_clip_models import open_clip_folder
from support.scored_videos import clip_row, named, scores_of, texture, video_of

from curation.engines.models.image_text_model import ImageTextModel
from curation.pipeline import load_pipeline
from curation.scores.picture.looks import load_head
from curation.scores.root_frames import root_frames
from curation.scores.scorer import Sampling
from runtime.errors import UserError

WIDTH = 24


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"path://{open_clip_folder(tmp_path_factory.mktemp('tower'))}"


def layers(*sizes: int, seed: int = 0) -> torch.nn.Sequential:
    """Return linear layers as LAION's predictors name them."""
    torch.manual_seed(seed)
    parts = [torch.nn.Linear(one, other) for one, other in pairwise(sizes)]
    return torch.nn.Sequential(*[part for linear in parts for part in (linear, torch.nn.Dropout())]).eval()


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
@pytest.mark.parametrize("sizes", [(WIDTH, 1), (WIDTH, 16, 8, 1)])
def test_looks_are_the_heads_numbers_for_the_towers_vectors(
    tower: str, tmp_path: Path, sizes: tuple[int, ...], kind: str
) -> None:
    head = layers(*sizes)
    path = tmp_path / f"head.{kind}"
    state = {f"layers.{name}": tensor for name, tensor in head.state_dict().items()}
    save_file(state, path) if kind == "safetensors" else torch.save(state, path)
    data = video_of([texture(seed=at // 8) for at in range(16)])
    pictures = [frame.image for part in root_frames(data, {"a": Sampling(1)}) for frame in part.frames]
    expected = head(torch.from_numpy(ImageTextModel(tower).pictures(pictures))).mean().item()
    scorer = named("looks", tower=tower, head=f"path://{path}", frames_per_second=1)
    (row,) = scores_of(scorer, data, [clip_row(0, 2)])
    assert row["looks"] == pytest.approx(expected, abs=1e-4)


def test_layers_are_applied_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    head = layers(3, *([3] * 10), 1)
    torch.save(head.state_dict(), tmp_path / "head.pth")
    vectors = np.eye(3, dtype=np.float32)
    found = load_head(f"path://{tmp_path}/head.pth").of(vectors)
    np.testing.assert_allclose(found, head(torch.from_numpy(vectors)).detach().numpy()[:, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({}, "holds no layer"),
        (layers(WIDTH, 2).state_dict(), "2 outputs, not one"),
        ("text", "no chain of linear layers"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, state: object, words: str) -> None:
    torch.save(state, tmp_path / "head.pth")
    with pytest.raises(UserError, match=words):
        load_head(f"path://{tmp_path}/head.pth")


def test_a_head_of_another_tower_is_refused(tower: str, tmp_path: Path) -> None:
    torch.save(layers(7, 1).state_dict(), tmp_path / "head.pth")
    with pytest.raises(UserError, match="takes vectors of 7 numbers"):
        named("looks", tower=tower, head=f"path://{tmp_path}/head.pth")


def test_looks_without_models_are_refused_before_the_run() -> None:
    with pytest.raises(UserError, match=r"score\.looks\.tower: must be set"):
        load_pipeline("demo", None, ["score.scores=[looks]"])
