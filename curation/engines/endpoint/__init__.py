"""An OpenAI-compatible endpoint: connection, requests and bounded answers."""
