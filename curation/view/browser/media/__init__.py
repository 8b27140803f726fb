"""Videos and stills as byte ranges of the tars of a DIR; nothing is unpacked."""
