"""From a `Request` to the messages of a chat, for whichever engine answers.

Pure but for one look into a model's folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from curation.engines.engine_interface import Request

PLAIN_TEMPLATE: Final = (
    "{%- for message in messages -%}{{ message['content'] }}{%- if not loop.last -%}{{ '\\n\\n' }}{%- endif -%}"
    "{%- endfor -%}"
)
"""For models without a chat template: the texts, a blank line between them, and nothing else."""

_CONTROL: Final = dict.fromkeys(range(32), " ")


def chat(request: Request, images: Sequence[dict[str, Any]], *, system_role: bool = True) -> list[dict[str, Any]]:
    """The messages of `request`, in the form that OpenAI's API and vLLM share.

    Args:
        request: what is asked.
        images: one content part for each of the request's images, in order.
        system_role: False puts the system text before the user's, for models whose template knows no system role.
    """
    user, messages = request.user, []
    if request.system and system_role:
        messages.append({"role": "system", "content": request.system})
    elif request.system:
        user = f"{request.system}\n\n{user}"
    content: Any = [*images, {"type": "text", "text": user}] if images else user
    return [*messages, {"role": "user", "content": content}]


def answer_text(text: str, *, is_json: bool) -> str:
    """An answer as it is handed on: without white space around it, and JSON without raw control characters.

    Grammars let control characters stand inside strings, where JSON forbids them; between its parts they are space.
    """
    return text.translate(_CONTROL).strip() if is_json else text.strip()


def has_chat_template(folder: Path) -> bool:
    """Whether a model's folder brings a chat template; True where it can't be told, as for Mistral's own format."""
    if not (folder / "tokenizer_config.json").is_file():
        return True
    if any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json", "chat_templates")):
        return True
    return any(_has_key(folder / name) for name in ("tokenizer_config.json", "processor_config.json"))


def _has_key(path: Path) -> bool:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and bool(values.get("chat_template"))
