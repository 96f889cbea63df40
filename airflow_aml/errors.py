"""The error tree. Every error that this package raises on purpose is one of these.

::

    Exception
    └── AirflowAmlError                     anything below; carries what, where, what to do
        └── AzureMLException                v1's root, so `except AzureMLException` still works
            ├── UserErrorException          the definition or an argument is wrong
            │   ├── PipelineDefinitionError (also ValueError) a step or pipeline cannot be built
            │   ├── PipelineTypeError       (also TypeError) an argument has the wrong type
            │   └── NotServedError          (also NotImplementedError) a v1 feature that is not here
            ├── ComputeTargetException      a compute target is unknown or cannot be used
            ├── WorkspaceException          the workspace is missing, foreign or cannot be written
            ├── SnapshotException           a source folder cannot be stored
            ├── ExperimentExecutionException  a wait was interrupted; the run goes on
            ├── RunEnvironmentException     a run context was asked for outside a run
            └── ActivityFailedException     a run ended in failure
                └── StepFailedError         one step's script failed: exit code and last lines

v1 raised `ValueError` and `TypeError` from its constructors and `UserErrorException` elsewhere
(reference 2.2); programs catch either, so the classes here are both.
"""

from __future__ import annotations

from typing import Optional


class AirflowAmlError(Exception):
    """Root of the tree. The text says what is wrong, where, and what to do about it."""

    def __init__(
        self, message: str = "", *, where: Optional[str] = None, hint: Optional[str] = None
    ):
        self.message = message
        self.where = where
        self.hint = hint
        text = message if where is None else f"{where}: {message}"
        super().__init__(text if hint is None else f"{text} {hint}")


class AzureMLException(AirflowAmlError):
    """v1's root exception (``azureml.exceptions.AzureMLException``)."""


class UserErrorException(AzureMLException):
    """The caller's input is wrong (``azureml.exceptions.UserErrorException``)."""


class PipelineDefinitionError(UserErrorException, ValueError):
    """A step or a pipeline cannot be built from what it was given."""


class PipelineTypeError(UserErrorException, TypeError):
    """An argument of a step or pipeline has a type that cannot be used there."""


class NotServedError(UserErrorException, NotImplementedError):
    """A feature of SDK v1 that this release does not have; the text names it."""


class ComputeTargetException(AzureMLException):
    """A compute target is unknown or cannot be used."""


class WorkspaceException(AzureMLException):
    """The workspace is missing, belongs to somebody else, or cannot be written."""


class SnapshotException(AzureMLException):
    """A source folder cannot be read or stored."""


class ExperimentExecutionException(AzureMLException):
    """Waiting for a run was interrupted; the run itself goes on."""


class RunEnvironmentException(AzureMLException):
    """A run context was asked for where there is none."""


class ActivityFailedException(AzureMLException):
    """A run ended in failure."""


class StepFailedError(ActivityFailedException):
    """A step's script failed. Running it again would fail again, so it is not retried."""
