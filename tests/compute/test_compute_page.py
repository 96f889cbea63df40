"""What docs/compute.md shows works as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

from airflow_aml.workspace.computes import ComputeRecord, site_computes

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compute.md").read_text(encoding="utf-8")
CLUSTERS = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")


def test_the_sites_setting_of_the_page_is_one(workspace):
    """As an administrator copies it from there."""
    (setting,) = re.findall(r"^computes = (.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    found = site_computes(setting.strip())

    assert found["gpu"].image == "team/train:1"
    table = PAGE.partition("| field |")[2].partition("\n\n")[0]
    fields = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE))))
    kept = {"name", "type", "vm_priority", "idle_seconds", "settings"}
    assert fields == set(ComputeRecord.__annotations__) - kept


def test_the_program_of_the_page_creates_a_cluster(workspace, capsys):
    """And tells its state."""
    (program,) = re.findall(
        r"```python\n(from airflow_aml import AmlCompute.*?)```", PAGE, re.DOTALL
    )

    exec(compile(program, "page.py", "exec"), {})

    assert "'provisioningState': 'Succeeded'" in capsys.readouterr().out
    assert (workspace.root / "registry/compute/cpu-cluster.json").is_file()


def test_the_pool_of_the_page_can_be_made(database):
    """By Airflow's own command."""
    from airflow.cli.cli_parser import get_parser
    from airflow.models.pool import Pool

    (command,) = re.findall(r"`airflow (pools set .*?)`", PAGE)
    arguments = get_parser().parse_args(shlex.split(command))
    arguments.func(arguments)

    assert Pool.get_pool("gpus").slots == 4
    Pool.delete_pool("gpus")


def test_the_compute_of_the_page_about_clusters_is_one(workspace):
    """And so is the one that the page on computes shows."""
    (setting,) = re.findall(r"^computes = (.*?)^```", CLUSTERS, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"```json\n(\{\"gpu\".*?)```", PAGE, re.DOTALL)

    assert site_computes(setting.strip())["default"].namespace == "train"
    assert site_computes(shown)["gpu"].node_selector == {"pool": "gpu"}


def test_the_script_for_a_cluster_says_what_it_needs(tmp_path):
    """Where its programs are not installed it names them, and does nothing."""
    script = ROOT / "scripts" / "kind_cluster"
    for name in ("dirname", "bash"):
        (tmp_path / name).symlink_to(shutil.which(name))
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path)}

    done = subprocess.run(
        [str(tmp_path / "bash"), str(script)],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, "Please install: docker kind kubectl\n")
