"""The error tree. Every error that this package raises on purpose is one of these.

::

    Exception
    └── AirflowAmlError                     anything below; carries what, where, what to do
        └── AzureMLException                v1's root, so `except AzureMLException` still works
            ├── UserErrorException          the definition or an argument is wrong
            │   ├── PipelineDefinitionError (also ValueError) a step or pipeline cannot be built
            │   ├── AuthenticationException nobody is logged in, or the login is refused
            │   ├── ErrorResponseException  v1's service answered: there is no such thing
            │   ├── PipelineTypeError       (also TypeError) an argument has the wrong type
            │   │   └── NotAStepError       (also NotImplementedError) no step in steps=
            │   └── NotServedError          (also NotImplementedError, AttributeError) a v1 feature
            │                               that is not here
            ├── ComputeTargetException      a compute target is unknown or cannot be used
            ├── WorkspaceException          the workspace is missing, foreign or cannot be written
            ├── SnapshotException           a source folder cannot be stored
            ├── ExperimentExecutionException  a wait was interrupted; the run goes on
            ├── WebserviceException         v1's name for what its model service answered
            │   └── ModelNotFoundException  there is no such model, or no such version of it
            ├── RunEnvironmentException     a run context was asked for outside a run
            ├── ActivityFailedException     a run ended in failure
            │   └── StepFailedError         one step's script failed: exit code and last lines
            └── TrainingException, ProjectSystemException, RunConfigurationException,
                ServiceException, ActivityCanceledException, ParallelRunException
                                            v1's names, for programs that catch them

v1 raised `ValueError` and `TypeError` from its constructors and `UserErrorException` elsewhere
(reference 2.2); programs catch either, so the classes here are both.
"""

from __future__ import annotations

import os
import re
import sys
from types import FrameType
from typing import Optional

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_PROGRAMS = (os.path.dirname(os.__file__) + os.sep, os.path.join(sys.prefix, "bin") + os.sep)
_LOCATED = re.compile(r"^[^,]*:\d+(,|:|$)")


class AirflowAmlError(Exception):
    """Root of the tree. The text says what is wrong, where, and what to do about it."""

    def __init__(
        self, message: str = "", *, where: Optional[str] = None, hint: Optional[str] = None
    ):
        self.message = message
        self.where = where
        self.hint = hint
        text = message if where is None else f"{where}: {message}"
        if hint is not None:
            text = text.rstrip()
            text = f"{text}{'' if text.endswith(('.', '!', '?')) else '.'} {hint}"
        super().__init__(text)


class AzureMLException(AirflowAmlError):
    """v1's root exception (``azureml.exceptions.AzureMLException``)."""


class UserErrorException(AzureMLException):
    """The caller's input is wrong (``azureml.exceptions.UserErrorException``).

    Says by itself which line of the caller's file it is about.
    """

    def __init__(
        self, message: str = "", *, where: Optional[str] = None, hint: Optional[str] = None
    ):
        site = call_site()
        if site and not (where and _LOCATED.match(where)):
            where = f"{site}, {where}" if where else site
        super().__init__(message, where=where, hint=hint)


class PipelineDefinitionError(UserErrorException, ValueError):
    """A step or a pipeline cannot be built from what it was given."""


class PipelineTypeError(UserErrorException, TypeError):
    """An argument of a step or pipeline has a type that cannot be used there."""


class NotAStepError(PipelineTypeError, NotImplementedError):
    """Something in a pipeline's steps is no step. SDK v1 raised ``NotImplementedError``."""


class AuthenticationException(UserErrorException):
    """Nobody is logged in, or the login is refused."""


class NotServedError(UserErrorException, NotImplementedError, AttributeError):
    """A feature of SDK v1 that this release does not have; the text names it.

    An ``AttributeError`` too, so that ``hasattr`` answers as for any name that is not there.
    """


class ComputeTargetException(AzureMLException):
    """A compute target is unknown or cannot be used."""


class WorkspaceException(AzureMLException):
    """The workspace is missing, belongs to somebody else, or cannot be written."""


class SnapshotException(AzureMLException):
    """A source folder cannot be read or stored."""


class ExperimentExecutionException(AzureMLException):
    """Waiting for a run was interrupted; the run itself goes on."""


class WebserviceException(AzureMLException):
    """v1's name for what its model service answered."""


class ModelNotFoundException(WebserviceException):
    """There is no model of that name, version or tags."""


class RunEnvironmentException(AzureMLException):
    """A run context was asked for where there is none."""


class ActivityFailedException(AzureMLException):
    """A run ended in failure."""


class StepFailedError(ActivityFailedException):
    """A step's script failed. Running it again would fail again, so it is not retried."""


class ErrorResponseException(UserErrorException):
    """There is no such published pipeline, endpoint or schedule; programs catch it to learn so."""


class TrainingException(AzureMLException):
    """v1's name for a script that failed under an estimator."""


class ProjectSystemException(AzureMLException):
    """v1's name for a workspace that was not found."""


class RunConfigurationException(AzureMLException):
    """v1's name for a run configuration that cannot be used."""


class ServiceException(AzureMLException):
    """v1's name for trouble of its service."""


class ActivityCanceledException(AzureMLException):
    """v1's name for a run that was canceled while it was waited for."""


class ParallelRunException(AzureMLException):
    """v1's name for trouble of a parallel run."""


STANDS_FOR = "__airflow_aml_stands_for__"
"""A module that has this name only executes another file, and is nobody's own code."""


def call_site() -> str:
    """``file.py:12`` of the nearest line of the user's own code; empty where there is none.

    Neither this package, nor the standard library, nor what is installed counts as such.
    """
    frame = user_frame()
    if frame is None:
        return ""
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def user_frame() -> Optional[FrameType]:
    """The nearest frame of the user's own code on the stack."""
    frame: Optional[FrameType] = sys._getframe(1)  # noqa: SLF001 - the only way to ask
    while frame is not None and (
        _is_ours(frame.f_code.co_filename) or STANDS_FOR in frame.f_globals
    ):
        frame = frame.f_back
    return frame


def _is_ours(path: str) -> bool:
    if path.startswith((_PACKAGE, *_PROGRAMS, "<frozen ")):
        return True
    return f"{os.sep}site-packages{os.sep}" in path or f"{os.sep}dist-packages{os.sep}" in path
