"""Messages about requests to pay, translated as docs/fspiop.md has it."""

import hashlib
from typing import Any
from urllib.parse import parse_qsl

from unit.engines.connectors.switchboard import Message

from payhub_engines.connectors.variables import CALLBACK_TIMEOUT
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig

RESOURCE = "transactionRequests"
AUTHORIZATIONS = "authorizations"
RESOURCES = (RESOURCE, AUTHORIZATIONS)
QUERIES = {"quotes": ("quote-query", "3205"), "transfers": ("transfer-query", "3208")}
TTL_MS = 60_000


def is_translated_here(message: Message) -> bool:
    resource = message.path.split("/")[1]
    return resource in RESOURCES or (message.method == "GET" and resource in QUERIES)


def translate_request(message: Message, tenant: TenantConfig, now_ms: int) -> Callback:
    source = message.headers["fspiop-source"]
    path = message.path.strip("/").split("/")
    body = message.content

    def callback(name: str, key: str, variables: dict[str, Any], **more: Any) -> Callback:
        return Callback(
            tenant=tenant.tenant_id,
            name=name,
            correlation_key=key,
            variables=variables,
            **{"ttl_ms": TTL_MS, **more},
        )

    if path[0] == AUTHORIZATIONS and message.method == "GET":
        request_id, _, query = path[1].partition("?")
        asked = {"authorizationQuestion": dict(parse_qsl(query)), "askedBy": source}
        return callback("authorization-request", request_id, asked)
    if message.method == "POST":
        request_id = body["transactionRequestId"]
        variables = {
            "transactionRequest": body,
            "transactionRequestId": request_id,
            "requesterFsp": source,
            "receivedAtMs": now_ms,
            "switchFsp": tenant.scheme.switch_fsp_id,
            "callbackTimeout": CALLBACK_TIMEOUT,
            "error": None,
        }
        return callback(
            "transaction-request",
            request_id,
            variables,
            start_process="payer-transaction-request",
            payment=request_id,
            fingerprint=hashlib.sha256(message.body).hexdigest(),
            ttl_ms=0,
        )
    if message.method == "GET":
        name, code = {RESOURCE: ("transaction-request-query", "3206"), **QUERIES}[path[0]]
        variables = {
            "query": {"resource": path[0], "path": [path[1]]},
            "queriedBy": source,
            "queryRefusal": {"code": code, "description": "It is not known here, or over."},
        }
        return callback(
            name,
            path[1],
            variables,
            start_process="refuse-query",
            payment=f"{path[1]}/{now_ms}",
            ttl_ms=0,
        )
    name, variable = "transaction-request-response", "transactionRequestResponse"
    if path[0] == AUTHORIZATIONS:
        name, variable = "authorization-response", "authorizationResponse"
    told: dict[str, Any] = {variable: body, "error": None}
    if path[-1] == "error":
        information = body["errorInformation"]
        told = {"error": {"code": information["errorCode"], "description": information["errorDescription"]}}
    return callback(name, path[1], {**told, "answeredBy": source})
