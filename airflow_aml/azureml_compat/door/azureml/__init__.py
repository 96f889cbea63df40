"""Stands for ``azureml`` on the path of steps' scripts, and costs nothing until it is imported.

It makes way: for a really installed ``azureml`` if there is one further down the path, else for
the modules that airflow_aml serves.
"""

import importlib
import importlib.util
import os
import sys

_DOOR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_OURS = os.path.dirname(os.path.dirname(_DOOR))


def _make_way() -> None:
    sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != _DOOR]
    sys.path_importer_cache.pop(_DOOR, None)
    del sys.modules[__name__]
    if "airflow_aml" not in sys.modules and importlib.util.find_spec("airflow_aml") is None:
        # Another Python than ours: the package travels, and nothing beside it.
        spec = importlib.util.spec_from_file_location(
            "airflow_aml",
            os.path.join(_OURS, "__init__.py"),
            submodule_search_locations=[_OURS],
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules["airflow_aml"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    importlib.import_module("airflow_aml.azureml_compat")
    importlib.import_module("azureml")


_make_way()
