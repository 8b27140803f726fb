"""Model URIs: every model is named by one string and resolved here."""
