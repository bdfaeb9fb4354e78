"""What the evaluations of a run measured -> the hub's `model-index` and the tables of a card."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult

from hclnet.documents import parse_json
from hclnet.metrics import METRICS, describe_protocol
from hclnet.types import Log
from hclnet_runtime.text import shown

Document = Mapping[str, Any]
"""A `metrics.json`."""


def measured_of(run: Path, fingerprint: str, settings: dict[str, Any], log: Log | None) -> list[Document]:
    """The evaluations in a run that are of the localizer as it is.

    Args:
        run: its folder.
        fingerprint: of the localizer.
        settings: of its maps and boxes, as JSON has them.
        log: told of those that are left out, and why.
    """
    found = []
    for file in sorted([*run.glob("evaluation/*/metrics.json"), *run.glob("evaluation/*/*/metrics.json")]):
        try:
            document = parse_json(file.read_text(encoding="utf-8"))
            reason = _unlike(document, fingerprint, settings)
        except (OSError, ValueError, KeyError, TypeError):
            reason = "the file can't be read"
        if not reason:
            found.append(document)
        elif log:
            log(f"Left out, {shown(file)}: {reason}. Call hclnet evaluate to have its metrics in the card.")
    return found


def eval_results(documents: list[Document]) -> list[EvalResult]:
    """Each metric that tables show: a fraction, and its interval and protocol among its arguments."""
    found: list[EvalResult] = []
    for document in documents:
        results = (_eval_result(document, key, one) for key, one in _shown(document))
        found += [result for result in results if result not in found]  # of a classification, whatever the protocol
    return found


def tables(documents: list[Document]) -> list[dict[str, Any]]:
    """The same in percent, a table for each evaluation."""
    return [
        {
            "data": data_name(document),
            "split": document["data"]["split"],
            "measured": describe_protocol(_measured(document)),
            "rows": [
                {
                    "name": METRICS[key].name,
                    "meaning": METRICS[key].meaning,
                    "value": f"{100 * one['value']:.1f}",
                    "interval": " to ".join(f"{100 * end:.1f}" for end in one["interval"]),
                }
                for key, one in _shown(document)
            ],
        }
        for document in documents
    ]


def data_name(document: Document) -> str:
    """What data is called: its folder, or its file without the ending; nothing of where it lies."""
    root = Path(document["data"]["root"])
    return shown(root.stem if root.is_file() else root.name) or "images"


def _eval_result(document: Document, key: str, one: Mapping[str, Any]) -> EvalResult:
    metric, data, name = METRICS[key], document["data"], data_name(document)
    boxes = not {"boxes", "masks"}.isdisjoint(metric.needs)
    args: dict[str, Any] = {"interval": [round(end, 4) for end in one["interval"]], "confidence": 0.95}
    if boxes:
        args |= {"protocol": document["protocol"]["name"], "box_rule": document["settings"]["box"]}
    return EvalResult(
        task_type="object-detection" if boxes else "image-classification",
        task_name="Weakly supervised object localization" if boxes else "Image classification",
        dataset_type=re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-") or "images",
        dataset_name=name,
        dataset_split=data["split"],
        dataset_revision=data["fingerprint"],
        dataset_args=dict(document["counts"]),
        metric_type="accuracy" if key == "top1_cls" else key,
        metric_name=metric.name,
        metric_value=round(one["value"], 4),
        metric_args=args,
    )


def _shown(document: Document) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, one in document["metrics"].items():
        numbers = (one["value"], *one["interval"])
        if key in METRICS and METRICS[key].name and all(n is not None and math.isfinite(n) for n in numbers):
            yield key, one


def _measured(document: Document) -> dict[str, Any]:
    """As `describe_protocol` takes it."""
    protocol = {"protocol": document["protocol"]} if document["protocol"] else {}
    settings = document["settings"]
    crops = {"crops": settings["crops"]} if settings["crops"] > 1 else {}
    return {**document["counts"], **{k: v["value"] for k, v in document["metrics"].items()}, "intervals": {}} | (
        protocol | crops
    )


def _unlike(document: Document, fingerprint: str, settings: dict[str, Any]) -> str:
    """In what an evaluation is of something else than the localizer with these settings; nothing if it is not.

    Raises:
        KeyError: it has no settings, metrics or data.
        TypeError: it is no evaluation at all.
    """
    other = [name for name, value in settings.items() if document["settings"].get(name) != value]
    if other:
        return f"it was measured with another {other[0]}"
    if document.get("localizer") != fingerprint:
        return "it is of other weights, or of an earlier version of hclnet"
    list(_shown(document)), _measured(document), data_name(document)
    return ""
