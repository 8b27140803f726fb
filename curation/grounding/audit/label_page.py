"""The labelling page: one HTML file with the clips of a sample, for one person at a time.

It holds no verdict and no score, loads nothing from elsewhere, runs no script but its own (its policy names the hash),
and shows foreign texts as text. What is labelled stays in the browser until it is downloaded as ``labels.csv``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from curation.grounding.audit.audit_records import AuditClip, sample_id
from curation.grounding.audit.label_pictures import PagePicture
from curation.grounding.audit.label_rows import COLUMNS, cell
from curation.prompts.wording import tidy
from runtime.terminal import visible

_FOLDER: Final = Path(__file__).parent
_MOST_EVIDENCE: Final = 60
"""Items of evidence that are shown for a clip."""


def render(layer: str, clips: Sequence[AuditClip], pictures: Mapping[str, Sequence[PagePicture]]) -> str:
    """Return the page as HTML.

    Args:
        layer: name of the text layer.
        clips: of the sample, in the order in which they are labelled.
        pictures: of each clip, by its key.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    script = (_FOLDER / "label_page.js").read_text(encoding="utf-8")
    values = {
        "id": sample_id(clips),
        "columns": COLUMNS,
        "clips": [_clip(clip, pictures.get(clip.key, ())) for clip in clips],
    }
    return environment.from_string((_FOLDER / "label_page.html.jinja").read_text(encoding="utf-8")).render(
        layer=_shown(layer),
        style=Markup((_FOLDER / "label_page.css").read_text(encoding="utf-8")),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704  our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        data=Markup(_json(values)),  # noqa: S704  no angle bracket is left in it
    )


def _clip(clip: AuditClip, pictures: Sequence[PagePicture]) -> dict[str, Any]:
    """Return what the page shows of a clip: nothing that a judge said of it."""
    return {
        "key": clip.key,
        "level": clip.level,
        "start": clip.start,
        "end": clip.end,
        "language": _shown(clip.language or ""),
        "source": _shown(clip.source),
        "subtitle": _shown(clip.subtitle),
        "claims": [
            {"text": _shown(claim.text), "cell": cell(claim.text), "cites": [_shown(id_) for id_ in claim.evidence]}
            for claim in clip.claims
        ],
        "evidence": [{"id": item.id, "text": _shown(item.text)} for item in clip.evidence[:_MOST_EVIDENCE]],
        "more_evidence": max(len(clip.evidence) - _MOST_EVIDENCE, 0),
        "pictures": [{"time": picture.time, "url": picture.url} for picture in pictures],
    }


def _shown(text: str) -> str:
    return visible(tidy(text))


def _json(values: object) -> str:
    """Return JSON that can't end the element that it stands in."""
    return json.dumps(values).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
