"""Subcommands of `train-vidlankd`, one file each; `training.vidlankd.train_vidlankd` lists them."""
