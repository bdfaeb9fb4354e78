"""The pages make a site: each is in its navigation, every link leads somewhere, and it opens without a network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from report.chromium import ARGUMENTS, find_chromium, playwright

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


def test_the_search_knows_every_page_without_a_server(site: Path):
    """The index is a script, since a page that is opened as a file may load nothing else."""
    begin, _, index = (site / "search" / "search_index.js").read_text(encoding="utf-8").partition("=")
    assert begin.split() == ["var", "__index"]
    found = {entry["location"].partition("#")[0] for entry in json.loads(index)["docs"]}
    assert found == {f"{p.stem}.html" for p in (ROOT / "docs").glob("*.md")}
    scripts = re.findall(r'<script src="([^"]+)"', (site / "index.html").read_text(encoding="utf-8"))
    assert scripts[0].endswith("iframe-worker.js") and (site / scripts[0]).is_file()


@pytest.mark.slow
def test_a_word_is_found_in_a_page_that_is_opened_as_a_file(site: Path):
    path, troubles = find_chromium(), []
    with playwright().sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        page = browser.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("requestfailed", lambda request: troubles.append(request.url))
        page.goto((site / "index.html").as_uri())
        page.locator(".md-search__input").focus()
        page.keyboard.type("component tree")
        page.locator(".md-search-result__list a").first.wait_for(state="attached")
        found = page.locator(".md-search-result__list a").evaluate_all("links => links.map(link => link.href)")
        browser.close()
    assert not troubles
    assert any("architecture.html" in address for address in found)
