"""What is said of the package is said in one place, or the places agree."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

import hclnet

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_version_is_written_in_one_module():
    assert "version" not in PROJECT["project"] and PROJECT["project"]["dynamic"] == ["version"]
    source = (ROOT / PROJECT["tool"]["hatch"]["version"]["path"]).read_text(encoding="utf-8")
    assert re.findall(r'^__version__ = "(.+)"$', source, re.M) == [hclnet.__version__]


def test_the_version_is_had_without_what_takes_long_to_load():
    code = "import hclnet, sys; print(hclnet.__version__, *sorted({m.partition('.')[0] for m in sys.modules}))"
    version, *loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert version == hclnet.__version__
    assert not {"torch", "numpy", "numba", "cv2", "pydantic", "lightning"} & set(loaded)


def test_changelog_and_citation_are_of_this_version():
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    released = [name for name in headings if name != "Unreleased"]
    assert released[0] == hclnet.__version__ == str(CITATION["version"])


def test_the_citation_has_what_the_format_asks_for():
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION)
    (paper,) = CITATION["references"]
    bibtex = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8").partition("```bibtex")[2]
    assert paper["title"] in bibtex and str(paper["year"]) in bibtex
    for author in paper["authors"]:
        assert f"{author['family-names']}, {author['given-names']}" in bibtex
    assert CITATION["license"] == PROJECT["project"]["license"]


def test_it_has_annotations_for_type_checkers():
    assert (ROOT / "src" / "hclnet" / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["project"]["classifiers"]


def test_every_extra_is_named_in_the_docs():
    text = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in PROJECT["project"]["optional-dependencies"])


def test_the_module_that_version_0_1_had_is_the_one_that_there_is_now():
    code = (
        "import sys, hclnet.locate, hclnet.workflows.locate as now\n"
        "assert sys.modules['hclnet.locate'] is now and callable(now.locate_files)\n"
        "try: hclnet.locate('nowhere.jpg')\n"
        "except ValueError as error: print(error)"
    )
    assert "nowhere.jpg" in subprocess.check_output([sys.executable, "-c", code], text=True)
