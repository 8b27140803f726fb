"""The VidLA model: attention over time, towers, contrastive loss, classification head, initial weights, folder."""
