"""Reads untrusted XML into nodes that know their line: no DTD, no entities; all bounded."""

from collections.abc import Iterator
from typing import Any, Final

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from payhub_engines.core.bpmn.model import DefinitionError

BPMN: Final = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
ZEEBE: Final = "{http://camunda.org/schema/zeebe/1.0}"

XML_BYTES_MAX: Final = 2 * 1024 * 1024  # also bounds every attribute and text
NODES_MAX: Final = 100_000  # XML elements of a file, the drawing's included
DEPTH_MAX: Final = 64  # of XML elements, so of sub-processes too


class Node:
    """An XML element.

    Attributes:
        tag: name with its namespace, such as ``{http://...}serviceTask``.
        line: where its start tag begins, from 1.
        text: what stands directly inside, without the text of its children.
    """

    __slots__ = ("attributes", "children", "line", "tag", "text")

    def __init__(self, tag: str, attributes: dict[str, str], line: int) -> None:
        self.tag = tag
        self.attributes = attributes
        self.line = line
        self.text = ""
        self.children: list[Node] = []

    @property
    def name(self) -> str:
        """The name without its namespace."""
        return self.tag.rpartition("}")[2]

    @property
    def id(self) -> str:
        """The id; empty where there is none."""
        return self.attributes.get("id", "")

    def get(self, attribute: str) -> str:
        """Return an attribute without the blanks around it; empty where there is none."""
        return self.attributes.get(attribute, "").strip()

    def all(self, tag: str) -> Iterator["Node"]:
        """Return the direct children with a tag."""
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> "Node | None":
        """Return the first direct child with a tag."""
        return next(self.all(tag), None)

    def extension(self, name: str) -> "Node | None":
        """Return one of Zeebe's extension elements directly under this one."""
        return next((found for found in self.extensions() if found.tag == ZEEBE + name), None)

    def extensions(self) -> Iterator["Node"]:
        """Return all extension elements directly under this one."""
        return (child for around in self.all(BPMN + "extensionElements") for child in around.children)


class _Builder:
    """Takes what the XML parser finds."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self.parser: Any = None  # the expat parser, which knows the line
        self._open: list[Node] = []
        self._texts: list[list[str]] = []  # in pieces: joined once, however often comments interrupt them
        self._nodes = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        line = self.parser.CurrentLineNumber
        self._nodes += 1
        if self._nodes > NODES_MAX:
            detail = f"A file has at most {NODES_MAX} XML elements."
            raise DefinitionError("file-too-large", detail, line=line)
        if len(self._open) >= DEPTH_MAX:
            detail = f"XML elements nest at most {DEPTH_MAX} deep; take sub-processes apart."
            raise DefinitionError("nested-too-deep", detail, line=line)
        node = Node(tag, attributes, line)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)
        self._texts.append([])

    def end(self, _tag: str) -> None:
        self._open.pop().text = "".join(self._texts.pop())

    def data(self, text: str) -> None:
        if self._texts:
            self._texts[-1].append(text)

    def close(self) -> None:
        """Do nothing: the root is kept."""


def read(xml: bytes) -> Node:
    """Read a BPMN file.

    Returns:
        Its root, ``<definitions>``.

    Raises:
        DefinitionError: the file is no BPMN, too large, or declares what it must not.
    """
    if len(xml) > XML_BYTES_MAX:
        raise DefinitionError("file-too-large", f"A file has at most {XML_BYTES_MAX} bytes.")
    builder = _Builder()
    parser = DefusedXMLParser(target=builder, forbid_dtd=True)
    builder.parser = vars(parser)["parser"]
    try:
        parser.feed(xml)
        parser.close()
    except ParseError as error:
        line = error.position[0]
        raise DefinitionError("malformed-xml", f"No well-formed XML: {error}.", line=line) from error
    except DefusedXmlException as error:
        detail = "The file declares a document type or entities; remove them."
        raise DefinitionError("dtd-forbidden", detail, line=1) from error
    except (ValueError, LookupError) as error:
        detail = f"The file's encoding is not readable: {error}."
        raise DefinitionError("malformed-xml", detail, line=1) from error
    root = builder.root
    if root is None or root.tag != BPMN + "definitions":
        raise DefinitionError("not-bpmn", "The file's root is not BPMN 2.0 <definitions>.", line=1)
    return root
