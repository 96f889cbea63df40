"""SDK v1's own module names: after ``import airflow_aml.azureml_compat``, ``import azureml`` works.

Steps' scripts, ``airflow-aml exec`` and the programs of an ``AmlDagBundle`` have it without.
"""

from __future__ import annotations

from airflow_aml.azureml_compat.finder import install

install()
