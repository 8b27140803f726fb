"""The sections of a card: facts as tables, plots and plain sentences, before they are written as Markdown or HTML."""
