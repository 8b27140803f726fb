"""The media stage: one video after another becomes clips.

Data flows in this order::

    download ──▶ picture (probe) ──▶ speech ──▶ picture (encode) ──▶ clips ──▶ media_stage (tars, tables)

Imports point one way: `media_stage` and `video_to_clips` import everything here; `download` and `clips` import
`speech` and `picture` but not each other; `speech` imports `picture`; `picture` imports none of the others.
"""
