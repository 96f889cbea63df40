import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Env:
    workspace_name: str = os.environ.get("WORKSPACE_NAME", "default")
    experiment_name: str = os.environ.get("EXPERIMENT_NAME", "mlops")
    compute_name: str = os.environ.get("AML_COMPUTE_CLUSTER_NAME", "cpu-cluster")
    sources_directory: str = os.environ.get("SOURCES_DIR_TRAIN", "src")
