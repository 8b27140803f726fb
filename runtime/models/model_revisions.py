"""Revisions of models: looked up once at the start of a run, and written into the URIs that workers get.

A pinned URI names exactly one content: ``hf://org/name@<commit>``, ``path:///folder#revision=<hash>``, and every
``pypi://`` URI, which has the hashes of its wheels. Opening it never asks what a branch points to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from runtime.errors import UserError
from runtime.models.hub import is_commit
from runtime.models.model_uri import ModelURI, revision_of
from runtime.models.parallel_questions import ask_all
from runtime.retry_limits import HUB_SECONDS


@dataclass(frozen=True)
class ModelRevisions:
    """Today's revision of each model that was looked up, or the reason why it has none."""

    found: Mapping[str, str | UserError]

    def of(self, uri: str) -> str:
        """Return the revision of a model.

        Raises:
            UserError: it does not exist, or it can't be looked up from here.
        """
        revision = self.found[uri]
        if isinstance(revision, UserError):
            raise revision
        return revision


def look_up(uris: Iterable[str], revision: Callable[[str], str] = revision_of) -> ModelRevisions:
    """Look up today's revision of every model, all at once; takes `HUB_SECONDS` and a little at the most.

    Raises:
        Exception: an error that is not the user's.
    """
    answers = ask_all({uri: partial(revision, uri) for uri in dict.fromkeys(uris)}, HUB_SECONDS.seconds + 2)
    found: dict[str, str | UserError] = {}
    for uri, answer in answers.items():
        if isinstance(answer, TimeoutError):
            found[uri] = UserError(f"model {uri!r}: the model hub does not answer; check the network")
        elif isinstance(answer, Exception) and not isinstance(answer, UserError):
            raise answer
        else:
            found[uri] = answer
    return ModelRevisions(found)


def moves(uri: str) -> bool:
    """Return True for a hub's branch or tag: it may name another content tomorrow, and the old one can still be had."""
    model = ModelURI.parse(uri)
    return model.scheme == "hf" and not is_commit(model.revision)


def pinned(uri: str, revision: str) -> str:
    """Return the URI of a model at one revision, as `revision_of` gave it."""
    model = ModelURI.parse(uri)
    if model.scheme == "hf":
        return f"hf://{model.path}@{revision}"
    return uri if model.scheme == "pypi" or model.revision else f"{uri}#revision={revision}"
