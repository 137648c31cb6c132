"""The official OpenAPI files of FSPIOP, as a judge of what is sent."""

import functools
import re
from typing import Any

import jsonschema
import yaml
from support.shared_data import shared_file

FILES = {
    "1.0": "fspiop-rest-v1.0-openapi3-snippets.yaml",
    "1.1": "fspiop-rest-v1.1-openapi3-snippets.yaml",
    "2.0": "fspiop-rest-v2.0-openapi3-snippets.yaml",
    "2.0-iso20022": "fspiop-rest-v2.0-ISO20022-openapi3-snippets.yaml",
}
_OF_HTTP = {"content-length", "host"}  # written by the HTTP client, which these tests do without


@functools.cache
def specification(version: str) -> dict[str, Any]:
    """Return an OpenAPI document whose patterns Python understands."""
    text = shared_file("specs", "fspiop", FILES[version]).read_text()
    document: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    _drop_foreign_patterns(document)
    _mend(document["components"]["schemas"], version)
    return document


def faults(version: str, method: str, path: str, headers: dict[str, str], body: Any) -> list[str]:
    """Return what is wrong with a message that is sent, by the specification of a version.

    Args:
        version: a key of ``FILES``.
        method: HTTP method.
        path: from the resource on, decoded.
        headers: as they are sent.
        body: decoded; None for none.
    """
    document = specification(version)
    template = _template(document, path)
    if template is None or method.lower() not in document["paths"][template]:
        return [f"{method} {path} is not in the specification"]
    item = document["paths"][template]
    operation = item[method.lower()]
    found = _missing_headers(
        document, [*item.get("parameters", []), *operation.get("parameters", [])], headers
    )
    content = operation.get("requestBody")
    if content is None:
        return found + (["it has a body"] if body is not None else [])
    if "$ref" in content:
        content = _resolved(document, content)
    schema = next(iter(content["content"].values()))["schema"]
    validator = jsonschema.Draft4Validator({**schema, "components": document["components"]})
    return found + [f"{list(fault.absolute_path)}: {fault.message}" for fault in validator.iter_errors(body)]


def operations(version: str) -> set[tuple[str, str]]:
    """Return method and path template of everything in a specification."""
    methods = {"get", "put", "post", "delete", "patch"}
    paths = specification(version)["paths"]
    return {(method.upper(), path) for path, item in paths.items() for method in item if method in methods}


def _missing_headers(document: dict[str, Any], parameters: list[Any], headers: dict[str, str]) -> list[str]:
    sent = {name.lower() for name in headers}
    found = []
    for parameter in parameters:
        known = _resolved(document, parameter)
        name = known["name"].lower()
        if known["in"] == "header" and known.get("required") and name not in sent | _OF_HTTP:
            found.append(f"the header {known['name']} is missing")
    return found


def _template(document: dict[str, Any], path: str) -> str | None:
    """Return the path template that fits; one with more fixed segments fits better."""
    fitting = [
        template
        for template in document["paths"]
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) is not None
    ]
    return min(fitting, key=lambda template: template.count("{"), default=None)


def _resolved(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in value:
        return value
    found: Any = document
    for name in value["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    resolved: dict[str, Any] = found
    return resolved


def _mend(schemas: dict[str, Any], version: str) -> None:
    """Mend where the files contradict themselves, so that all else is judged as they stand."""
    if version == "1.0":
        # The definition's prose and the schema beside it have the complex type AuthenticationInfo.
        answer = schemas["AuthorizationsIDPutResponse"]["properties"]
        answer["authenticationInfo"] = {"$ref": "#/components/schemas/AuthenticationInfo"}
    for schema in schemas.values():
        if "oneOf" in schema or "anyOf" in schema:
            # Beside a choice it forbids everything that the choice has.
            schema.pop("additionalProperties", None)
        elif "properties" in schema:
            # What a version does not name is not sent in it, even where its file would let it pass.
            schema["additionalProperties"] = False
    if version == "2.0-iso20022":
        # Conversions expire too, and Mojaloop's own transformer says here when.
        header = schemas["GroupHeader129"]["properties"]["PmtInstrXpryDtTm"]
        schemas["GroupHeader113"]["properties"]["PmtInstrXpryDtTm"] = header


def _drop_foreign_patterns(value: Any) -> None:
    """Names of people have patterns with Unicode classes that Python's ``re`` does not know."""
    if isinstance(value, dict):
        if "\\p{" in str(value.get("pattern", "")):
            del value["pattern"]
        for item in value.values():
            _drop_foreign_patterns(item)
    elif isinstance(value, list):
        for item in value:
            _drop_foreign_patterns(item)
