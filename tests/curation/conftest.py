"""Fixtures of the curation tests, with the vLLM engine that all tests of a pytest run share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.shard_factory import build_dir
from support.tiny_models import tiny_vlm

from curation.engines.vllm.vllm_engine import VllmEngine
from curation.engines.vllm.vllm_settings import VllmSettings
from shards.storage.store import Store


@pytest.fixture(scope="session")
def vlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random vision-language model on disk."""
    return tiny_vlm(tmp_path_factory.mktemp("models") / "tiny-vlm")


@pytest.fixture(scope="session")
def vlm_settings(vlm_folder: Path) -> VllmSettings:
    """Settings that start the tiny model quickly on two cores."""
    return VllmSettings(
        model=f"path://{vlm_folder}",
        dtype="float32",
        max_model_len=1024,
        enforce_eager=True,
        kv_cache_gb=0.125,
        images_per_prompt=2,
    )


@pytest.fixture(scope="session")
def vlm_engine(vlm_settings: VllmSettings) -> Iterator[VllmEngine]:
    """A real vLLM engine; started once (about a minute), serves text and images, closed at the end of the run."""
    pytest.importorskip("vllm", reason="vLLM is not installed (extra cpu or gpu)")
    engine = VllmEngine(vlm_settings)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A DIR with one shard, shared by the tests of a module."""
    return build_dir(tmp_path_factory.mktemp("dir"), shards=1)


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder for tables while they are written; it does not exist yet."""
    return tmp_path / "scratch"
