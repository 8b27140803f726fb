"""The audit page: the clips of the sample, one at a time, with the labels of one person; each is saved at once.

It shows no verdict, no score and no text that depends on them: people judge by the pictures.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from curation.grounding.audit.audit_records import AuditClip, Label
from curation.grounding.audit.label_rows import check_rows, merge
from curation.grounding.audit.label_store import judges_of, store_labels, stored_labels, stored_sample
from curation.grounding.evidence import span_of
from curation.view.browser.page_templates import page_data, rendered
from curation.view.browser.pages.clip import player_data
from curation.view.browser.queries.clip_details import clip_details
from curation.view.browser.viewed_dir import ViewedDir, viewed
from runtime.errors import UserError

_LARGEST: Final = 1 << 16
"""Bytes of a request with a label."""
_WRITING: Final = threading.Lock()
_COLUMNS: Final = ("labeller", "key", "claim", "label", "note")


def audit_page(request: Request) -> Response:
    """Answer ``/audit?at=N`` with the N-th clip of the sample, from 0.

    Raises:
        UserError: the sample has no such clip.
    """
    opened = viewed(request)
    clips = stored_sample(opened.store, opened.layer)
    if not clips:
        return rendered(request, "audit_start.html.jinja")
    at = request.query_params.get("at", "0")
    if not at.isdecimal() or len(at) > 9 or int(at) >= len(clips):
        raise UserError(f"at = {at!r}: must be a whole number, 0 to {len(clips) - 1}: a place in the sample")
    sampled = clips[int(at)]
    details = clip_details(opened, sampled.key)
    evidence = [{"id": item.id, "text": item.text, "span": span_of(item.id)} for item in sampled.evidence]
    return rendered(
        request,
        "audit.html.jinja",
        at=int(at),
        size=len(clips),
        sampled=sampled,
        evidence=evidence,
        clip=details,
        blind=True,
        player=None if details is None else player_data(details),
        data=page_data({"key": sampled.key, "claims": len(sampled.claims)}),
    )


def audit_figures_page(request: Request) -> Response:
    """Answer ``/audit/figures`` with what the labels say so far, and who agrees with whom."""
    from curation.grounding.audit.audit_figures import ALL, figures  # brings statsmodels: half a second

    opened = viewed(request)
    clips = stored_sample(opened.store, opened.layer)
    if not clips:
        return rendered(request, "audit_start.html.jinja")
    found = figures(clips, stored_labels(opened.store, opened.layer), judges_of(opened.store, opened.layer))
    return rendered(
        request,
        "audit_figures.html.jinja",
        figures=found,
        steps=[each for each in found.steps if each.group == ALL],
        judges=[each for each in found.judges if each.group == ALL],
    )


def read_labels(request: Request) -> Response:
    """Answer ``GET /audit/labels?labeller=NAME&key=KEY`` with the person's labels of a clip, and how far they are."""
    opened = viewed(request)
    labeller, key = (request.query_params.get(name, "") for name in ("labeller", "key"))
    return JSONResponse(_progress(opened, labeller, key))


async def write_label(request: Request) -> Response:
    """Answer ``POST /audit/labels`` by storing one label; an empty one takes the earlier one back.

    Raises:
        UserError: it is no label of the sample.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise UserError(f"a label of more than {_LARGEST} bytes")
    row = _row(request.headers.get("content-type", ""), body)
    return await run_in_threadpool(_write, viewed(request), row)


def _row(kind: str, body: bytes) -> dict[str, Any]:
    if kind.partition(";")[0].strip() != "application/json":
        raise UserError(f"content type {kind!r}: a label is sent as application/json")
    try:
        row = json.loads(body)
    except ValueError:
        raise UserError("a label is sent as JSON; this can't be read") from None
    if not isinstance(row, dict) or not set(row) <= set(_COLUMNS):
        raise UserError(f"a label is one object with {', '.join(_COLUMNS)}")
    if not str(row.get("labeller") or "").strip():
        raise UserError("labeller: write your name first: it tells your labels from those of others")
    return row


def _write(opened: ViewedDir, row: dict[str, Any]) -> Response:
    if opened.store.is_read_only:
        raise UserError(f"{opened.store.root}: can only be read; open a folder or bucket to label")
    clips = stored_sample(opened.store, opened.layer) or []
    is_empty = not row.get("label") and not row.get("note")
    checked = check_rows(
        [row | {"label": "complete" if row.get("claim") == 0 else "?"} if is_empty else row], clips, ""
    )
    if not checked.labels:
        raise UserError(f"not a label of the sample ({', '.join(checked.refused) or 'it is empty'})")
    (label,) = checked.labels
    with _WRITING:
        old = stored_labels(opened.store, opened.layer)
        if is_empty:
            labels = [each for each in old if (each.labeller, each.target) != (label.labeller, label.target)]
        else:
            labels = merge(old, [label])[0]
        store_labels(opened.store, opened.layer, labels)
    return JSONResponse(_progress(opened, label.labeller, label.key))


def _progress(opened: ViewedDir, labeller: str, key: str) -> dict[str, Any]:
    clips = stored_sample(opened.store, opened.layer) or []
    own = [label for label in stored_labels(opened.store, opened.layer) if label.labeller == labeller]
    left = _incomplete(clips, own)
    at = next((place for place, clip in enumerate(clips) if clip.key == key), 0)
    return {
        "labels": [asdict(label) for label in own if label.key == key],
        "done": len(clips) - len(left),
        "clips": len(clips),
        "next": next((place for place in left if place > at), left[0] if left else None),
    }


def _incomplete(clips: Sequence[AuditClip], labels: Sequence[Label]) -> list[int]:
    """Return the places of clips that lack a label of one of their claims, or of the clip as a whole."""
    said = {label.target for label in labels}
    return [
        place
        for place, clip in enumerate(clips)
        if any((clip.key, n, text) not in said for n, text in enumerate(["", *(c.text for c in clip.claims)]))
    ]
