"""The text side of VidLA: tokens by the configuration of a text tower, and longer contexts."""
