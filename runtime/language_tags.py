"""Names of languages in settings, such as ``en`` and ``zh-Hans``: a misspelt one would match nothing in silence."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator


def checked_tag(tag: str) -> str:
    """Return a language tag.

    Raises:
        ValueError: it is not a tag of a known language.
    """
    import langcodes

    if not langcodes.tag_is_valid(tag):
        raise ValueError(f"{tag!r} is not the tag of a language; write it as 'en', 'de' or 'zh-Hans'")
    return tag


def language_code(tag: str) -> str:
    """Return the code of a tag's language as it is stored: ``en`` for ``eng`` and ``en-US``.

    Raises:
        ValueError: it is not a tag of a known language.
    """
    import langcodes

    return str(langcodes.Language.get(checked_tag(tag)).language)


LanguageTag = Annotated[str, AfterValidator(checked_tag)]
"""A setting that holds a language tag."""
LanguageCode = Annotated[str, AfterValidator(language_code)]
"""A setting that holds a language, without script and region."""
