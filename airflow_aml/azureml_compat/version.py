"""``azureml.core.VERSION``."""

from __future__ import annotations

VERSION = "1.61.0"
"""The SDK whose names are served."""
