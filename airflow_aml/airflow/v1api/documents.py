"""What the API says of itself: bodies and answers, as OpenAPI's schemas."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

RUNS, SUBMIT = "Runs", "Submit"

TAGS: list[Schema] = [
    {"name": SUBMIT, "description": "Start runs of published pipelines and endpoints."},
    {"name": RUNS, "description": "How far runs are, and ending them."},
]

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_PLACE: Schema = {
    "type": "object",
    "properties": {"DataStoreName": _TEXT, "RelativePath": _TEXT},
    "required": ["DataStoreName"],
}
_SAVED: Schema = {"type": "object", "properties": {"Id": _TEXT}, "required": ["Id"]}
_REFERENCE: Schema = {
    "type": "object",
    "properties": {"Id": _TEXT, "Name": _TEXT, "Version": {"type": ["string", "integer"]}},
}
_DATASET: Schema = {
    "type": "object",
    "properties": {
        "SavedDataSetReference": _SAVED,
        "DataSetReference": _REFERENCE,
        "LiteralValue": _PLACE,
    },
}
_SUBMISSION: Schema = {
    "title": "PipelineSubmissionInfo",
    "type": "object",
    "properties": {
        "ExperimentName": {"type": "string", "minLength": 1},
        "Description": {"type": "string", "maxLength": 1000},
        "RunSource": _TEXT,
        "ParameterAssignments": {
            "type": "object",
            "description": "Values by parameter; any may be sent as a text.",
            "additionalProperties": {"type": ["string", "number", "integer", "boolean"]},
        },
        "DataPathAssignments": {"type": "object", "additionalProperties": _PLACE},
        "DataSetDefinitionValueAssignments": {"type": "object", "additionalProperties": _DATASET},
        "ContinueRunOnStepFailure": {"type": "boolean"},
        "Tags": _TEXTS,
    },
    "required": ["ExperimentName"],
    "example": {"ExperimentName": "nightly", "ParameterAssignments": {"rate": 0.2}},
}
_RUN: Schema = {
    "title": "PipelineRunEntity",
    "type": "object",
    "properties": {
        "Id": {"type": "string", "description": "The run's id in the workspace."},
        "Status": {
            "type": "object",
            "properties": {
                "StatusCode": {
                    "type": "string",
                    "enum": ["NotStarted", "Running", "Finished", "Failed", "Canceled"],
                },
                "StatusDetail": {"type": ["string", "null"]},
                "CreationTime": {"type": ["string", "null"]},
                "EndTime": {"type": ["string", "null"]},
            },
            "required": ["StatusCode"],
        },
        "IsSubmitted": {"type": "boolean"},
        "HasErrors": {"type": "boolean"},
        "HasWarnings": {"type": "boolean"},
        "Warnings": {"type": "array", "items": _TEXT},
    },
    "required": ["Id", "Status"],
}
_INNER: Schema = {
    "type": "object",
    "properties": {"Code": _TEXT, "Message": _TEXT},
    "required": ["Code", "Message"],
}
_ERROR: Schema = {
    "title": "ErrorResponse",
    "type": "object",
    "properties": {
        "Error": {
            "type": "object",
            "properties": {
                "Code": _TEXT,
                "Message": _TEXT,
                "Details": {"type": "array", "items": _INNER},
            },
            "required": ["Code", "Message"],
        },
        "Correlation": {"type": "object"},
    },
    "required": ["Error"],
}


def _content(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


BODY: Schema = {"requestBody": {"required": True, "content": _content(_SUBMISSION)}}
"""Of the calls that start a run."""


def answers(*, many: bool = False) -> dict[int | str, Schema]:
    """What a call may answer; each error has v1's form.

    Args:
        many: it answers with a list of runs.
    """
    errors = {
        400: "What is asked cannot be done; Error.Details tells all that is wrong.",
        401: "There is no token, or one that is not Airflow's or has expired.",
        403: "The user may not do that with the pipeline's DAG.",
        404: "There is no such pipeline, endpoint or run.",
        413: "The body is too long.",
        503: "The workspace cannot be read.",
    }
    good = {"type": "array", "items": _RUN} if many else _RUN
    found: dict[int | str, Schema] = {
        status: {"description": text, "content": _content(_ERROR)}
        for status, text in errors.items()
    }
    found["default"] = {"description": "Any other error.", "content": _content(_ERROR)}
    return {200: {"description": "Done.", "content": _content(good)}, **found}
