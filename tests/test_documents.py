"""JSON, YAML and XML hold values, and do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from hclnet.data import read
from hclnet.documents import parse_json, parse_yaml, xml_elements, xml_root
from layouts import cvat, ilsvrc, voc, yolo

LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'


def test_xml_by_the_ends_of_its_elements(tmp_path: Path):
    file = tmp_path / "a.xml"
    file.write_text('<?xml version="1.0"?>\n<a><b>1 &lt; 2</b><b x="y">' + "z" * 200_000 + "</b></a>", encoding="utf-8")
    assert [element.tag for element in xml_elements(file)] == ["b", "b", "a"]
    root = xml_root(file)
    assert root.findtext("b") == "1 < 2" and root[1].get("x") == "y" and len(root[1].text or "") == 200_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{LAUGHS}<a>&b;</a>", "document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
        ("<a>&b;</a>", "undefined entity"),
        ("<a>", "no element found"),
        ("", "no element found"),
        ('<?xml version="1.0" encoding="none"?><a/>', "unknown encoding"),
    ],
)
def test_xml_that_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "a.xml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        xml_root(tmp_path / "a.xml")


@pytest.mark.parametrize("layout", [cvat, voc, ilsvrc])
def test_data_with_entities_is_refused(birds: Path, tmp_path: Path, layout):
    root = layout(read(birds), tmp_path)
    file = sorted(root.rglob("*.xml"))[0]
    text = file.read_text(encoding="utf-8")
    declared = text.find("<annotation")
    file.write_text(text[:declared] + LAUGHS + text[declared:], encoding="utf-8")
    with pytest.raises(ValueError, match=rf"{file.name}.*: it declares a document type"):
        read(root)


def test_yaml_with_references_is_refused_in_data(birds: Path, tmp_path: Path):
    root = yolo(read(birds), tmp_path)
    text = (root / "data.yaml").read_text(encoding="utf-8")
    (root / "data.yaml").write_text(f"a: &a [b, c]\nd: *a\n{text}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"data\.yaml can't be read as YAML: it has references"):
        read(root)
    assert parse_yaml("a: &a 1\nb: *a", references=True) == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    "text", ["!!int ''", "!!bool x", "!!timestamp x", "2020-99-99", "!!python/name:os.system ''", "a: b: c"]
)
def test_yaml_that_is_refused(text: str):
    with pytest.raises(ValueError) as error:
        parse_yaml(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("parse", [parse_json, parse_yaml])
def test_brackets_without_end(parse):
    with pytest.raises(ValueError, match="nested too deeply"):
        parse("[" * 100_000)
    assert parse('{"a": [1, null]}') == {"a": [1, None]}
