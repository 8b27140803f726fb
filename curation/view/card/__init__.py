"""`curate card`: a dataset card (README.md), a report (HTML) and Croissant metadata, all computed from a DIR."""
