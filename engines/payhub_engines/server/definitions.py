"""The processes of this release and of the releases before it: running instances keep theirs to the end."""

from collections.abc import Iterable
from typing import Final

from payhub_engines.consensus.disk import Disk
from payhub_engines.core.bpmn.model import Catalogue, DefinitionError, ProcessDefinition
from payhub_engines.core.bpmn.parse import parse

FILE_BYTES_MAX: Final = 4 * 1024 * 1024
_SUFFIX: Final = ".bpmn"


def kept_definitions(disk: Disk, released: Iterable[bytes]) -> Catalogue:
    """Keep the released process files on disk, and return them with all that were kept before.

    Without the older ones an upgrade would leave every payment that is under way where it stands.

    Args:
        disk: the replica's own folder for nothing else.
        released: XML of this release; new instances start with these.

    Raises:
        DefinitionError: a process is not valid, or ``definition-changed``: a kept file was altered.
    """
    definitions = [parse(xml) for xml in released]
    kept = [_read(disk, name) for name in disk.names() if name.endswith(_SUFFIX)]
    known = {(definition.id, definition.version) for definition in kept}
    for definition in definitions:
        if (definition.id, definition.version) not in known:
            disk.replace(_name(definition), definition.xml)
    return Catalogue((*kept, *definitions))


def _read(disk: Disk, name: str) -> ProcessDefinition:
    definition = parse(disk.read(name, 0, FILE_BYTES_MAX))
    if _name(definition) != name:
        detail = f"The kept process {name} was altered: restore it, for payments may still follow it."
        raise DefinitionError("definition-changed", detail)
    return definition


def _name(definition: ProcessDefinition) -> str:
    return f"{definition.id}.{definition.version}{_SUFFIX}"
