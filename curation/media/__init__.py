"""The media stage: one video after another becomes clips.

Data flows in this order::

    download ──▶ picture (probe) ──▶ speech ──▶ picture (encode) ──▶ clips ──▶ shard_builder (tars, tables)

`media_stage` runs the whole flow for a shard, `video_to_clips` runs it for one video that has been downloaded, and
`in_flight` keeps each finished video until its shard is committed.

Imports point one way, and import-linter checks it: `media_stage`, `in_flight` and
`video_to_clips` import everything here;
`download` and `clips` import `speech` and `picture` but not each other; `speech` imports `picture`; `picture` imports
none of the others.
"""
