"""Small helpers for BPMN's XML: namespaces, extension elements, attributes that may be expressions."""

from typing import Final
from xml.etree.ElementTree import Element as Node

from payhub_engines.core.bpmn.model import DefinitionError, Value
from payhub_engines.core.feel import ExpressionSyntaxError, compile_expression

BPMN: Final = "{http://www.omg.org/spec/BPMN/20100524/MODEL}"
ZEEBE: Final = "{http://camunda.org/schema/zeebe/1.0}"


def local_name(node: Node) -> str:
    """Return a node's name without its namespace."""
    return node.tag.rpartition("}")[2]


def extension(node: Node, name: str) -> Node | None:
    """Return one of Zeebe's extension elements directly under a node."""
    return node.find(f"{BPMN}extensionElements/{ZEEBE}{name}")


def value_of(text: str, element_id: str, *, always_expression: bool = False) -> Value:
    """Compile an attribute: an expression when it begins with ``=``, else a static text.

    Raises:
        DefinitionError: the expression cannot be understood.
    """
    if not always_expression and not text.lstrip().startswith("="):
        return lambda _: text
    try:
        return compile_expression(text)
    except ExpressionSyntaxError as error:
        raise DefinitionError("expression-syntax", error.detail, element_id) from error
