# Airflow with this package, and with what the templates' scripts import; docker-compose.yaml builds it.
ARG AIRFLOW_IMAGE=apache/airflow:3.3.2
FROM ${AIRFLOW_IMAGE}
COPY pyproject.toml README.md LICENSE /tmp/airflow_aml/
COPY airflow_aml /tmp/airflow_aml/airflow_aml
# The image's own Airflow stays as it is, whatever a package would like better.
RUN pip install --no-cache-dir \
    "apache-airflow==$(python -c 'import airflow; print(airflow.__version__)')" \
    "/tmp/airflow_aml[azure,environments]" \
    "psycopg[binary]>=3.2" "scikit-learn>=1.5" "pandas>=2.2" "pyarrow>=18"
