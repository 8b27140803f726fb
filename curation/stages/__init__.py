"""The description of a stage, the settings that stages share, and the tables that they write."""
