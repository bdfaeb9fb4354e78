"""The pages make a site: each is in its navigation, every link leads somewhere, and it opens without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_the_navigation(site: Path):
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    named = [page for entry in nav for page in entry.values()]
    assert sorted(named) == sorted(p.name for p in (ROOT / "docs").glob("*.md"))
    assert {p.stem for p in site.glob("*.html")} >= {Path(page).stem for page in named}


def test_links_to_headings_lead_to_one(site: Path):
    pages = {p.name: p.read_text(encoding="utf-8") for p in site.glob("*.html")}
    anchored = 0
    for name, html in pages.items():
        for page, anchor in re.findall(r'href="([\w-]*\.html)?#([\w-]+)"', html):
            assert f'id="{anchor}"' in pages[page or name], f"{name} links to {page}#{anchor}"
            anchored += bool(page)
    assert anchored


def test_a_page_asks_for_nothing_from_elsewhere(site: Path):
    for page in site.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.findall(r'(?:src=|<link[^>]+rel="(?:stylesheet|icon)"[^>]+href=)"https?:[^"]*', html)
