"""v1's classes around environments, as authors use them."""

from __future__ import annotations

import pytest

from airflow_aml import (
    CondaDependencies,
    DockerConfiguration,
    Environment,
    PythonScriptStep,
    RunConfiguration,
    Workspace,
)
from airflow_aml.definition.origin import loading
from airflow_aml.errors import NotServedError, PipelineTypeError, UserErrorException

CONDA = """
name: project_environment
channels: [conda-forge]
dependencies:
  - python=3.8.13
  - numpy=1.19
  - pip:
    - --extra-index-url https://example.com/simple
    - six==1.16.0
    - -r more.txt
"""


@pytest.fixture
def conda_file(tmp_path):
    """A conda file that includes a requirements file."""
    (tmp_path / "more.txt").write_text("packaging  # why\n\n--pre\n")
    path = tmp_path / "conda.yml"
    path.write_text(CONDA)
    return path


def test_a_conda_file_is_read_whole(conda_file):
    """Python, packages, options, and what it includes."""
    spec = Environment.from_conda_specification("e", str(conda_file)).spec

    assert spec.python_version == "3.8.13"
    assert spec.conda_packages == ("numpy=1.19",)
    assert spec.pip_packages == ("six==1.16.0", "packaging")
    assert spec.pip_options == ("--extra-index-url https://example.com/simple", "--pre")


def test_dependencies_survive_being_written(conda_file, tmp_path):
    """save_to_file writes what the constructor reads."""
    first = CondaDependencies(str(conda_file))

    name = first.save_to_file(str(tmp_path / "out"))

    assert CondaDependencies(str(tmp_path / "out" / name)).as_dict() == first.as_dict()


def test_packages_are_added_replaced_and_removed():
    """One package of a name; the last that was said counts."""
    wanted = CondaDependencies.create(pip_packages=["six==1.15"], conda_packages=["python=3.9"])
    wanted.add_pip_package("Six==1.16")
    wanted.add_conda_package("numpy=1.19")
    wanted.add_conda_package("conda-forge::numpy=1.20")
    wanted.add_channel("conda-forge")
    wanted.set_pip_index_url("https://example.com/simple")
    wanted.remove_conda_package("scipy")

    assert wanted.pip_packages == ["Six==1.16"]
    assert wanted.conda_packages == ["conda-forge::numpy=1.20"]
    assert wanted.get_python_version() == "3.9"
    assert wanted.conda_channels == ["conda-forge"]
    assert wanted.pip_options == ["--index-url https://example.com/simple"]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("-e .\n", NotServedError, r"requirements.txt:1: pip's option '-e'"),
        ("six\n./my.whl\n", NotServedError, r"requirements.txt:2: './my.whl'"),
        ("x @ file:///srv/x.whl\n", NotServedError, "'x @ file:///srv/x.whl' is a package on this"),
        ("-i https://me:secret@example.com/simple\n", UserErrorException, "holds a password"),
        ("git+https://ghp_secret0123456789abc@github.com/a/b\n", UserErrorException, "a password"),
        ("-r requirements.txt\n", UserErrorException, "includes itself"),
        ("-r missing.txt\n", UserErrorException, "missing.txt: it cannot be read"),
    ],
)
def test_a_requirements_file_that_cannot_be_used_says_where(tmp_path, text, error, said):
    """File, line, and what to do about it."""
    path = tmp_path / "requirements.txt"
    path.write_text(text)

    with pytest.raises(error, match=said) as raised:
        Environment.from_pip_requirements("e", str(path))
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dependencies: [", "it is not YAML"),
        ("- six\n", "this is no conda file"),
        ("dependency: [six]\n", "a conda file has no dependency"),
        ("dependencies: python=3.8\n", r"conda.yml: dependencies must be a list, not 'python=3.8'"),
        ("channels: defaults\n", r"channels must be a list.*Write channels: \[defaults\]"),
        ("dependencies: [{pip: six}]\n", "pip must be a list, not 'six'"),
        ("dependencies: 5\n", "dependencies must be a list, not 5"),
    ],
)
def test_a_conda_file_that_cannot_be_used_says_so(tmp_path, text, said):
    """v1 refuses unknown names in it, too."""
    path = tmp_path / "conda.yml"
    path.write_text(text)

    with pytest.raises(UserErrorException, match=said):
        CondaDependencies(str(path))


@pytest.mark.parametrize(
    "made",
    [
        lambda: Environment.from_conda_specification("e", "files/conda.yml"),
        lambda: Environment.from_pip_requirements("e", "files/list.txt"),
        lambda: Environment.from_docker_image("e", "i", pip_requirements="files/list.txt"),
        lambda: Environment.load_from_directory("files/kept"),
        lambda: RunConfiguration.load("files", "kept").environment,
    ],
)
def test_files_of_environments_are_beside_the_file_that_names_them(
    made, conda_file, tmp_path, monkeypatch
):
    """Airflow reads a pipeline's file in whatever folder it works itself."""
    files = tmp_path / "files"
    files.mkdir()
    conda_file.rename(files / "conda.yml")
    (tmp_path / "more.txt").rename(files / "more.txt")
    (files / "list.txt").write_text("six==1.16.0\n")
    (files / "Dockerfile").write_text("FROM team/train:1\n")
    kept = Environment.from_pip_requirements("e", str(files / "list.txt"))
    kept.save_to_directory(str(files / "kept"))
    config = RunConfiguration()
    config.environment = kept
    config.save(str(files), "kept")
    file = tmp_path / "pipeline.py"
    monkeypatch.chdir("/")

    with loading(str(file)):
        assert "six==1.16.0" in made().spec.pip_packages
        dockerfile = Environment.from_dockerfile("e", "files/Dockerfile").spec.dockerfile

    assert dockerfile == "FROM team/train:1\n"


def test_a_text_in_place_of_a_list_is_refused():
    """Its letters would be packages."""
    with pytest.raises(UserErrorException, match=r"pip_packages=\['six'\]"):
        CondaDependencies.create(pip_packages="six")


def test_a_package_that_is_no_text_is_refused():
    """A number would be the name of a package."""
    for given in (5, None):
        with pytest.raises(UserErrorException, match="a package must be a text such"):
            CondaDependencies.create(pip_packages=["six", given])
        with pytest.raises(UserErrorException, match="a package must be a text"):
            CondaDependencies.create(conda_packages=[given])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("environment", "mine", "environment must be an Environment, not 'mine'"),
        ("environment_variables", ["A"], r"environment_variables must be a dict, not \['A'\]"),
        ("environment_variables", {"A=": "1"}, "'A=' cannot be the name of an environment var"),
        ("environment_variables", {"A": None}, "None cannot be the value of the environment"),
        ("environment_variables", {"A": "a\0b"}, "cannot be the value of the environment variable"),
        ("max_run_duration_seconds", "long", "must be a number of seconds, not 'long'"),
        ("max_run_duration_seconds", -1, "must be a number of seconds, not -1"),
        ("docker", DockerConfiguration(shm_size="64X"), "shm_size must be a text such as '512m'"),
    ],
)
def test_a_setting_that_no_step_can_have_is_told_by_name(name, value, said):
    """Where the step is built, before anything runs."""
    config = RunConfiguration()
    setattr(config, name, value)

    with pytest.raises(UserErrorException, match=said):
        _ = config.settings


def test_an_environment_can_be_changed_and_registered_again(workspace):
    """As in v1: each time it is a version of its own, and the object itself has none."""
    ws, mine = Workspace(), Environment("mine")
    mine.python.conda_dependencies = CondaDependencies.create(pip_packages=["six==1.16.0"])
    first = mine.register(ws)
    mine.python.conda_dependencies.add_pip_package("six==1.17.0")

    second = mine.register(ws)

    assert (first.version, second.version, mine.version) == ("1", "2", None)
    assert Environment.get(ws, "mine").python.conda_dependencies.pip_packages == ["six==1.17.0"]


def test_a_dockerfile_that_is_not_there_is_told():
    """Its path would be built as if it were one."""
    with pytest.raises(UserErrorException, match="'docker/Dockerfile' is neither a Dockerfile's"):
        Environment.from_dockerfile("e", "docker/Dockerfile")


def test_an_image_with_two_lists_is_refused(conda_file, tmp_path):
    """v1 takes one kind of further packages."""
    with pytest.raises(UserErrorException, match="cannot both be given"):
        Environment.from_docker_image(
            "e", "python:3.11", conda_specification=str(conda_file), pip_requirements="r.txt"
        )
    found = Environment.from_docker_image("e", "python:3.11", conda_specification=str(conda_file))
    assert (found.spec.image, found.spec.conda_packages) == ("python:3.11", ("numpy=1.19",))


def test_a_dockerfile_is_its_path_or_its_text(tmp_path):
    """What is kept is the text."""
    (tmp_path / "Dockerfile").write_text("FROM python:3.11\n")

    for given in (str(tmp_path / "Dockerfile"), "FROM python:3.11\n"):
        assert Environment.from_dockerfile("e", given).spec.dockerfile == "FROM python:3.11\n"


def test_an_environment_survives_being_saved(conda_file, tmp_path):
    """save_to_directory and load_from_directory."""
    first = Environment.from_conda_specification("e", str(conda_file))
    first.docker.base_image = "python:3.11"
    first.environment_variables["A"] = "b"

    first.save_to_directory(str(tmp_path / "saved"))

    again = Environment.load_from_directory(str(tmp_path / "saved"))
    assert again.spec == first.spec
    assert again.environment_variables == {"A": "b"}
    with pytest.raises(UserErrorException, match="overwrite=True"):
        first.save_to_directory(str(tmp_path / "saved"))
    with pytest.raises(FileNotFoundError):
        Environment.load_from_directory(str(tmp_path))


def test_a_run_configuration_survives_being_saved(tmp_path):
    """save and load, with the environment inside."""
    first = RunConfiguration(
        conda_dependencies=CondaDependencies.create(pip_packages=["six==1.16.0"])
    )
    first.environment_variables["A"] = "b"
    first.target = "cpu-cluster"

    first.save(str(tmp_path), "train")

    again = RunConfiguration.load(str(tmp_path), "train")
    assert again.settings == first.settings
    assert again.target == "cpu-cluster"


def test_a_typing_error_in_a_section_is_caught():
    """v1 refuses unknown attributes everywhere in it."""
    config = RunConfiguration()
    with pytest.raises(AttributeError, match="base_imag"):
        config.environment.docker.base_imag = "x"
    with pytest.raises(AttributeError, match="pythn"):
        config.environment.pythn = None


@pytest.mark.parametrize("name", ["build", "build_local", "label"])
def test_what_is_not_served_says_its_name(name):
    """One error that names the feature."""
    with pytest.raises(NotServedError, match=f"Environment.{name} is not served"):
        getattr(Environment("e"), name)("ws")


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("", "node_count", 2),
        ("", "communicator", "IntelMpi"),
        ("mpi", "process_count_per_node", 2),
        ("mpi", "node_count", 2),
        ("pytorch", "process_count", 4),
        ("pytorch", "node_count", 2),
        ("tensorflow", "worker_count", 2),
        ("tensorflow", "parameter_server_count", 2),
    ],
)
def test_several_processes_are_refused_where_the_step_is_built(section, name, value):
    """Never silently run as one."""
    config = RunConfiguration()
    setattr(getattr(config, section) if section else config, name, value)
    with pytest.raises(NotServedError, match=rf"{name}={value}: distributed steps are not served"):
        PythonScriptStep("train.py", source_directory=".", runconfig=config)


def test_a_name_stands_for_a_registered_one_only_where_nothing_is_listed():
    """An environment that lists packages is itself, whatever its name and version."""
    config = RunConfiguration()
    assert not config.settings.environment.registered
    config.environment.name = "mine"
    assert config.settings.environment.registered
    config.environment.python.user_managed_dependencies = True
    assert not config.settings.environment.registered

    config.environment = Environment("own")
    assert not config.settings.environment.registered
    config.environment.version = "1.0"
    assert config.settings.environment.registered


def test_a_wheel_of_ones_own_is_refused_with_what_to_do():
    """v1 calls it on the class; an index or the step's folder takes its place."""
    with pytest.raises(NotServedError, match=r"add_private_pip_wheel.*set_pip_index_url"):
        Environment.add_private_pip_wheel(workspace="ws", file_path="dist/ours-1.0.whl")


def test_a_registrys_password_is_refused_and_named_as_a_connections_matter():
    """Pipelines are kept as they are written, and a password in one would be kept, too."""
    registry = Environment("mine").docker.base_image_registry
    registry.address, registry.username, registry.password = "ours.azurecr.io", "me", None

    with pytest.raises(NotServedError, match=r"password.*Airflow connection"):
        registry.password = "secret"
    assert "secret" not in str(vars(registry))


@pytest.mark.parametrize(
    ("section", "name", "value", "said"),
    [
        (
            "",
            "docker",
            DockerConfiguration(),
            r"environment.docker must be a DockerSection.*docker",
        ),
        (
            "python",
            "conda_dependencies",
            "env.yml",
            r"conda_dependencies must be a CondaDepend.*_file",
        ),
        (
            "python",
            "interpreter_path",
            ["python3"],
            r"interpreter_path must be a str, not \['python3",
        ),
        ("docker", "base_image", 5, r"docker.base_image must be a str, not 5"),
    ],
)
def test_a_setting_of_another_type_is_told_by_its_name(section, name, value, said):
    """And not as an attribute that the environment does not have."""
    environment = Environment("mine")
    setattr(getattr(environment, section) if section else environment, name, value)

    with pytest.raises(PipelineTypeError, match=said):
        environment.spec  # noqa: B018 - read when a step is built
