"""From what an author asks for to a lock: tables, names, and one clear error for what is wrong."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_aml import CondaDependencies, Environment, RunConfiguration
from airflow_aml.codec import encode
from airflow_aml.definition.spec import EnvironmentSpec
from airflow_aml.errors import NotServedError, UserErrorException, WorkspaceException
from airflow_aml.reuse.software import Site, lock_of, wish_of
from airflow_aml.reuse.software.locking import lock_steps
from airflow_aml.reuse.software.pythons import own_version

SITE = Site()


def wish(workspace, *pip, conda=(), site=SITE, **more):
    return wish_of(EnvironmentSpec(pip_packages=pip, conda_packages=conda, **more), site, workspace)


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("azureml-defaults", []),
        ("azureml-core==1.40.0", []),
        ("azureml-dataprep[pandas]", ["pandas", "pyarrow"]),
        ("azureml-dataprep[fuse,pandas]>=2", ["pandas", "pyarrow"]),
        ("azureml-mlflow", ["mlflow-skinny"]),
        ("azure-storage-blob", ["azure-storage-blob"]),
    ],
)
def test_azure_mls_own_packages_are_replaced_and_it_is_said(workspace, asked, used):
    """What nothing here needs is dropped; what brought pandas along is pandas."""
    found = wish(workspace, asked, "six")

    assert list(found.requirements) == sorted(["six", *used])
    assert any(asked in note for note in found.notes) == (used != [asked])


@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("numpy=1.19", "numpy==1.19.*"),
        ("numpy=1.19.2=py38_0", "numpy==1.19.2.*"),
        ("numpy==1.19.2", "numpy==1.19.2"),
        ("numpy 1.19.*", "numpy==1.19.*"),
        ("conda-forge::numpy>=1.19,<2", "numpy>=1.19,<2"),
        ("pytorch=1.13", "torch==1.13.*"),
        ("scikit-learn", "scikit-learn"),
    ],
)
def test_conda_packages_are_asked_of_pypi(workspace, asked, used):
    """Names and versions are written as PyPI has them."""
    assert wish(workspace, conda=(asked,)).requirements == (used,)


def test_what_wheels_bring_along_is_left_out(workspace):
    """pip, CUDA and the like are inside wheels, or not needed."""
    assert wish(workspace, conda=("pip=20", "cudatoolkit=11", "six")).requirements == ("six",)


def test_a_conda_package_that_is_no_python_package_is_refused_by_name(workspace):
    """The text says what to do; a site may map the name to nothing."""
    with pytest.raises(NotServedError, match=r"openjdk=8.*\[aml\] packages"):
        wish(workspace, conda=("openjdk=8", "six"))

    site = Site(packages={"openjdk": None})
    assert wish(workspace, conda=("openjdk=8", "six"), site=site).requirements == ("six",)


def test_a_step_that_asks_for_nothing_that_is_needed_keeps_the_workers_python(workspace):
    """Also with user_managed_dependencies, an interpreter, or where the site says so."""
    assert wish(workspace) is None
    assert wish(workspace, "azureml-defaults") is None
    assert wish(workspace, "six", user_managed=True) is None
    assert wish(workspace, "six", interpreter="/usr/bin/python3") is None
    assert wish(workspace, "six", site=Site(own=False)) is None


def test_an_old_python_is_refused_or_mapped(workspace):
    """v1's programs ask for 3.6; a site says what stands for it."""
    with pytest.raises(UserErrorException, match=r"Python 3.6 .*python_versions"):
        wish(workspace, "six", python_version="3.6.2")

    mapped = Site(pythons={"3.6": own_version()})
    assert wish(workspace, "six", python_version="3.6.2", site=mapped).python == own_version()


def test_a_python_that_is_not_there_lists_those_that_are(workspace):
    """One error that names what can be had."""
    asked = wish(workspace, "six", python_version="3.97")

    with pytest.raises(
        UserErrorException, match=rf"this machine has none; it has .*{own_version()}"
    ):
        lock_of(asked, workspace)


@pytest.mark.parametrize(
    ("packages", "said"),
    [
        (("no-such-package-of-anybody-xyz",), "was not found in the package registry"),
        (("packaging==23.1", "packaging==23.2"), "unsatisfiable"),
        (("six===",), "Unexpected end of version specifier"),
    ],
)
def test_packages_that_cannot_be_had_are_uvs_explanation(workspace, packages, said):
    """Misspelt, unsatisfiable, or no requirement at all."""
    with pytest.raises(UserErrorException) as refused:
        lock_of(wish(workspace, *packages), workspace)
    assert said in " ".join(str(refused.value).split())  # as uv wraps its lines


def test_a_lock_is_made_once_and_kept(workspace):
    """All who ask later get the first answer, until somebody locks anew."""
    asked, said = wish(workspace, "six<1.17"), []

    lock = lock_of(asked, workspace, say=said.append)
    (path,) = workspace.path("locks").iterdir()
    document = json.loads(path.read_text())
    document["packages"]["six"] = "1.15.0"
    path.write_text(json.dumps(document))

    assert lock.requirements == ("six==1.16.0",)
    assert len(said) == 1
    assert lock_of(asked, workspace, say=said.append).requirements == ("six==1.15.0",)
    assert lock_of(asked, workspace, anew=True) == lock
    assert lock_of(asked, workspace) == lock


@pytest.mark.parametrize("data", ["", '{"broken', "[]", '{"version": 1, "python": "3.11"}'])
def test_a_damaged_lock_is_named_with_the_way_to_a_new_one(workspace, data):
    """The step that asks does not say which file it is."""
    spec = EnvironmentSpec(pip_packages=("six==1.16.0",))
    node = SimpleNamespace(id="s", name="s", settings=SimpleNamespace(environment=spec))
    lock_steps([node], workspace)
    (path,) = workspace.path("locks").iterdir()
    path.chmod(0o644)
    path.write_text(data)

    with pytest.raises(WorkspaceException, match=rf"step 's'.*{path.name} is damaged.*--lock"):
        lock_steps([node], workspace)
    assert lock_steps([node], workspace, anew=True)[node.id].packages == {"six": "1.16.0"}


def test_versions_that_are_not_final_count_where_they_are_asked_for(workspace):
    """--pre is an option of pip's files, and an argument of uv's."""
    asked = "typing-extensions>=4.12.2,<=4.13.0,!=4.13.0"

    final = lock_of(wish(workspace, asked), workspace)
    early = lock_of(wish(workspace, asked, pip_options=("--pre",)), workspace)

    assert final.requirements == ("typing-extensions==4.12.2",)
    assert (early.requirements, early.options) == (("typing-extensions==4.13.0rc1",), ())


def test_one_who_only_looks_keeps_nothing(workspace):
    """That is what plan does: it agrees, and leaves the workspace as it is."""
    lock_of(wish(workspace, "six==1.16.0"), workspace, keep=False)

    assert not workspace.path("locks").exists()


def test_a_registered_environment_is_looked_up_by_its_name(workspace):
    """`environment.name = 'X'; .version = '1.0'` means the registered one."""
    mine = Environment("mine")
    mine.version = "1.0"
    mine.python.conda_dependencies = CondaDependencies.create(pip_packages=["six==1.16.0"])
    assert mine.register("ws").version == "1.0"
    config = RunConfiguration()
    config.environment.name = "mine"
    config.environment.version = "1.0"

    spec = config.settings.environment

    assert spec.registered
    assert wish_of(spec, SITE, workspace).requirements == ("six==1.16.0",)
    with pytest.raises(UserErrorException, match=r"no version 2.0.*Its versions: 1.0"):
        wish_of(EnvironmentSpec(name="mine", version="2.0", registered=True), SITE, workspace)


def test_what_is_added_to_a_registered_environment_replaces_what_it_has(workspace):
    """One package of a name, as where packages are added to a list."""
    mine = Environment("mine")
    mine.python.conda_dependencies = CondaDependencies.create(
        pip_indexurl="https://old.example/simple", pip_packages=["Zope.Interface==5", "six==1.16.0"]
    )
    mine.register("ws")
    spec = EnvironmentSpec(
        name="mine",
        pip_packages=("zope_interface[test]==6",),
        pip_options=("--index-url https://new.example/simple",),
        registered=True,
    )

    found = wish_of(spec, SITE, workspace)

    assert found.requirements == ("six==1.16.0", "zope_interface[test]==6")
    assert found.options == ("--index-url https://new.example/simple",)


def test_a_version_that_is_registered_is_not_the_one_that_is_about_to_be(workspace):
    """A file that registers changed packages leaves steps alone that ask for the version before."""
    mine = Environment("mine")
    mine.python.conda_dependencies = CondaDependencies.create(pip_packages=["six==1.16.0"])
    mine.register("ws")
    changed = EnvironmentSpec(name="mine", pip_packages=("six==1.15.0",))
    pending = {"mine": {"spec": encode(changed), "variables": {}, "version": None}}

    def asked(version):
        spec = EnvironmentSpec(name="mine", version=version, registered=True)
        return wish_of(spec, SITE, workspace, pending=pending).requirements

    assert asked("1") == ("six==1.16.0",)
    assert asked("2") == asked(None) == ("six==1.15.0",)


def test_a_name_that_nobody_registered_lists_near_ones(workspace):
    """A typing error in a name is one sentence."""
    Environment("training").register("ws")

    with pytest.raises(UserErrorException, match=r"no environment named 'trainin'.*'training'"):
        wish_of(EnvironmentSpec(name="trainin", registered=True), SITE, workspace)


def test_registering_the_same_again_makes_no_new_version(workspace):
    """Another content is the next version; get takes the latest."""
    first = Environment("e")
    assert first.register("ws").version == "1"
    again = Environment("e")
    assert again.register("ws").version == "1"
    again.version = None
    again.python.conda_dependencies = CondaDependencies.create(pip_packages=["six"])
    assert again.register("ws").version == "2"
    assert Environment.get("ws", "e").python.conda_dependencies.pip_packages == ["six"]
    assert Environment.get("ws", "e", version="1").version == "1"
    assert "e" in Environment.list("ws")


@pytest.mark.parametrize(
    ("name", "first", "python"),
    [
        ("AzureML-Tutorial", "joblib", None),
        ("AzureML-sklearn-1.0-ubuntu20.04-py38-cpu", "scikit-learn==1.0.*", "3.8"),
        ("AzureML-PyTorch-1.6-GPU", "torch==1.6.*", None),
        ("AzureML-TensorFlow-2.3-CPU", "tensorflow==2.3.*", None),
    ],
)
def test_curated_names_are_what_they_are_made_for(workspace, name, first, python):
    """A name stands for the package that it is made for, in that release."""
    found = wish_of(EnvironmentSpec(name=name, registered=True), SITE, workspace)

    assert first in found.requirements
    assert found.python == (python or own_version())


def test_a_site_adds_curated_names(workspace):
    """[aml] curated_environments counts before our table."""
    site = Site(curated={"AzureML-Tutorial": ["six"], "Ours": {"python": "3.12", "conda": ["six"]}})

    tutorial = EnvironmentSpec(name="AzureML-Tutorial", registered=True)
    ours = EnvironmentSpec(name="Ours", registered=True, pip_packages=("packaging",))
    assert wish_of(tutorial, site, workspace).requirements == ("six",)
    assert wish_of(ours, site, workspace).requirements == ("packaging", "six")
    assert wish_of(ours, site, workspace).python == "3.12"


def test_the_error_names_the_step(workspace):
    """What, where, and what to do about it."""
    spec = EnvironmentSpec(conda_packages=("r-base",))
    node = SimpleNamespace(id="train", name="train", settings=SimpleNamespace(environment=spec))

    with pytest.raises(NotServedError, match=r"step 'train': conda package 'r-base'"):
        lock_steps([node], workspace)


def test_settings_that_are_wrong_are_named():
    """[aml] environments and the tables beside it."""
    with pytest.raises(UserErrorException, match=r"\[aml\] environments must be"):
        Site.read(lambda name: "elsewhere" if name == "environments" else "")
    with pytest.raises(UserErrorException, match=r"\[aml\] packages is not JSON"):
        Site.read(lambda name: "{" if name == "packages" else "")
