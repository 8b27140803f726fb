"""Language tasks (GLUE, SQuAD, SWAG, PIQA, TRACIE): fine-tune a BERT folder on each, score it, with several seeds."""
