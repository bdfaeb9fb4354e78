"""Models come from the hub: two files of a repository and nothing else, or a sentence that says what to do."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

import hclnet
from hclnet.hub.address import Address, is_address, parse
from hclnet.localizer.localizer import Localizer
from hub_server import Hub


def boxes(localizer: Localizer, photo: Path) -> list:
    return [(one.label, one.score, one.box) for one in localizer.locate(photo, top=3).objects]


@pytest.fixture
def shared(hub: Hub, folder: Path) -> Hub:
    hub.repos["ada/birds"] = folder
    return hub


@pytest.fixture
def copied(hub: Hub, folder: Path, tmp_path: Path) -> Path:
    """The files of ada/birds, to be changed."""
    hub.repos["ada/birds"] = shutil.copytree(folder, tmp_path / "repo")
    return tmp_path / "repo"


def said(call) -> str:
    with pytest.raises(ValueError) as error:
        call()
    assert "\n" not in str(error.value)
    print(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "repo", "revision"),
    [
        ("hf:ada/birds", "ada/birds", None),
        ("ada/birds", "ada/birds", None),
        ("hf://ada/birds@v1.2", "ada/birds", "v1.2"),
        ("hf:ada/birds@refs/pr/3", "ada/birds", "refs/pr/3"),
        ("hf:gpt2", "gpt2", None),
        (Path("hf:ada/birds@v1"), "ada/birds", "v1"),
    ],
)
def test_an_address_has_a_name_and_a_revision(text, repo, revision):
    assert parse(text) == Address(repo, revision)
    assert parse(str(parse(text))) == parse(text) and is_address(str(parse(text)))


@pytest.mark.parametrize("text", ["hf:", "hf:a/b/c", "hf:a b/c", "hf:../x", "hf:ada/birds@", "hf:-a/b", "hf:a\n/b"])
def test_what_is_no_address_is_refused(text):
    assert "is no name of a model on the hub" in said(lambda: parse(text))


@pytest.mark.parametrize("text", ["runs/mine", "mine.onnx", Path("hf")])
def test_paths_are_no_addresses(text):
    assert not is_address(text)


def test_the_same_boxes_and_only_two_files(shared: Hub, model: Localizer, photo: Path):
    found = Localizer.from_pretrained("ada/birds")
    assert boxes(found, photo) == boxes(model, photo)
    assert found.fingerprint() == model.fingerprint()
    assert shared.sent == {"localizer.json", "model.safetensors"}
    got = {path.name for path in Path(constants.HF_HUB_CACHE).rglob("snapshots/*/*")}
    assert got == {"localizer.json", "model.safetensors"}


def test_wherever_a_run_is_named(shared: Hub, model: Localizer, photo: Path):
    expected = model.locate(photo).box
    assert hclnet.load("hf:ada/birds").locate(photo).box == expected
    assert hclnet.locate(photo, "hf:ada/birds").box == expected
    assert Localizer.load(Path("hf:ada/birds")).locate(photo).box == expected


def test_a_folder_is_read_without_the_hub(hub: Hub, model: Localizer, folder: Path, photo: Path, tmp_path: Path):
    model.save(tmp_path / "run" / "localizer")
    for place in (tmp_path / "run", str(tmp_path / "run" / "localizer")):
        assert boxes(Localizer.from_pretrained(place), photo) == boxes(model, photo)
    assert not hub.requests


def test_a_revision_is_a_branch_or_a_commit(copied: Path, hub: Hub, tmp_path: Path, photo: Path):
    other = shutil.copytree(copied, tmp_path / "other")
    settings = json.loads((other / "localizer.json").read_text())
    settings["classes"] = ["a", "b", "c", "d", "e"]
    (other / "localizer.json").write_text(json.dumps(settings))
    hub.repos["ada/birds@v2"] = other
    commit, _ = hub.commit("ada/birds", "v2")
    for call in (
        lambda: Localizer.from_pretrained("ada/birds", revision="v2"),
        lambda: Localizer.from_pretrained("ada/birds", revision=commit),
        lambda: hclnet.load("hf:ada/birds@v2"),
    ):
        assert call().classes == ("a", "b", "c", "d", "e")
    assert Localizer.from_pretrained("ada/birds").classes[0] == "badger"
    assert "names a revision already" in said(lambda: Localizer.from_pretrained("hf:ada/birds@v2", revision="v1"))


def test_a_token_is_sent(shared: Hub):
    Localizer.from_pretrained("ada/birds", token="hf_secret")
    assert {authorization for _, _, authorization in shared.requests} == {"Bearer hf_secret"}


def test_what_was_fetched_once_is_there_without_a_network(shared: Hub, monkeypatch, tmp_path: Path):
    Localizer.from_pretrained("ada/birds", cache_dir=tmp_path / "elsewhere")
    asked = len(shared.requests)
    Localizer.from_pretrained("ada/birds", cache_dir=tmp_path / "elsewhere", local_files_only=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    Localizer.from_pretrained("ada/birds", cache_dir=tmp_path / "elsewhere")
    assert len(shared.requests) == asked
    text = said(lambda: Localizer.from_pretrained("ada/birds"))  # the hub's own cache is empty
    assert "hf:ada/birds is not on this machine" in text and "HF_HUB_OFFLINE" in text and "HF_HOME" in text


def test_only_local_files(shared: Hub):
    assert "switched off" in said(lambda: Localizer.from_pretrained("ada/birds", local_files_only=True))
    assert not shared.requests


def test_no_such_model(shared: Hub):
    text = said(lambda: hclnet.load("hf:ada/bird"))
    assert text.startswith(f"There is no model {shared.address}/ada/bird, or it is private")
    assert "hf auth login" in text


@pytest.mark.parametrize("name", ["runs/mine", "my/runs/mine"])
def test_a_name_may_be_of_a_folder_that_is_not_there(hub: Hub, name: str):
    assert said(lambda: Localizer.from_pretrained(name)).endswith(f" There is no folder {name} either.")


def test_no_such_revision(shared: Hub):
    text = said(lambda: hclnet.load("hf:ada/birds@v9"))
    assert text == f"{shared.address}/ada/birds has no revision v9: name one of its branches, tags or commits."


@pytest.mark.parametrize("status", [401, 403])  # without a login; with one, before the terms are accepted
def test_gated(shared: Hub, status: int):
    shared.refused["ada/birds"] = (status, "GatedRepo")
    text = said(lambda: hclnet.load("hf:ada/birds"))
    assert text.startswith(f"hf:ada/birds is gated: accept its terms at {shared.address}/ada/birds, log in")


def test_the_hub_is_down(shared: Hub):
    shared.refused[""] = (501, "")
    text = said(lambda: hclnet.load("hf:ada/birds"))
    assert f"can't be had from {shared.address} (" in text and "try again later" in text


def test_nothing_answers(shared: Hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    text = said(lambda: hclnet.load("hf:ada/birds"))
    assert "can't be had from http://127.0.0.1:9 (" in text and "try again with a network" in text


@pytest.mark.parametrize("name", ["localizer.json", "model.safetensors"])
def test_a_repository_of_something_else(copied: Path, name: str):
    (copied / name).unlink()
    assert f"hf:ada/birds is no model of hclnet: it has no {name}." in said(lambda: hclnet.load("hf:ada/birds"))


DAMAGE = {
    "half the weights": lambda home: (home / "model.safetensors").write_bytes(
        (home / "model.safetensors").read_bytes()[:5000]
    ),
    "a pickle": lambda home: (home / "model.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'false'\ntR."),
    "no JSON": lambda home: (home / "localizer.json").write_text("<html>"),
    "deep JSON": lambda home: (home / "localizer.json").write_text("[" * 100_000),
    "a list": lambda home: (home / "localizer.json").write_text("[]"),
    "another format": lambda home: change(home, format=99),
    "no classes": lambda home: change(home, classes=None),
    "a backbone from the hub": lambda home: change(
        home, backbone={"name": "timm:hf-hub:eve/evil", "output_stride": 16, "stages": 1}
    ),
    "a backbone from a folder": lambda home: change(
        home, backbone={"name": "timm:local-dir:/tmp", "output_stride": 16, "stages": 1}
    ),
}


def change(home: Path, **changes: object) -> None:
    file = home / "localizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file(copied: Path, hub: Hub, kind: str):
    DAMAGE[kind](copied)
    text = said(lambda: hclnet.load("hf:ada/birds"))
    assert text.startswith("hf:ada/birds can't be loaded: ")
    home = Path(re.search(r"Delete (.+?), so that", text)[1])
    assert home.parent == Path(constants.HF_HUB_CACHE) and home.is_dir()
    assert not [path for _, path, _ in hub.requests if "evil" in path]


def test_a_file_that_is_cut_off_on_the_way_is_not_taken(shared: Hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)  # it tries five times
    shared.short.add("model.safetensors")
    assert "can't be had from" in said(lambda: hclnet.load("hf:ada/birds"))
    shared.short.clear()
    assert hclnet.load("hf:ada/birds").classes[0] == "badger"


def test_a_device_that_is_not_there_is_refused_before_anything_is_fetched(shared: Hub):
    assert "cuda" in said(lambda: Localizer.from_pretrained("ada/birds", device="cuda:77"))
    assert not shared.requests
