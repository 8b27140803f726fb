from dataclasses import fields
from typing import Any

import pyarrow as pa
import pytest

from shards import schema, stored_rows


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        (stored_rows.StoredSource, schema.SOURCES),
        (stored_rows.StoredOutcome, schema.LEDGER),
        (stored_rows.StoredClip, schema.CLIPS),
        (stored_rows.StoredText, schema.TEXT),
        (stored_rows.StoredObservation, schema.CAPTIONS),
        (stored_rows.StoredFeatures, schema.FEATURES),
    ],
)
def test_a_row_has_the_columns_of_its_schema(row: Any, columns: pa.Schema) -> None:
    assert sorted(row.__annotations__) == sorted(columns.names)


def test_a_row_of_the_index_has_its_columns_in_their_order() -> None:
    assert [field.name for field in fields(stored_rows.IndexRow)] == schema.INDEX.names


def test_a_row_of_what_is_known_of_a_video_has_the_columns_of_its_schema_but_the_key() -> None:
    assert ["root_key", *stored_rows.StoredVideo.__annotations__] == schema.VIDEOS.names
