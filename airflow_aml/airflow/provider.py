"""What Airflow's provider manager is told about this package; every process reads it."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, in Airflow's provider schema."""
    return {
        "package-name": "airflow-provider-aml",
        "name": "Azure ML SDK v1",
        "description": "Azure ML SDK v1 pipelines, running on Apache Airflow.",
        "integrations": [
            {
                "integration-name": "Azure ML SDK v1",
                "external-doc-url": "https://learn.microsoft.com/azure/machine-learning/v1/",
                "tags": ["azure", "software"],
            }
        ],
        "operators": [
            {
                "integration-name": "Azure ML SDK v1",
                "python-modules": [
                    "airflow_aml.airflow.reuse",
                    "airflow_aml.airflow.steps.local",
                    "airflow_aml.airflow.steps.docker",
                    "airflow_aml.airflow.submitting",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": "Azure ML SDK v1",
                "python-modules": ["airflow_aml.airflow.triggers"],
            }
        ],
        "config": {
            "aml": {
                "description": _ABOUT,
                "options": {**_keeping(), **_environments(), **_showing()},
            }
        },
    }


_ABOUT = "Azure ML SDK v1 pipelines (airflow-provider-aml)."


def _keeping() -> dict[str, Any]:
    return {
        "workspace": {
            "description": (
                "URL of the folder that keeps everything the product keeps. In an"
                " object store it may name an Airflow connection:"
                " abfs://connection@container/path, s3://connection@bucket/path."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": "file:///srv/aml",
            "default": "",
        },
        "workspaces": {
            "description": (
                "JSON object: workspace name of SDK v1 -> URL. A name that is not in"
                " it is the default workspace."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": '{"team-a": "file:///srv/team-a"}',
            "default": "{{}}",
        },
        "computes": {
            "description": (
                "JSON object: name of a compute -> its document: where steps run that"
                " name it. 'default' is for those that nobody has defined."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": '{"gpu": {"kind": "docker", "image": "team/train:1", "gpu": 1}}',
            "default": "{{}}",
        },
        "scratch": {
            "description": (
                "Local folder for the working copies of running steps. Empty: the"
                " system's folder for temporary files."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": "/mnt/scratch",
            "default": "",
        },
        "cache_bytes": {
            "description": (
                "How many bytes of files from object stores a worker keeps for steps"
                " to come. The cache is in AIRFLOW_AML_CACHE, best on the file system"
                " of scratch. 0: 20 GiB."
            ),
            "version_added": "0.1.0",
            "type": "integer",
            "example": "100000000000",
            "default": "0",
        },
    }


def _environments() -> dict[str, Any]:
    return {
        "environments": {
            "description": (
                "Whether a step that asks for packages gets an environment of its own (own), or"
                " all steps run with the worker's packages (worker)."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": "worker",
            "default": "own",
        },
        "curated_environments": {
            "description": (
                "JSON object: name of an environment -> list of packages, or an object with"
                " python, pip, conda, image. It counts before the table of Azure ML's own names."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": '{"AzureML-Tutorial": {"python": "3.11", "pip": ["scikit-learn"]}}',
            "default": "{{}}",
        },
        "python_versions": {
            "description": "JSON object: Python version asked for -> the one used for it.",
            "version_added": "0.1.0",
            "type": "string",
            "example": '{"3.6": "3.8", "3.7": "3.8"}',
            "default": "{{}}",
        },
        "python_downloads": {
            "description": (
                "Whether uv may download a Python version that a step asks for and a worker does"
                " not have."
            ),
            "version_added": "0.1.0",
            "type": "boolean",
            "example": "True",
            "default": "False",
        },
        "packages": {
            "description": (
                "JSON object: package asked for -> requirement used for it; null leaves it out."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": '{"openjdk": null, "our-tools": "our-tools-lite==2.*"}',
            "default": "{{}}",
        },
        "conda_channels": {
            "description": (
                "Channels of the conda packages that PyPI does not have, where a machine has"
                " micromamba."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": "conda-forge, bioconda",
            "default": "conda-forge",
        },
    }


def _showing() -> dict[str, Any]:
    return {
        "price_per_hour": {
            "description": (
                "What an hour of computing costs, with your currency if you like. Where it is"
                " set, the log of a run and 'airflow-aml runs' tell saved time as money too."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": "2.5 EUR",
            "default": "",
        },
        "strict_parameters": {
            "description": (
                "Whether v1's REST API refuses parameters that a pipeline does not have. v1"
                " ignores them; the answer then lists them as warnings."
            ),
            "version_added": "0.1.0",
            "type": "boolean",
            "example": "True",
            "default": "False",
        },
        "api_url": {
            "description": (
                "Airflow's address, as a browser has it, for programs on a machine that has this"
                " configuration: their pipelines run in that Airflow. The variable"
                " AIRFLOW_AML_API_URL counts before it. Empty: they run by themselves."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": "https://airflow.example.com",
            "default": "",
        },
        "workspace_url": {
            "description": (
                "Address under which a web server of yours serves the folder of 'workspace'."
                " Where it is set, each step's task has links to its record there. Empty: none."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": "https://files.example.com/aml",
            "default": "",
        },
        "mlflow_tracking_uri": {
            "description": (
                "Tracking server of MLflow in which runs are shown, too. Empty: that of the"
                " environment variable MLFLOW_TRACKING_URI, if there is one."
            ),
            "version_added": "0.1.0",
            "type": "string",
            "example": "http://mlflow:5000",
            "default": "",
        },
    }
