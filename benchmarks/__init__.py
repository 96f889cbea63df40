"""Measurements against hand-written Airflow DAGs; see docs/performance.md."""
