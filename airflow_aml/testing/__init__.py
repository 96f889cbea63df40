"""For tests of one's own: the contract that a step finds wherever it runs. It needs pytest.

``from airflow_aml.testing import *`` brings the fixtures of :class:`StepContract` along.
"""

from __future__ import annotations

from airflow_aml.testing.contract import Laboratory, StepContract, good, laboratory, mixed, told

__all__ = ["Laboratory", "StepContract", "good", "laboratory", "mixed", "told"]
