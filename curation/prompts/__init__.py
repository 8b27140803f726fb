"""Prompt templates, and the clean-up of texts that go into prompts or come from models."""
