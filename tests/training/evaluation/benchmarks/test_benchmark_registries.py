"""The registries of benchmarks, the guide that lists their files, and their published scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import UserError
from training.evaluation.benchmarks.classification.classification_registry import CLASSIFICATION_BENCHMARKS
from training.evaluation.benchmarks.classification.classification_set import ClassificationBenchmark
from training.evaluation.benchmarks.retrieval.retrieval_registry import RETRIEVAL_BENCHMARKS, read_retrieval
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalBenchmark
from training.evaluation.published_scores import RETRIEVAL


def test_a_benchmark_or_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'msrvtt'"):
        read_retrieval("msrvt", tmp_path, tmp_path)
    with pytest.raises(UserError, match="msvd has test, val, train"):
        read_retrieval("msvd", tmp_path, tmp_path, "dev")


def test_published_recalls_grow_with_their_k() -> None:
    for directions in RETRIEVAL.values():
        for scores in (row.scores for rows in directions.values() for row in rows):
            recalls = [scores[name] for name in ("r1", "r5", "r10") if name in scores]
            assert recalls == sorted(set(recalls))
            assert recalls[0] > 0 and recalls[-1] <= 100


@pytest.mark.parametrize("benchmark", [*RETRIEVAL_BENCHMARKS.values(), *CLASSIFICATION_BENCHMARKS.values()])
def test_the_guide_lists_the_annotation_files_of_each_benchmark(
    benchmark: RetrievalBenchmark | ClassificationBenchmark,
) -> None:
    guide = Path(__file__).parents[4] / "docs" / "vidla.md"
    lines = guide.read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith(f"| `{benchmark.name}` |"))
    for files in benchmark.files.values():
        for names in files:
            assert f"`{names[0]}`" in row
