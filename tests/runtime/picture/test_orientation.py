"""A display matrix means one of eight orientations, mirrored ones included."""

import numpy as np
import pytest
from support.turned_videos import MATRICES, matrix_bytes, shown

from runtime.picture.orientation import Orientation


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES.keys())
def test_each_of_the_eight_orientations_is_that_of_its_matrix(matrix: tuple[int, int, int, int]) -> None:
    picture = np.arange(3 * 4 * 3, dtype=np.uint8).reshape(3, 4, 3)
    np.testing.assert_array_equal(
        Orientation.of_matrix(matrix_bytes(*matrix)).applied(picture), shown(picture, *matrix)
    )


def test_the_eight_orientations_differ() -> None:
    assert len({Orientation.of_matrix(matrix_bytes(*matrix)) for matrix in MATRICES.values()}) == 8


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((0, 0, 0, 0), Orientation()),
        ((2, 0, 0, 2), Orientation()),
        ((0.99, -0.1, 0.1, 0.99), Orientation()),
        ((0.1, 0.99, 0.99, -0.1), Orientation(transposed=True)),
    ],
)
def test_other_matrices_mean_the_nearest_orientation(
    matrix: tuple[float, float, float, float], expected: Orientation
) -> None:
    assert Orientation.of_matrix(matrix_bytes(*matrix)) == expected


@pytest.mark.parametrize("data", [b"", b"\0" * 35])
def test_data_that_is_no_matrix_means_the_usual_orientation(data: bytes) -> None:
    assert Orientation.of_matrix(data) == Orientation()
