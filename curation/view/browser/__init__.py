"""`curate view`: a local web app over one text layer of a DIR: browse, watch, audit, search; it changes labels only."""
