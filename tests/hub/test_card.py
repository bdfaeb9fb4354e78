"""The card of a model: metadata that the hub reads, metrics with their intervals, and nothing that is private."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

import hclnet
from hclnet.hub.address import Address
from hclnet.hub.card import card_of
from hclnet.localizer.localizer import Localizer

HERE = Address("ada/birds")


@pytest.fixture(scope="module")
def evaluated(trained: Path, birds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with evaluations under two protocols."""
    run = Path(shutil.copytree(trained, tmp_path_factory.mktemp("secret place") / "run"))
    for protocol in ("hclnet", "wsoleval"):
        hclnet.evaluate(run, device="cpu", report=False, protocol=protocol)
    return run


@pytest.fixture(scope="module")
def card(evaluated: Path) -> ModelCard:
    return ModelCard(str(card_of(hclnet.load(evaluated, "cpu"), HERE, "cc-by-4.0", (), None)))


def test_the_metadata(card: ModelCard):
    data = card.data.to_dict()
    assert data["library_name"] == "hclnet" and data["pipeline_tag"] == "object-detection"
    assert data["license"] == "cc-by-4.0"
    assert {"hclnet", "weakly-supervised-object-localization", "efficientnet_lite0"} <= set(data["tags"])


def test_metrics_are_those_of_the_evaluations(card: ModelCard, evaluated: Path, birds: Path):
    name, results = model_index_to_eval_results(card.data.to_dict()["model-index"])
    assert name == "birds"
    written = {
        protocol: json.loads((evaluated / "evaluation" / folder / "metrics.json").read_text())
        for protocol, folder in (("hclnet", "test"), ("wsoleval", "test-wsoleval"))
    }
    seen = {}
    for result in results:
        seen[result.metric_type, (result.metric_args or {}).get("protocol")] = result
        assert (result.dataset_name, result.dataset_split) == (birds.name, "test")
        assert result.dataset_revision == written["hclnet"]["data"]["fingerprint"]
        assert result.dataset_args["images"] == 6
    assert len(seen) == len(results)  # the classification is there once
    for protocol, document in written.items():
        found = seen["gt_known", protocol]
        assert found.metric_value == round(document["metrics"]["gt_known"]["value"], 4)
        assert found.metric_args["interval"] == [round(v, 4) for v in document["metrics"]["gt_known"]["interval"]]
        assert found.metric_args["confidence"] == 0.95 and found.task_type == "object-detection"
        low, high = (f"{100 * v:.1f}" for v in document["metrics"]["gt_known"]["interval"])
        assert f"| GT-known Loc | {100 * found.metric_value:.1f} | {low} to {high} |" in card.text
        assert f"Protocol {protocol}: " in card.text
    assert seen["accuracy", None].task_type == "image-classification"


def test_classes_settings_and_commands(card: ModelCard, evaluated: Path):
    for name in hclnet.load(evaluated).classes:
        assert name in card.text
    settings, training = (yaml.safe_load(block.split("```")[0]) for block in card.text.split("```yaml\n")[1:])
    assert settings["box"] == "auto" and training["epochs"] == 1 and training["size"] == 64
    assert "Trained on 12 labeled images" in card.text
    assert "hclnet locate photo.jpg --model hf:ada/birds\n" in card.text
    assert 'Localizer.from_pretrained("ada/birds").locate("photo.jpg")' in card.text
    assert "\n\n\n" not in card.text and "\n## Pictures" not in card.text


def test_nothing_says_where_anything_lies(evaluated: Path, birds: Path, card: ModelCard):
    for private in (evaluated, evaluated.parent.name, birds.parent, next(birds.rglob("*.jpg")).name):
        assert str(private) not in str(card)


def test_weights_from_a_file_are_not_named(trained: Path, tmp_path: Path):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    file = run / "config.yaml"
    file.write_text(file.read_text().replace("weights: auto", "weights: /home/ada/secret.pth"))
    text = str(card_of(hclnet.load(run, "cpu"), HERE, None, (), None))
    assert "secret" not in text and "weights: a file" in text and "license" not in text


def test_a_revision_is_named(model: Localizer):
    text = str(card_of(model, Address("ada/birds", "v2"), None, (), None))
    assert "--model hf:ada/birds@v2" in text and 'from_pretrained("ada/birds", revision="v2")' in text


def test_without_a_run_there_is_less(model: Localizer):
    card = card_of(model, HERE, None, (), None)
    assert "model-index" not in card.data.to_dict() and "No metrics were measured" in card.text
    assert "training" not in card.text.partition("## Settings")[2] and "\n\n\n" not in card.text


def test_metrics_of_something_else_are_left_out(evaluated: Path, tmp_path: Path):
    said: list[str] = []
    other = hclnet.load(evaluated, "cpu").with_inference(box="fixed:0.3")
    assert "model-index" not in card_of(other, HERE, None, (), said.append).data.to_dict()
    assert len(said) == 2 and all("measured with another box" in line for line in said)
    run, said = Path(shutil.copytree(evaluated, tmp_path / "run")), []
    file = run / "evaluation" / "test" / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"localizer": "0" * 64}))
    (run / "evaluation" / "test-wsoleval" / "metrics.json").write_text("[]")
    assert "model-index" not in card_of(hclnet.load(run, "cpu"), HERE, None, (), said.append).data.to_dict()
    assert "it is of other weights" in said[0] and "can't be read" in said[1]


def test_names_of_classes_are_text(model: Localizer, monkeypatch: pytest.MonkeyPatch):
    names = ("<script>x</script>", "a|b\n---\n# c", "![x](http://eve/x.png)", "{{ 1 + 1 }}", "`$x$`")
    monkeypatch.setattr(model, "classes", names)
    text = card_of(model, HERE, None, (), None).text
    line = text.partition("## Classes\n\n")[2].partition("\n")[0]
    assert line == (r"\<script\>x\</script\>, a\|b\\n---\\n\# c, \!\[x\](http://eve/x.png), \{\{ 1 + 1 \}\}, \`\$x\$\`")


def test_many_classes_are_counted(model: Localizer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model, "classes", tuple(f"c{k}" for k in range(1000)))
    text = card_of(model, HERE, None, (), None).text
    assert "c99 and 900 more, which `localizer.json` has\n\n## Results" in text and "c100" not in text
