"""Programs around the package: a real Airflow on this machine, the demo, checks of the docs."""
