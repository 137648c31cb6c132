"""Answers held against the OpenAPI document."""

from typing import Any

import jsonschema

from payhub_gateway.openapi import document

DOCUMENT = document()


def check_body(answer: Any, path: str, method: str = "get") -> None:
    """Assert that an answer is what the document says of it."""
    told = DOCUMENT["paths"][path][method]["responses"][str(answer.status_code)]["content"]
    schema = told[answer.headers["content-type"]]["schema"]
    jsonschema.validate(answer.json(), {**schema, "components": DOCUMENT["components"]})
