"""The subcommands of `eval-vidla`."""
