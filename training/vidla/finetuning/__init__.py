"""Finetune a pretrained model for retrieval or classification, by recipe."""
