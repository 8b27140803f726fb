"""The VidLA model: attention, towers, loss, folder."""
