"""Does it learn? An experiment on what attention over time adds to one pretrained frame-wise model.

    things      coloured shapes and their pixels
    queries     generated clips of 32 frames whose captions need time, by the length of the dependency, with twins
    variants    the towers that are compared, all started from the same frame-wise weights
    training    pretraining on single frames, finetuning on clips, scores on held-out combinations
    rule        the comparisons and when one counts as decided; written before the run
    report      tables and a figure from the JSON Lines of finished runs
    footage     another experiment: curated text against raw subtitles on the demo's videos

`python -m bench.learns` runs the first one and `python -m bench.learns.report` prints its tables;
`python -m bench.learns.footage` runs the other.
"""
