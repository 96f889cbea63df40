"""The step contract on the worker itself."""

import pytest

from airflow_aml.testing import *  # noqa: F403 - with its fixtures
from airflow_aml.testing import StepContract

pytestmark = pytest.mark.soak


class TestLocal(StepContract):
    """Steps as processes of the worker."""

    compute = {"kind": "local"}


class TestOwnEnvironment(StepContract):
    """Steps in an environment of their own."""

    packages = ("six==1.16.0",)
