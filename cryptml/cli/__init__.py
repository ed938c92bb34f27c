"""The command lines: one file a verb."""
