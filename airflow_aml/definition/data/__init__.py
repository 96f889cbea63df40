"""Data of a pipeline: what datasets mean, where their files are, and how they become tables."""
