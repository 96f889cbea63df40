"""Packages as v1's lists name them -> requirements that PyPI can fulfil."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(.*)", re.DOTALL)
_CONDA = re.compile(r"(?:[^:\s]+::)?([A-Za-z0-9_][A-Za-z0-9._-]*)\s*(.*)", re.DOTALL)

_AZUREML = {
    "azureml-mlflow": ("mlflow-skinny",),
    "azureml-dataprep[pandas]": ("pandas", "pyarrow"),
    "azureml-dataset-runtime[pandas]": ("pandas", "pyarrow"),
}
"""What stands for those of Azure ML's packages that bring others along; the rest is not needed."""

_PYPI = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "xgboost-cpu": "xgboost",
    "tensorflow-gpu": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "keras-gpu": "keras",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "libopencv": "opencv-python-headless",
    "pytables": "tables",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "python-graphviz": "graphviz",
    "psycopg2": "psycopg2-binary",
    "ruamel-yaml": "ruamel.yaml",
    "dask-core": "dask",
    "ipython-notebook": "notebook",
    "pyspark-base": "pyspark",
    "faiss": "faiss-cpu",
}
"""Names of conda's for what PyPI calls otherwise."""

# fmt: off
_BROUGHT_ALONG = frozenset([
    "blas", "ca-certificates", "certifi-system", "cudatoolkit", "cudnn", "intel-openmp",
    "libblas", "libgcc", "libgcc-ng", "libgfortran", "libgomp", "liblapack", "libstdcxx-ng",
    "mkl", "nccl", "nomkl", "openblas", "openssl", "pip", "sqlite", "tk", "xz", "zlib",
])
# fmt: on
"""What conda packages need and wheels have inside."""

# fmt: off
_NOT_PYTHON = frozenset([
    "boost-cpp", "clang", "compilers", "conda", "cxx-compiler", "c-compiler", "ffmpeg",
    "fortran-compiler", "gcc", "gdal-libs", "gcc_linux-64", "gfortran", "git", "go", "graphviz",
    "gxx", "gxx_linux-64", "java-jdk", "julia", "libgdal", "make", "maven", "mpich", "nodejs",
    "openjdk", "openmpi", "perl", "postgresql", "r", "r-base", "r-essentials", "redis", "ruby",
    "rust", "yarn",
])
# fmt: on


def name_of(requirement: str) -> str:
    """The normalised name of what a requirement asks for, with its extras; empty for a URL."""
    found = _REQUIREMENT.match(requirement.strip())
    if found is None:
        return ""
    extras = re.sub(r"\s", "", found.group(2) or "")
    return f"{normalised(found.group(1))}{extras.lower()}"


def normalised(name: str) -> str:
    """A package's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def from_pip(
    requirements: Iterable[str], table: Mapping[str, str | None], notes: list[str]
) -> list[str]:
    """pip's requirements, with ``azureml-*`` and what the site's table names replaced.

    Args:
        notes: takes a sentence for each kind of replacement.
    """
    result: list[str] = []
    dropped: list[str] = []
    for text in requirements:
        replaced = _replaced(text, table)
        if replaced is None:
            result.append(text)
        elif replaced:
            notes.append(f"{text} is {', '.join(replaced)} here")
            result.extend(replaced)
        else:
            dropped.append(text)
    if dropped:
        notes.append(f"left out, as nothing here needs it: {', '.join(dropped)}")
    return list(dict.fromkeys(result))


def from_conda(
    packages: Iterable[str], table: Mapping[str, str | None], notes: list[str]
) -> tuple[list[str], list[str], str | None]:
    """Conda's packages as pip's requirements, those that PyPI has not, and the Python version."""
    result: list[str] = []
    others: list[str] = []
    python: str | None = None
    for text in packages:
        name, version = _conda_parts(text)
        if name == "python":
            python = version.strip("=").split(",", 1)[0].lstrip("<>=~") or None
        elif normalised(name) in {normalised(each) for each in table}:
            result.append(text)  # from_pip knows
        elif name in _NOT_PYTHON or name.startswith("r-"):
            others.append(text)
        elif name not in _BROUGHT_ALONG:
            wanted = f"{_PYPI.get(normalised(name), name)}{version}"
            if normalised(name) in _PYPI:
                notes.append(f"conda's {text} is PyPI's {wanted}")
            result.append(wanted)
    return result, others, python


def _conda_parts(text: str) -> tuple[str, str]:
    """Name and version of a conda package, the version as pip writes it."""
    found = _CONDA.match(text.strip())
    if found is None:
        return text, ""
    name, rest = found.group(1).lower(), found.group(2).strip()
    if not rest or rest == "*":
        return name, ""
    if rest[0].isdigit():  # "numpy 1.19"
        rest = f"={rest}"
    if rest.startswith("=") and not rest.startswith("=="):
        version = rest[1:].split("=", 1)[0].strip()  # "=1.19.2=py38_0": builds are conda's own
        if not version or version == "*":
            return name, ""
        return name, f"=={version}" if version.endswith("*") else f"=={version}.*"
    return name, re.sub(r"(==[^=,\s]+)=\S+", r"\1", rest).replace(" ", "")


def _replaced(text: str, table: Mapping[str, str | None]) -> list[str] | None:
    """What stands for a requirement; None: itself."""
    name = name_of(text)
    plain, _, extras = name.partition("[")
    for key, value in table.items():
        if normalised(key) == plain:
            return [value] if value else []
    if not plain.startswith("azureml-") and plain != "azureml":
        return None
    for extra in extras.rstrip("]").split(","):
        if f"{plain}[{extra}]" in _AZUREML:
            return list(_AZUREML[f"{plain}[{extra}]"])
    return list(_AZUREML.get(plain, ()))
