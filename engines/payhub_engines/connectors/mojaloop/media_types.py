"""Media types of FSPIOP: which version a message is of, and which its answer may be of (section 3.2.1)."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal, malformed, missing
from payhub_platform.contracts.fspiop import Extension, ExtensionList
from payhub_platform.contracts.tenant import SchemeConnection

ISO_RESOURCES: Final = frozenset(("parties", "quotes", "transfers", "fxQuotes", "fxTransfers"))
"""Resources whose bodies have an ISO 20022 form (API Definition 2.0, ISO 20022 version)."""
FIRST_FX_VERSION: Final = "2.0"
FX_RESOURCES: Final = frozenset(("fxQuotes", "fxTransfers", "services"))

_MEDIA: Final = re.compile(
    r"application/vnd\.interoperability\.(iso20022\.)?([A-Za-z]+)\+json(?: ?; ?version=(\d+)(?:\.(\d+))?)?"
)
_ACCEPTS_MAX: Final = 16


class MediaType(msgspec.Struct, frozen=True, kw_only=True):
    """A media type as it was written; no minor version means any, no major one the latest."""

    resource: str
    is_iso: bool
    major: str | None
    minor: str | None

    def fits(self, version: str) -> bool:
        """Tell whether a version such as ``1.1`` is meant."""
        major, _, minor = version.partition(".")
        return self.major in (None, major) and self.minor in (None, minor)


def is_iso(resource: str, scheme: SchemeConnection) -> bool:
    """Tell whether a resource's bodies are ISO 20022 in a scheme."""
    return scheme.iso20022 and resource in ISO_RESOURCES


def version_sent(scheme: SchemeConnection) -> str:
    """Return the version of what is sent; ISO 20022 contents exist in 2.0 only."""
    return "2.0" if scheme.iso20022 else scheme.versions[0]


def written(resource: str, scheme: SchemeConnection) -> str:
    """Return the media type of what is sent for a resource; a scheme versions all its resources together."""
    form = "iso20022." if is_iso(resource, scheme) else ""
    return f"application/vnd.interoperability.{form}{resource}+json;version={version_sent(scheme)}"


def check_content(value: str | None, resource: str, scheme: SchemeConnection) -> MediaType:
    """Check Content-Type.

    Any minor version of a major one that the scheme speaks is taken: they differ in optional fields.

    Raises:
        FspiopRefusal: 3102 where it is absent, 3101 where it is another thing, 406 with 3001 where the
            version is not spoken here.
    """
    if not value:
        raise missing("The header is missing.", "header:Content-Type")
    found = _read(value, resource)
    if found is None or (found.is_iso and not is_iso(resource, scheme)):
        raise malformed(f"It must be {written(resource, scheme)}.", "header:Content-Type")
    majors = {version.partition(".")[0] for version in _spoken(scheme)}
    if found.major is not None and found.major not in majors:
        raise _unacceptable(scheme, "header:Content-Type")
    return found


def check_accept(value: str | None, resource: str, scheme: SchemeConnection) -> None:
    """Check Accept: one acceptable choice is enough; some schemes drop the header on the way.

    Raises:
        FspiopRefusal: 3101 where no choice is of FSPIOP, 406 with 3001 where none is spoken here.
    """
    if not value or value.strip() == "*/*":
        return
    choices = [_read(choice, resource) for choice in value.split(",")[:_ACCEPTS_MAX]]
    known = [choice for choice in choices if choice is not None]
    if not known:
        raise malformed(f"None of it is {written(resource, scheme)}.", "header:Accept")
    if not any(choice.fits(version) for choice in known for version in _spoken(scheme)):
        raise _unacceptable(scheme, "header:Accept")


def _spoken(scheme: SchemeConnection) -> Sequence[str]:
    return ("2.0",) if scheme.iso20022 else scheme.versions


def _read(value: str, resource: str) -> MediaType | None:
    found = _MEDIA.fullmatch(value.strip())
    if found is None or found[2] != resource:
        return None
    return MediaType(resource=resource, is_iso=bool(found[1]), major=found[3], minor=found[4])


def _unacceptable(scheme: SchemeConnection, where: str) -> FspiopRefusal:
    """Refuse with the list of what is spoken: key is the major version, value the minor (section 3.3.4.3)."""
    spoken = [version.split(".") for version in _spoken(scheme)]
    return FspiopRefusal(
        406,
        refusals.UNACCEPTABLE_VERSION,
        f"Only {', '.join(_spoken(scheme))} is spoken here.",
        where,
        ExtensionList(extension=[Extension(key=major, value=minor) for major, minor in spoken]),
    )
