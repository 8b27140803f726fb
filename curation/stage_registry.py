"""The stages of a pipeline, in the order in which they run: one line each.

    sources -> media -> caption -> rewrite -> score -> select -> DIR

To add a stage, describe it at the end of its file (`curation.stages.stage_definition`) and add it here.
"""

from __future__ import annotations

from curation.captions.caption_stage import CAPTION
from curation.media.media_definition import MEDIA
from curation.scores.score_stage import SCORE
from curation.selection.select_stage import SELECT
from curation.stages.stage_definition import ShardStage, TableStage
from curation.text.rewrite_stage import REWRITE

STAGES: tuple[ShardStage | TableStage, ...] = (
    MEDIA,
    CAPTION,
    REWRITE,
    SCORE,
    SELECT,
)
