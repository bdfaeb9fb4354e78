"""The card of a model, README.md in its repository: what it is, how to use it, how good it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from huggingface_hub import ModelCard, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined

from hclnet import __version__
from hclnet.config import RunConfig
from hclnet.data.record import recorded
from hclnet.hub.address import Address
from hclnet.hub.pictures import Picture
from hclnet.hub.results import eval_results, measured_of, tables
from hclnet.types import Log
from hclnet_runtime.text import shown

if TYPE_CHECKING:
    from hclnet.localizer.localizer import Localizer

_CLASSES = 100  # named in a card
_TAGS = ("hclnet", "weakly-supervised-object-localization", "class-activation-map")


def card_of(
    localizer: Localizer, address: Address, license: str | None, pictures: Sequence[Picture], log: Log | None
) -> ModelCard:
    """The card of a localizer.

    Of a run, it has the settings of the training, the number of its images and the metrics of its evaluations. Paths
    are left out, and so are names of images.

    Args:
        localizer: as it will be in the repository.
        address: of the repository.
        license: as the hub calls it.
        pictures: in the repository.
        log: told of evaluations that are left out.
    """
    inference = {**localizer.inference.model_dump(mode="json"), "fusion": localizer.fusion}
    run = Path(localizer.origin[1]) if localizer.origin else None
    config = RunConfig.load(run / "config.yaml") if run and (run / "config.yaml").is_file() else None
    documents = measured_of(run, localizer.fingerprint(), inference, log) if run else []
    name, backbone = address.repo.rpartition("/")[2], localizer.backbone.name
    results = eval_results(documents)
    data = ModelCardData(
        library_name="hclnet",
        pipeline_tag="object-detection",
        license=license,
        tags=[*_TAGS, localizer.method.name, backbone.removeprefix("timm:")],
        model_name=name if results else None,
        eval_results=results or None,
    )
    text = _template().render(
        name=name,
        address=address,
        version=__version__,
        method=localizer.method.name,
        paper=localizer.method.paper,
        backbone=backbone,
        size=localizer.size,
        classes=localizer.classes,
        most=_CLASSES,
        images=sum(row["split"] == "train" for row in recorded(run)) if run else 0,
        pictures=pictures,
        results=tables(documents),
        inference=_yaml(inference),
        training=_yaml(_training(config)) if config else "",
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text.strip()}\n")


def _training(config: RunConfig) -> dict[str, Any]:
    """What the weights depend on, without where anything lies."""
    weights = config.weights if config.weights in ("auto", "none") else "a file"
    return {**config.training_key(), "weights": weights}


def _yaml(settings: dict[str, Any]) -> str:
    """A line for each setting."""
    given = {name: value for name, value in settings.items() if value is not None}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=10**9))


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("hclnet.hub"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["md"] = _md
    return environment.get_template("card.md")


def _md(text: str) -> str:
    """Text as Markdown shows it, whatever a class is called."""
    return re.sub(r"([\\`*_{}\[\]<>|#~&$!])", r"\\\1", shown(text))
