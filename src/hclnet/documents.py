"""JSON, YAML and XML that a person gives: what they hold, or why they can't be read, and nothing that they could do.

XML that declares a document type is refused, and YAML with references: both can stand for more than fits into memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import yaml

_AT_ONCE = 2**16  # bytes
_TOO_DEEP = "its brackets are nested too deeply"


def parse_json(text: str | bytes) -> Any:
    """Raises:
    ValueError: it is no JSON; the message says what is wrong and not where the text is from.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def parse_yaml(text: str, references: bool = False) -> Any:
    """Plain values from YAML.

    Args:
        text: the document.
        references: let `*name` stand for what `&name` has marked.

    Raises:
        ValueError: it is no YAML; as `parse_json`.
    """
    try:
        return yaml.load(text, yaml.SafeLoader if references else _NoReferences)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except Exception as error:  # also what a value that is not of its tag raises
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


def xml_elements(file: Path) -> Iterator[ElementTree.Element]:
    """The elements of a file in the order of their ends; the root is the last. What was seen may be cleared.

    Raises:
        ValueError: it is no XML, or declares a document type; as `parse_json`.
        OSError: it can't be read.
    """
    builder = _Builder()
    parser = ElementTree.XMLParser(target=builder)
    try:
        with file.open("rb") as data:
            while part := data.read(_AT_ONCE):
                parser.feed(part)
                yield from builder.taken()
        parser.close()
    except (ElementTree.ParseError, LookupError) as error:  # LookupError: of an encoding
        raise ValueError(str(error)) from None
    yield from builder.taken()


def xml_root(file: Path) -> ElementTree.Element:
    """Raises:
    ValueError, OSError: as `xml_elements`.
    """
    *_, root = xml_elements(file)
    return root


class _NoReferences(yaml.SafeLoader):
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "it has references (*name); write the values", None)
        return super().compose_node(parent, index)


class _Builder(ElementTree.TreeBuilder):
    def __init__(self) -> None:
        super().__init__()
        self.ended: list[ElementTree.Element] = []

    def doctype(self, *_: object) -> None:
        raise ValueError("it declares a document type (<!DOCTYPE), which can define entities; take it out")

    def end(self, tag: str) -> ElementTree.Element:
        element = super().end(tag)
        self.ended.append(element)
        return element

    def taken(self) -> list[ElementTree.Element]:
        ended, self.ended = self.ended, []
        return ended
