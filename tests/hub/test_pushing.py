"""What is sent to the hub: recorded where `huggingface_hub` would send it, and loaded again from there."""

from __future__ import annotations

import shutil
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi, ModelCard, errors
from huggingface_hub.utils import filter_repo_objects
from PIL import Image
from typer.testing import CliRunner

import hclnet
from hclnet.cli.app import app
from hclnet.localizer.localizer import Localizer
from hub_server import Hub

PLAIN = {"README.md", "localizer.json", "model.safetensors"}


class Sent:
    """The calls, and the folder that was sent."""

    def __init__(self, place: Path) -> None:
        self.calls: list[tuple[str, dict]] = []
        self.folder = place
        self.private = True
        self.fails: dict[str, Exception] = {}

    @property
    def files(self) -> set[str]:
        return {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file()}

    def __getitem__(self, name: str) -> dict:
        (call,) = [options for called, options in self.calls if called == name]
        return call


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent(tmp_path / "sent")

    def note(name: str, answer):
        real = getattr(HfApi, name)

        def call(api: HfApi, *positional: str, **options):
            signature(real).bind(api, *positional, **options)
            if sent.folder.exists():  # all is sent, and what is asked now is not ours
                return real(api, *positional, **options)
            sent.calls.append((name, {**dict(zip(("repo_id",), positional)), **options, "token": api.token}))
            if name in sent.fails:
                raise sent.fails[name]
            return answer(options)

        monkeypatch.setattr(HfApi, name, call)

    def upload(options: dict) -> SimpleNamespace:
        folder = options["folder_path"]
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        for name in filter_repo_objects(names, allow_patterns=options["allow_patterns"]):
            (sent.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / name, sent.folder / name)
        pr = "https://hub/ada/birds/discussions/1" if options["create_pr"] else None
        return SimpleNamespace(commit_url="https://hub/ada/birds/commit/0", pr_url=pr)

    note("create_repo", lambda _: None)
    note("create_branch", lambda _: None)
    note("model_info", lambda _: SimpleNamespace(private=sent.private))
    note("upload_folder", upload)
    return sent


def failure(kind: type[errors.HfHubHTTPError], status: int, said: str = "") -> Exception:
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return kind("It failed.", response=response, server_message=said or None)


def test_what_is_sent_is_loaded_again(sent: Sent, hub: Hub, model: Localizer, photo: Path):
    address = model.push_to_hub("ada/birds", token="hf_secret", private=True, commit_message="Better boxes")
    assert address == "https://hub/ada/birds/commit/0" and sent.files == PLAIN
    assert sent["create_repo"] == {"repo_id": "ada/birds", "private": True, "exist_ok": True, "token": "hf_secret"}
    upload = sent["upload_folder"]
    assert upload["commit_message"] == "Better boxes" and upload["revision"] is None and upload["token"] == "hf_secret"
    hub.repos["ada/birds"] = sent.folder
    again = Localizer.from_pretrained("ada/birds")
    there, here = (one.locate(photo, top=3).objects for one in (again, model))
    assert len(here) == 3 and [one.box for one in there] == [one.box for one in here]
    assert again.fingerprint() == model.fingerprint() and again.inference.model_dump() == {
        **model.inference.model_dump(),
        "fusion": model.fusion,
    }
    ModelCard.load(sent.folder / "README.md")


def test_a_branch_is_made_and_named_in_the_card(sent: Sent, model: Localizer):
    model.push_to_hub("ada/birds", branch="v2")
    assert sent["create_branch"]["branch"] == "v2" and sent["create_branch"]["exist_ok"]
    assert sent["upload_folder"]["revision"] == "v2"
    assert "hf:ada/birds@v2" in (sent.folder / "README.md").read_text()


def test_a_pull_request(sent: Sent, model: Localizer):
    assert model.push_to_hub("ada/birds", create_pr=True) == "https://hub/ada/birds/discussions/1"
    with pytest.raises(ValueError, match="leave the branch out"):
        model.push_to_hub("ada/birds", create_pr=True, branch="v2")


def test_without_a_card_only_the_model_goes(sent: Sent, model: Localizer, photo: Path):
    model.push_to_hub("ada/birds", card=False)
    assert sent.files == PLAIN - {"README.md"} and sent["upload_folder"]["delete_patterns"] is None
    with pytest.raises(ValueError, match="Pictures are shown in the card"):
        model.push_to_hub("ada/birds", card=False, pictures=[photo])


def test_pictures_are_those_that_were_named(sent: Sent, model: Localizer, tmp_path: Path):
    photo, exif = tmp_path / "ada at home.jpg", Image.Exif()
    exif[0x9286], exif[0x010F] = "a secret comment", "A camera"
    Image.effect_noise((2000, 1000), 40).convert("RGB").save(photo, exif=exif)
    model.push_to_hub("ada/birds", pictures=photo)
    assert sent.files == {*PLAIN, "pictures/1.jpg"}
    with Image.open(sent.folder / "pictures" / "1.jpg") as picture:
        assert picture.size == (800, 400) and not picture.getexif()
    text = (sent.folder / "README.md").read_text()
    assert "](pictures/1.jpg)" in text and "ada at home" not in text
    assert sent["upload_folder"]["delete_patterns"] == ["pictures/*.jpg"]


def test_pictures_that_cannot_be_shown_stop_it_before_anything_is_sent(sent: Sent, model: Localizer, tmp_path: Path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no")
    for name in ("broken.jpg", "nowhere.jpg"):
        with pytest.raises(ValueError, match=name):
            model.push_to_hub("ada/birds", pictures=tmp_path / name)
    for k in range(17):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{k}.png")
    with pytest.raises(ValueError, match="These are 17 pictures"):
        model.push_to_hub("ada/birds", pictures=str(tmp_path / "*.png"))
    assert not sent.calls


def test_what_should_be_private_never_goes_to_a_public_repository(sent: Sent, model: Localizer):
    sent.private = False
    with pytest.raises(ValueError, match="ada/birds is on the hub already and public, so nothing was uploaded"):
        model.push_to_hub("ada/birds", private=True)
    assert "upload_folder" not in dict(sent.calls)
    model.push_to_hub("ada/birds")
    assert "upload_folder" in dict(sent.calls)


@pytest.mark.parametrize("name", ["birds", "hf:ada/birds@v2", "a/b/c", "", "ada/birds/"])
def test_a_repository_has_a_user_and_a_name(sent: Sent, model: Localizer, name: str):
    with pytest.raises(ValueError, match="user/name"):
        model.push_to_hub(name)
    assert not sent.calls


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        ("create_repo", errors.LocalTokenNotFoundError("none"), "does not accept your login, or there is none"),
        ("create_repo", failure(errors.HfHubHTTPError, 401), "does not accept your login, or there is none"),
        ("create_repo", failure(errors.HfHubHTTPError, 403), "You may not write to "),
        ("create_repo", errors.OfflineModeIsEnabled("off"), "switched off by HF_HUB_OFFLINE"),
        ("upload_folder", failure(errors.BadRequestError, 400, 'license "x" is none'), 'license "x" is none'),
        ("upload_folder", OSError("no route to host\nmore"), "(no route to host): try again with a network"),
        ("upload_folder", failure(errors.HfHubHTTPError, 500), "can't be written to (It failed): try again later"),
    ],
)
def test_what_goes_wrong_is_one_sentence(sent: Sent, model: Localizer, call: str, error: Exception, said: str):
    sent.fails[call] = error
    with pytest.raises(ValueError) as raised:
        model.push_to_hub("ada/birds")
    assert said in str(raised.value) and "\n" not in str(raised.value)


def invoke(*words: str | Path):
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_the_verb_sends_what_python_does(sent: Sent, trained: Path):
    done = invoke("push", trained, "ada/birds", "--private", "--revision", "v2", "--license", "mit", "--message", "One")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "Uploaded: https://hub/ada/birds/commit/0"
    assert sent["upload_folder"]["revision"] == "v2" and sent["upload_folder"]["commit_message"] == "One"
    assert sent["create_repo"]["private"] is True and sent.files == PLAIN
    assert ModelCard.load(sent.folder / "README.md").data.license == "mit"


def test_the_verb_writes_a_folder_and_sends_nothing(sent: Sent, trained: Path, birds: Path, tmp_path: Path):
    photo = next(birds.rglob("*.jpg"))
    done = invoke("push", trained, "ada/birds", "--pictures", photo, "--into", tmp_path / "share")
    assert done.exit_code == 0 and not sent.calls
    assert "The card names no license" in done.stdout
    files = "README.md, localizer.json, model.safetensors, pictures/1.jpg"
    assert done.stdout.splitlines()[-1] == f"{tmp_path / 'share'}: {files}. Nothing was uploaded."
    assert hclnet.load(tmp_path / "share").locate(photo).box == hclnet.load(trained).locate(photo).box
    again = invoke("push", trained, "ada/birds", "--into", tmp_path / "share")
    assert again.exit_code == 2 and "is there already and not empty" in again.stderr


@pytest.mark.parametrize("there", ["", "folder", "link"])
def test_what_fails_leaves_the_folder_as_it_was(trained: Path, tmp_path: Path, there: str):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    share, home = tmp_path / "share", tmp_path / ("home" if there == "link" else "share")
    if there:
        home.mkdir(mode=0o750)
        before = home.stat()
    if there == "link":
        share.symlink_to(home)
    done = invoke("push", trained, "ada/birds", "--pictures", tmp_path / "broken.jpg", "--into", share)
    assert done.exit_code == 2 and "broken.jpg" in done.stderr
    if there:
        assert list(share.iterdir()) == [] and (home.stat().st_ino, home.stat().st_mode) == before[1::-1]
    else:
        assert not share.exists()
    assert invoke("push", trained, "ada/birds", "--into", share).exit_code == 0


def test_a_classifier_is_not_shared(sent: Sent, model: Localizer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model.backbone, "last", "features")
    with pytest.raises(ValueError, match="The localizer of a classifier is not saved"):
        model.push_to_hub("ada/birds")
    assert not sent.calls
