"""The only floor that imports Airflow: DAG factory, operators, plugin, engines."""
