"""What a DFSP sends: one builder for each of FSPIOP's forms. The resource follows from the body's type."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from payhub_engines.connectors.variables import ErrorValue
from payhub_platform.contracts import fspiop, fspiop_bulk, fspiop_fx
from payhub_platform.contracts.fspiop import (
    AuthorizationQuestion,
    ErrorInformation,
    ErrorResponse,
    Message,
    PartyIdInfo,
)

DESCRIPTION_CHARACTERS_MAX: Final = 128  # FSPIOP 1.1 ErrorDescription
_NO_DESCRIPTION: Final = "No reason was given."

REQUESTED: Final[Mapping[type[Message], str]] = {
    fspiop.ParticipantRegistration: "participants",
    fspiop.ParticipantsRegistration: "participants",
    fspiop.TransactionRequest: "transactionRequests",
    fspiop.QuoteRequest: "quotes",
    fspiop.TransferPrepare: "transfers",
    fspiop_bulk.BulkQuoteRequest: "bulkQuotes",
    fspiop_bulk.BulkTransferPrepare: "bulkTransfers",
    fspiop_fx.FxQuoteRequest: "fxQuotes",
    fspiop_fx.FxTransferPrepare: "fxTransfers",
}
"""Bodies of POST and their resources."""

ANSWERED: Final[Mapping[type[Message], str]] = {
    fspiop.ParticipantResponse: "participants",
    fspiop.PartyResponse: "parties",
    fspiop.TransactionRequestResponse: "transactionRequests",
    fspiop.QuoteResponse: "quotes",
    fspiop.AuthorizationResponse: "authorizations",
    fspiop.TransferFulfil: "transfers",
    fspiop.TransactionResponse: "transactions",
    fspiop_bulk.BulkQuoteResponse: "bulkQuotes",
    fspiop_bulk.BulkTransferResponse: "bulkTransfers",
}
"""Bodies of PUT and their resources."""

_SINCE: Final[Mapping[type[Message], Mapping[str, str]]] = {
    fspiop.ParticipantRegistration: {"extension_list": "1.1"},
    fspiop.Party: {"supported_currencies": "2.0"},
    fspiop.QuoteRequest: {"converter": "2.0", "currency_conversion": "2.0"},
}
"""Fields that a later version has added, all of them optional."""


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message on its way to the switch: segments of the path are not encoded, the query is."""

    method: str
    path: tuple[str, ...]
    body: Message | None = None
    destination: str = ""  # FSP id, empty where the switch has to find it
    query: str = ""


def party_path(party: PartyIdInfo) -> tuple[str, ...]:
    """Return what follows the resource for a party: type, identifier and, where there is one, the sub-id."""
    path = (party.party_id_type, party.party_identifier)
    return (*path, party.party_sub_id_or_type) if party.party_sub_id_or_type else path


def ask(resource: str, *path: str, to: str = "") -> Outgoing:
    """Look something up, or ask how it stands: GET."""
    return Outgoing(method="GET", path=(resource, *path), destination=to)


def ask_authorization(request_id: str, question: AuthorizationQuestion, *, to: str) -> Outgoing:
    """Ask for what the payer enters on the payee's device: GET /authorizations/{ID} with its query."""
    query = urlencode(msgspec.to_builtins(question))
    return Outgoing(method="GET", path=("authorizations", request_id), destination=to, query=query)


def request(body: Message, *path: str, to: str = "") -> Outgoing:
    """Ask for something to be done: POST."""
    return Outgoing(method="POST", path=(REQUESTED[type(body)], *path), body=body, destination=to)


def answer(body: Message, *path: str, to: str) -> Outgoing:
    """Answer a POST or GET of another institution: PUT."""
    return Outgoing(method="PUT", path=(ANSWERED[type(body)], *path), body=body, destination=to)


def refuse(resource: str, *path: str, error: ErrorValue, to: str) -> Outgoing:
    """Say why a POST or GET of another institution comes to nothing: PUT .../error."""
    description = error.description[:DESCRIPTION_CHARACTERS_MAX] or _NO_DESCRIPTION
    information = ErrorInformation(error_code=error.code, error_description=description)
    body = ErrorResponse(error_information=information)
    return Outgoing(method="PUT", path=(resource, *path, "error"), body=body, destination=to)


def withdraw(resource: str, *path: str) -> Outgoing:
    """Take back what was registered: DELETE, of participants alone."""
    return Outgoing(method="DELETE", path=(resource, *path))


def fitted(message: Message, version: str) -> Message:
    """Return a message without what its version does not have: strict peers refuse unknown fields."""
    fitting: Message = _without_newer(message, version)
    return fitting


def _without_newer(value: Any, version: str) -> Any:
    if isinstance(value, list):
        return [_without_newer(item, version) for item in value]
    if not isinstance(value, Message):
        return value
    newer = {name for name, since in _SINCE.get(type(value), {}).items() if version < since}
    held = {name: getattr(value, name) for name in value.__struct_fields__}
    changes = {
        name: None if name in newer else _without_newer(item, version)
        for name, item in held.items()
        if name in newer or isinstance(item, Message | list)
    }
    return msgspec.structs.replace(value, **changes) if changes else value
