"""Prompts: files with a name and a version, filled in so that data can't be taken for instructions.

A prompt is a Markdown file, ``templates/<name>.md`` of this package or the user's own::

    ---
    name: summary
    version: 1
    ---
    # system
    ...
    # user
    Summarize in at most $max_words words. $text

The front matter may list worked ``examples``: values of the fields, and the right ``answer``. They are shown to the
model as earlier turns of the chat (`Prompt.exchanges`).

`Prompt.render` puts every piece of data between tags named after its field (``<text>`` ... ``</text>``), on separate
lines, and replaces the brackets that could close the tag or open a special token of a chat template. Numbers are
inserted without tags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

import yaml

from curation.engines.engine_interface import Exchange
from curation.prompts.text_language import language_of
from curation.prompts.wording import tidy
from runtime.errors import UserError, nearest
from runtime.settings import content_hash

_FOLDER = Path(__file__).parent / "templates"
_LAYOUT = re.compile(
    r"---\n(?P<head>.*?)\n---\n\s*# system\n(?P<system>(?:.*?\n)?)# user(?P<user>(?:\n.*)?)", re.DOTALL
)
_ANSWER = "answer"
_ESCAPES = str.maketrans("<>[]＜＞［］", "‹›()‹›()")

Value = str | int | float | Sequence[str]
"""One text, a number, or lines; a text or a line takes exactly one line of the prompt."""


@dataclass(frozen=True)
class Prompt:
    """One prompt file."""

    name: str
    version: int
    system: str
    """Template of the system message; may be empty."""
    user: str
    """Template of the user message; may be empty."""
    examples: tuple[Mapping[str, Value], ...] = ()
    """Worked examples: values of the fields, and ``answer``."""

    @property
    def ref(self) -> str:
        """``name@version``, as recorded in each row."""
        return f"{self.name}@{self.version}"

    @property
    def hash(self) -> str:
        """Hash of name, version, templates and examples; part of a stage's content hash."""
        examples = [list(self.examples)] if self.examples else []
        return content_hash(self.name, self.version, self.system, self.user, *examples)

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields that `render` fills in."""
        return frozenset([*Template(self.system).get_identifiers(), *Template(self.user).get_identifiers()])

    @property
    def language(self) -> str | None:
        """ISO 639-1 code of the language that it is written in, in which its answers are expected; None: can't tell."""
        return language_of(f"{self.system} {self.user}")

    def render(self, **fields: Value) -> tuple[str, str]:
        """Return the system and the user message; fields that the prompt does not use are ignored.

        Raises:
            KeyError: a field of the prompt is missing.
        """
        values = {name: _delimited(name, value) for name, value in fields.items() if name in self.fields}
        return Template(self.system).substitute(values), Template(self.user).substitute(values)

    def exchanges(self, **fields: Value) -> tuple[Exchange, ...]:
        """Return the worked examples as earlier turns of the chat.

        Args:
            fields: values for fields that an example leaves out, such as limits.

        Raises:
            KeyError: a field of the prompt is missing.
        """
        return tuple(
            Exchange(self.render(**{**fields, **example})[1], str(example[_ANSWER])) for example in self.examples
        )


def load(name: str, fields: Iterable[str] = ()) -> Prompt:
    """Read a built-in prompt by its name, or the user's own by the path of its file (``mine.md``).

    Args:
        name: as in the settings.
        fields: names of the fields that the caller can fill in.

    Raises:
        UserError: no such prompt, not a prompt file, or a prompt with other fields.
    """
    prompt = _read(name)
    unknown = sorted(prompt.fields - set(fields))
    if unknown:
        raise UserError(f"prompt {name}: ${unknown[0]} can't be filled in here{nearest(unknown[0], fields)}")
    return prompt


@cache
def _read(name: str) -> Prompt:
    path = Path(name) if name.endswith(".md") else _FOLDER / f"{name}.md"
    if not name.endswith(".md") and name not in (known := _names()):
        raise UserError(f"prompt {name}: no such prompt{nearest(name, known)}; a file of your own ends in .md")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"prompt {name}: can't be read ({error})") from None
    return _parse(name, text)


def _names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.md"))


def _parse(name: str, text: str) -> Prompt:
    layout = _LAYOUT.fullmatch(text.replace("\r\n", "\n"))
    if layout is None:
        raise UserError(f"prompt {name}: must be front matter between --- lines, then '# system', then '# user'")
    try:
        head = yaml.safe_load(layout["head"])
        texts = layout["system"].strip(), layout["user"].strip()
        prompt = Prompt(str(head["name"]), int(head["version"]), *texts, _examples(name, head.get("examples", [])))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"prompt {name}: its front matter must give a name and a whole number as version") from None
    if not (Template(prompt.system).is_valid() and Template(prompt.user).is_valid()):
        raise UserError(f"prompt {name}: a lone $ is not a field; write $$ for the sign itself")
    return prompt


def _examples(name: str, listed: object) -> tuple[Mapping[str, Value], ...]:
    whole = isinstance(listed, list) and all(
        isinstance(example, dict)
        and isinstance(example.get(_ANSWER), str)
        and all(isinstance(value, str | int) or _is_lines(value) for value in example.values())
        for example in listed
    )
    if not isinstance(listed, list) or not whole:
        raise UserError(
            f"prompt {name}: each of its examples must give texts, numbers or lists of texts by field, and an answer "
            '(in quotes, if it is "yes" or "no")'
        )
    return tuple(listed)


def _is_lines(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(line, str) for line in value)


def _delimited(name: str, value: Value) -> str:
    if isinstance(value, int | float):
        return str(value)
    lines = [value] if isinstance(value, str) else value
    return "\n".join([f"<{name}>", *(escape(line) for line in lines), f"</{name}>"])


def escape(text: str) -> str:
    """Return `text` on one line, with the brackets of tags, ``<|special|>`` tokens and ``[INST]`` replaced."""
    return tidy(text).translate(_ESCAPES)
