"""Runs as v1 programs see them: from inside a script, and from outside (reference 1.1, 1.3)."""
