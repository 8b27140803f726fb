"""A `Request` as the messages of a chat, in the form that OpenAI's API and vLLM share, and an answer's text.

Pure, except for a look into a model's folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict

from curation.engines.engine_interface import FramesRef, Request

if TYPE_CHECKING:
    from PIL import Image

PLAIN_TEMPLATE: Final = (
    "{%- for message in messages -%}{{ message['content'] }}{%- if not loop.last -%}{{ '\\n\\n' }}{%- endif -%}"
    "{%- endfor -%}"
)
"""For models without a chat template: only the texts, with a blank line between them."""

_CONTROL: Final = dict.fromkeys(range(32), " ")


class TextPart(TypedDict):
    """Text in a message."""

    type: Literal["text"]
    text: str


class ImageUrl(TypedDict):
    """Address of an image."""

    url: str


class ImageUrlPart(TypedDict):
    """An image by its URL, which may be a ``data:`` URL."""

    type: Literal["image_url"]
    image_url: ImageUrl


class PilImagePart(TypedDict):
    """A decoded image; understood by vLLM only."""

    type: Literal["image_pil"]
    image_pil: Image.Image


class VideoUrl(TypedDict):
    """Address of a video."""

    url: str


class VideoUrlPart(TypedDict):
    """A video by its URL, which may be a ``data:`` URL."""

    type: Literal["video_url"]
    video_url: VideoUrl


ContentPart = TextPart | ImageUrlPart | PilImagePart | VideoUrlPart


class ChatMessage(TypedDict):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str | list[ContentPart]


def chat(request: Request, images: Sequence[ContentPart], *, system_role: bool = True) -> list[ChatMessage]:
    """Return the messages of `request`.

    Args:
        request: prompt.
        images: content parts of the request's images and frames, in order.
        system_role: False puts the system text before the user's, for models whose template has no system role.
    """
    messages: list[ChatMessage] = []
    for example in request.examples:
        messages += [
            ChatMessage(role="user", content=example.user),
            ChatMessage(role="assistant", content=example.answer),
        ]
    messages.append(ChatMessage(role="user", content=request.user))
    if request.system and system_role:
        messages.insert(0, ChatMessage(role="system", content=request.system))
    elif request.system:
        messages[0]["content"] = f"{request.system}\n\n{messages[0]['content']}"
    if images:
        messages[-1]["content"] = [*images, TextPart(type="text", text=str(messages[-1]["content"]))]
    return messages


def video_options(frames: FramesRef | None) -> dict[str, dict[str, Any]] | None:
    """Return vLLM's ``media_io_kwargs`` for a request's video: all frames are meant, at their own rate."""
    if frames is None or not frames.as_video:
        return None
    return {"video": {"num_frames": -1, "fps": frames.per_second}}


def answer_text(text: str, *, is_json: bool) -> str:
    """Strip white space around an answer, and replace raw control characters in JSON by spaces.

    Grammars allow control characters inside strings, which JSON forbids; between JSON's parts they are white space.
    """
    return text.translate(_CONTROL).strip() if is_json else text.strip()


def has_chat_template(folder: Path) -> bool:
    """Return True if a model's folder has a chat template, or is of a form that can't be checked (Mistral's own)."""
    if not (folder / "tokenizer_config.json").is_file():
        return True
    if any((folder / name).exists() for name in ("chat_template.jinja", "chat_template.json", "chat_templates")):
        return True
    return any(_names_template(folder / name) for name in ("tokenizer_config.json", "processor_config.json"))


def _names_template(path: Path) -> bool:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and bool(values.get("chat_template"))
