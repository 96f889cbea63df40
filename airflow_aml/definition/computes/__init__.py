"""Computes by name, with v1's words (reference 1.1)."""
