"""The page of one clip: player, timeline, claims with their evidence, texts by layer, facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from curation.grounding.audit.label_store import place_in_sample
from curation.view.browser.page_templates import page_data, rendered
from curation.view.browser.queries.clip_details import (
    TEXT_COLUMNS,
    ClipDetails,
    clip_details,
    evidence_time,
    word_changes,
)
from curation.view.browser.queries.clip_filters import ClipFilters
from curation.view.browser.queries.clip_pages import neighbours
from curation.view.browser.queries.similar_clips import stored_vectors
from curation.view.browser.viewed_dir import viewed
from curation.view.verdict_reasons import why

_PLACE: Final = "at"
"""Parameter for the clip's place, from 0, among those that match the filters."""


def clip_page(request: Request) -> Response:
    """Answer ``/clip/<key>``.

    Raises:
        HTTPException: 404: the layer has no such clip.
        UserError: a filter has a value that can't be.
    """
    opened = viewed(request)
    details = clip_details(opened, request.path_params["key"])
    if details is None:
        raise HTTPException(404, "there is no such clip in this layer")
    filters = ClipFilters.read(
        (name, value) for name, value in request.query_params.multi_items() if name not in (_PLACE, "page")
    )
    at = request.query_params.get(_PLACE, "")
    place = int(at) if at.isdecimal() and len(at) < 10 else None
    before, after = (None, None) if place is None else neighbours(opened.tables, filters, place)
    return rendered(
        request,
        "clip.html.jinja",
        clip=details,
        blind=False,
        filters=filters,
        place=place,
        before=before,
        after=after,
        has_vectors=bool(stored_vectors(opened.store)),
        sampled_at=place_in_sample(opened.store, opened.layer, details.row["key"]),
        claims=_claims(details),
        texts=_texts(details),
        facts=_facts(details, [each.name for each in opened.tables.ranges]),
        player=player_data(details),
    )


def player_data(details: ClipDetails) -> Markup:
    """Return the times that the player needs, as JSON."""
    return page_data(
        {
            "zero": details.file_zero,
            "start": details.row["start"],
            "end": details.row["end"],
            "rootStart": details.root["start"],
            "rootEnd": details.root["end"],
            "words": [[word["start"], word["end"], word["text"]] for word in details.words],
        }
    )


def _claims(details: ClipDetails) -> list[dict[str, Any]]:
    claims = []
    for claim in details.row["claims"] or ():
        cited = []
        for id_ in claim["evidence"] or ():
            item = details.evidence.get(id_)
            span = evidence_time(id_)
            cited.append({"id": id_, "text": "" if item is None else item.text, "span": span})
        claims.append(
            {
                "text": claim["text"] or "",
                "verdict": claim["verdict"] or "",
                "why": why(claim),
                "cited": cited,
            }
        )
    return claims


def _texts(details: ClipDetails) -> list[dict[str, Any]]:
    """Return each kind of text with its wording in each layer; words that differ from this layer's are marked."""
    (own, row), *others = details.layers.items()
    texts = []
    for column, label in TEXT_COLUMNS.items():
        base = row[column] or ""
        wordings = [{"layer": own, "changes": [("same", base)] if base else []}]
        for name, other in others:
            text = other[column] or ""
            wordings.append({"layer": name, "changes": word_changes(base, text) if base and text else [("same", text)]})
        if any(change for wording in wordings for _, change in wording["changes"]):
            texts.append({"label": label, "wordings": wordings})
    return texts


def _facts(details: ClipDetails, numbers: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    row, facts = details.row, details.facts
    clip = {
        "key": row["key"],
        "root": row["root_key"],
        "shard": row["shard"],
        "source": row["source"],
        "language": row["language"],
        "speech from": row["subtitle_origin"],
        "picture": f"{row['width']}×{row['height']}, {row['fps']:g} frames a second",
        "rewrite status": row["rewrite_status"],
        "kept": facts["keep"],
        "dropped by": facts["filter_reason"],
        "split": facts["split"],
    }
    video = {name.removeprefix("video_").replace("_", " "): value for name, value in details.video.items()}
    video.pop("root key", None)
    scores = {name: None if facts[name] is None else f"{facts[name]:.4g}" for name in numbers if name != "seconds"}
    groups = {"clip": clip, "video": video, "scores": scores, "models": row["models"] or {}}
    filled = {
        name: {key: value for key, value in group.items() if value not in (None, "", [])}
        for name, group in groups.items()
    }
    return [(name, group) for name, group in filled.items() if group]
