#!/bin/sh
# Starts a run of a published pipeline with curl: submit.sh ADDRESS RATE
#
# ADDRESS is what `published.endpoint` says. AIRFLOW_AML_API_URL is the address of the server,
# AIRFLOW_AML_API_USER and AIRFLOW_AML_API_PASSWORD are a user's there.
set -eu
token=$(curl --silent --show-error --fail "$AIRFLOW_AML_API_URL/auth/token" \
  --header 'Content-Type: application/json' \
  --data "{\"username\": \"$AIRFLOW_AML_API_USER\", \"password\": \"$AIRFLOW_AML_API_PASSWORD\"}" |
  sed 's/.*"access_token": *"\([^"]*\)".*/\1/')
curl --silent --show-error --fail-with-body "$1" \
  --header "Authorization: Bearer $token" \
  --header 'Content-Type: application/json' \
  --data "{\"ExperimentName\": \"rest\", \"ParameterAssignments\": {\"rate\": $2}}"
