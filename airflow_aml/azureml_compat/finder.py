"""``import azureml...`` without Azure's SDK: an import finder that serves v1's modules.

It stands last, so that a really installed ``azureml`` is found before it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, List, Optional, Sequence

from airflow_aml.azureml_compat.names import is_module, names_of

_PACKAGE = "azureml"


class AzureMLFinder(MetaPathFinder, Loader):
    """Finds and makes the modules of SDK v1."""

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        """A spec for a module of v1, unless its package is a real one."""
        if not (fullname == _PACKAGE or fullname.startswith(f"{_PACKAGE}.")):
            return None
        above = sys.modules.get(fullname.rpartition(".")[0])
        if not is_module(fullname) or (above is not None and not isinstance(above, V1Module)):
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty module whose names are looked up when they are asked for."""
        return V1Module(spec.name, f"{spec.name}, as airflow_aml serves it.")

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is to be executed."""


class V1Module(ModuleType):
    """A module of SDK v1."""

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return names_of(self.__name__)
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = self._value(name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> List[str]:
        return sorted({*super().__dir__(), *names_of(self.__name__)})

    def _value(self, name: str) -> Any:
        from airflow_aml.azureml_compat.serving import entry, value_of

        below = f"{self.__name__}.{name}"
        found = None if below in sys.modules else entry(self.__name__, name)
        if found is not None:
            return value_of(found)
        if is_module(below):
            return import_module(below)
        raise AttributeError(f"SDK v1 has no {below}")


def install() -> None:
    """Makes ``import azureml`` work in this process; a second call changes nothing."""
    if not any(isinstance(finder, AzureMLFinder) for finder in sys.meta_path):
        sys.meta_path.append(AzureMLFinder())
