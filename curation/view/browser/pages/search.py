"""The search page: clips nearest to a text or to another clip, by stored vectors."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from curation.view.browser.page_templates import rendered
from curation.view.browser.queries.clip_pages import clip_row, clips_by_key
from curation.view.browser.queries.similar_clips import (
    chosen_vectors,
    nearest_clips,
    search_way,
    stored_vectors,
    vector_of_clip,
    vector_of_text,
)
from curation.view.browser.viewed_dir import ViewedDir, viewed
from runtime.errors import UserError

_MOST_CHARACTERS = 500


def search_page(request: Request) -> Response:
    """Answer ``/search?text=WORDS`` or ``/search?like=KEY``.

    Raises:
        HTTPException: 404: there is no such clip.
        UserError: there are no such vectors, the text is too long, or the model can't be loaded.
    """
    opened = viewed(request)
    text, like, name = (request.query_params.get(each, "") for each in ("text", "like", "vectors"))
    there = stored_vectors(opened.store)
    clips: list[dict[str, Any]] | None = None
    if text or like:
        if len(text) > _MOST_CHARACTERS:
            raise UserError(f"text: {len(text)} characters; at most {_MOST_CHARACTERS} can be searched for")
        clips = _like(opened, like, name) if like else _about(opened, text, name)
    return rendered(
        request,
        "search.html.jinja",
        vectors=[(each, search_way(each)) for each in there.values()],
        name=name,
        text=text,
        like=like,
        clips=clips,
    )


def _about(opened: ViewedDir, text: str, name: str) -> list[dict[str, Any]]:
    vectors = chosen_vectors(stored_vectors(opened.store), name, for_text=True)
    return clips_by_key(opened.tables, nearest_clips(vectors, search_way(vectors), vector_of_text(vectors, text)))


def _like(opened: ViewedDir, key: str, name: str) -> list[dict[str, Any]]:
    vectors = chosen_vectors(stored_vectors(opened.store), name, for_text=False)
    clip = clip_row(opened.tables, key)
    if clip is None:
        raise HTTPException(404, "there is no such clip in this layer")
    vector_D = vector_of_clip(vectors, clip["shard"], key)
    if vector_D is None:
        raise UserError(f"like = {key!r}: {vectors.name} has no vector of this clip")
    return clips_by_key(opened.tables, nearest_clips(vectors, search_way(vectors), vector_D))
