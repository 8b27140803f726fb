"""Text-to-video grounding: the clips nearest to words, as a page."""
