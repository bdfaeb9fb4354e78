"""XML as text: what it may hold, and how it is laid out."""

from __future__ import annotations

import re
from xml.etree import ElementTree

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain(text: str) -> str:
    """A text that XML can hold: control characters, and bytes of a file's name that are no Unicode, are escaped."""
    return _NO_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def indented(root: ElementTree.Element, declared: bool = True) -> str:
    """A document in UTF-8, a line for each element; with an XML declaration, or without."""
    ElementTree.indent(root)
    declaration = '<?xml version="1.0" encoding="utf-8"?>\n' if declared else ""
    return f"{declaration}{ElementTree.tostring(root, encoding='unicode')}\n"
