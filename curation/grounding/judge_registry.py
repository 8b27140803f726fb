"""The judges, one line each, and the settings that are composed of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import create_model

from curation.grounding.judge import Judge, JudgeKind, JudgeResources
from curation.grounding.second_opinion import SECOND_OPINION
from curation.grounding.word_matcher import WORD_MATCHER
from runtime.settings import Settings

JUDGE_KINDS: Final[tuple[JudgeKind, ...]] = (
    WORD_MATCHER,
    SECOND_OPINION,
)
"""All judges, in the order in which they are asked; each sees only the claims that passed the ones before it."""

if TYPE_CHECKING:

    class GroundSettings(Settings):
        """Settings of all judges."""

        def __init__(self, **values: Any) -> None: ...

else:
    GroundSettings = create_model(
        "GroundSettings",
        __base__=tuple(kind.settings for kind in reversed(JUDGE_KINDS)),
        __module__=__name__,
        __doc__="Strictness of the judges of claims: the settings of all of them.",
    )


def build_judges(settings: GroundSettings, resources: JudgeResources) -> list[Judge]:
    """Build the judges that the settings ask for, in the order in which they are asked."""
    return [kind.build(settings, resources) for kind in JUDGE_KINDS if kind.is_on(settings)]
