"""The DAG templates, and the settings of an Airflow that runs them."""

from __future__ import annotations

import shutil
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TEMPLATES = PROJECT / "dags_templates"
HOME = PROJECT / ".airflow" / "demo"  # where `make demo` and `make up` keep their Airflow

AML_SETTINGS = {
    # Airflow's own rule passes over files that do not say "airflow" and "dag"; v1 files need not.
    "core.might_contain_dag_callable": "airflow_aml.airflow.discovery.might_contain_dag",
}


def names() -> list[str]:
    """Every template: a folder, or a file that stands alone."""
    return sorted(path.name for path in TEMPLATES.iterdir() if is_template(path))


def is_template(path: Path) -> bool:
    """Whether Airflow would find something in it."""
    return path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))


def copy(name: str, dags_folder: Path, *, replace: bool) -> Path:
    """Put a template into a dags folder and return where it is."""
    source, target = TEMPLATES / name, dags_folder / name
    if target.exists():
        if not replace:
            return target
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    dags_folder.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)
    return target
