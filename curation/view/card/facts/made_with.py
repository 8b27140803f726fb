"""The makers of the texts of a card: models with revisions, prompts and programs, from the records of each folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from curation.view.card.facts.card_tables import CardTables
from curation.view.sql_tables import files
from shards.manifest import StageMark, read_stage
from shards.reader import caption_sets
from shards.scores.score_set import score_sets
from shards.storage.store import Store
from shards.storage.url_secrets import without_secrets, without_tokens

_LOG: Final = re.compile(r"(\d{4})(\d{2})(\d{2})T\d{6}.*\.jsonl$")
"""Name of the log of a run."""
_NAMES: Final = """
select models.asr as asr, models.captioner as captioner, models.rewriter as rewriter, models.prompt as prompt,
       count(*) as clips
from read_parquet(?) where models is not null group by 1, 2, 3, 4 order by clips desc, 1, 2, 3, 4 limit 20
"""


@dataclass(frozen=True)
class ModelFact:
    """One model of one folder."""

    folder: str
    setting: str | None
    """Setting that names it; None if it is in the record of revisions only."""
    uri: str
    revision: str | None
    """None: not recorded (a server's model, or a layer of schema version 1 whose URI may hold a hash)."""


@dataclass(frozen=True)
class PromptFact:
    """One prompt of one folder."""

    folder: str
    name: str
    hash: str


@dataclass(frozen=True)
class ProgramFact:
    """One program of one folder, and its versions."""

    folder: str
    program: str
    versions: tuple[str, ...]


@dataclass(frozen=True)
class NamedModels:
    """The names of models and prompt that clips of the layer record."""

    asr: str | None
    captioner: str | None
    rewriter: str | None
    prompt: str | None
    clips: int


@dataclass(frozen=True)
class MadeWith:
    """All that made media, captions, texts and scores."""

    models: tuple[ModelFact, ...]
    prompts: tuple[PromptFact, ...]
    programs: tuple[ProgramFact, ...]
    named: tuple[NamedModels, ...]
    judges: tuple[str, ...]
    """Judges of claims in the order in which they were asked."""
    run_dates: tuple[str, ...]
    """Days (YYYY-MM-DD, UTC) on which logged runs began, the earliest first; none if the DIR holds no logs."""


def made_with(tables: CardTables, judges: tuple[str, ...]) -> MadeWith:
    """Return what made a layer, the media, the captions and the scores of its DIR.

    Raises:
        ShardError: a record is damaged.
        UserError: a table is damaged.
    """
    models: list[ModelFact] = []
    prompts: list[PromptFact] = []
    programs: list[ProgramFact] = []
    for folder in _folders(tables.store, tables.layer):
        mark = read_stage(tables.store, folder)
        if mark is None:
            continue
        models += _models(folder, mark)
        prompts += [PromptFact(folder, name, text) for name, text in _prompts(mark.settings)]
        programs += [ProgramFact(folder, name, tuple(versions)) for name, versions in mark.versions.items()]
    paths = files(tables.store, f"text/{tables.layer}")
    named = tuple(NamedModels(**row) for row in tables.rows(_NAMES, [paths]))
    return MadeWith(tuple(models), tuple(prompts), tuple(programs), named, judges, _run_dates(tables.store))


def _run_dates(store: Store) -> tuple[str, ...]:
    found = (_LOG.match(name) for name in store.list("log"))
    return tuple(sorted({"-".join(match.groups()) for match in found if match is not None}))


def _folders(store: Store, layer: str) -> Iterator[str]:
    yield "media"
    yield from (f"captions/{name}" for name in caption_sets(store))
    yield f"text/{layer}"
    yield from (f"scores/{name}" for name in score_sets(store))


def _models(folder: str, mark: StageMark) -> list[ModelFact]:
    """Return the models that settings name, then those of which only the revision is recorded."""
    named = dict(_named_models(mark.settings, ""))
    found = [ModelFact(folder, setting, _shown(uri), mark.models.get(uri)) for setting, uri in named.items()]
    unnamed = sorted(set(mark.models) - set(named.values()))
    return found + [ModelFact(folder, None, _shown(uri), mark.models[uri]) for uri in unnamed]


def _named_models(settings: Mapping[str, Any], before: str) -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        setting = f"{before}{name}"
        if isinstance(value, Mapping):
            yield from _named_models(value, f"{setting}.")
        elif name in ("model", "parser") and isinstance(value, str):
            yield setting, value


def _prompts(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the prompts of settings, wherever they are, with their hashes."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            if name == "prompts":
                yield from ((prompt, text) for prompt, text in value.items() if isinstance(text, str))
            else:
                yield from _prompts(value)
        elif name == "prompt" and isinstance(value, str):
            yield name, value


def _shown(uri: str) -> str:
    """Return a model's URI without user, password and tokens; the hashes of a ``pypi://`` URI stay."""
    return without_secrets(uri if uri.startswith(("pypi://", "hf://", "path://")) else without_tokens(uri))
