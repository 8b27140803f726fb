"""The driver's costs from 10^3 to 10^6 sources, and what they and the costs of stages predict for 20 million videos.

    python -m bench.scale                  # measure 10^3 and 10^4 sources (minutes), and print the table
    python -m bench.scale.page             # write the tables of docs/scale.md from the committed measurements

The planner, the runner, the ledger, the index, `status`, `select` and deduplication are the real ones; only the stages
are synthetic (`bench.scale.synthetic_stages`): they read and write tables and tars as real ones do, but no video.
"""
