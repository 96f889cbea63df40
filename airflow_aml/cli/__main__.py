"""``python -m airflow_aml.cli``."""

from __future__ import annotations

import sys

from airflow_aml.cli import main

sys.exit(main())
