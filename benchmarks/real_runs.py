"""What `real_images.py` trains and keeps: runs, their records by box rule, and the objects that they find."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import hclnet
import hclnet_runtime
from hclnet.config import RunConfig
from hclnet.localizer.evaluation import evaluate_localizer
from hclnet.localizer.localizer import Localizer
from hclnet.metrics import concatenate, load_records, save
from hclnet.progress import bar
from hclnet.storage import write_json
from hclnet.training import is_finished
from hclnet.training.folder import is_run
from hclnet.types import DataSet, Records
from real_sets import RealSet, code_digest, fingerprints, key_of

UNTRAINED = ("boxes", "metrics", "report", "formats", "cli", "paper", "synthetic", "torchmetrics")
"""Packages that no training depends on: when they change, runs stay and records are made anew."""

MOST_OBJECTS = 100
_CHUNK = 64  # images whose heatmaps are in memory at once


@cache
def code_versions() -> tuple[str, str]:
    """Of the code that a training depends on, and of all code, when it is first asked for."""
    roots = [Path(package.__file__).parent for package in (hclnet, hclnet_runtime)]
    trained_by, all_code = ("".join(code_digest(root, less)[:32] for root in roots) for less in (UNTRAINED, ()))
    return trained_by, all_code


@dataclass
class Part:
    """One training and the images that it is tested on.

    Attributes:
        data: with the splits `train` and `test`.
        method: its name.
        seed: of the training.
        settings: of the training, besides.
        run: the folder of the run.
        records: the folder of the records.
        code: of all code, see `code_versions`.
        tested: fingerprint of the tested images and their ground truth.
    """

    data: DataSet
    method: str
    seed: int
    settings: dict[str, Any]
    run: Path
    records: Path
    code: str
    tested: str

    @cached_property
    def localizer(self) -> Localizer:
        return Localizer.load(self.run)

    def train(self) -> None:
        """Train the run; one that is finished stays, and one that was interrupted goes on."""
        if is_finished(self.run):
            return
        start = time.perf_counter()
        settings = {**self.settings, "seed": self.seed}
        hclnet.train(self.data, method=self.method, out=self.run, resume=is_run(self.run), report=False, **settings)
        print(f"{self.run}: trained in {time.perf_counter() - start:.0f} s", flush=True)

    def _file(self, rule: str, kind: str, end: str) -> Path:
        key = key_of((self.tested, self.code, rule))
        return self.records / f"{kind}-{rule.replace(':', '-')}-{key}.{end}"

    def evaluate(self, rules: Sequence[str]) -> list[Records]:
        """Records of the tested images, for each rule; those that are there already are read."""
        files = [self._file(rule, "records", "npz") for rule in rules]
        lacking = [(rule, file) for rule, file in zip(rules, files) if not file.is_file()]
        if lacking:
            settings = [self.localizer.inference.model_copy(update={"box": rule}) for rule, _ in lacking]
            frozen = RunConfig.load(self.run / "config.yaml").tune == "heads"
            samples = self.data.split("test")
            with bar(f"{self.run.name}: boxes") as progress:
                found = evaluate_localizer(
                    self.localizer, samples, self.data.ground_truth, settings, cache=frozen, progress=progress
                )
            self.records.mkdir(parents=True, exist_ok=True)
            for (_, file), records in zip(lacking, found):
                save(records, file)
        return [load_records(file) for file in files]

    def objects(self, rule: str) -> dict[str, list[list[float]]]:
        """All objects of the image's class that are found in each tested image: x0, y0, x1, y1, score, by id."""
        file = self._file(rule, "objects", "json")
        if not file.is_file():
            localizer, found, done = self.localizer.with_inference(box=rule), {}, 0
            samples = sorted(self.data.split("test"), key=lambda s: s.label)
            with bar(f"{self.run.name}: objects") as progress:
                while done < len(samples):
                    label = samples[done].label
                    some = [s for s in samples[done : done + _CHUNK] if s.label == label]
                    located = localizer.locate_batch(
                        [s.path for s in some], classes=[self.data.classes[label]], max_objects=MOST_OBJECTS
                    )
                    for sample, one in zip(some, located):
                        found[sample.id] = [[*each.box, each.score] for each in one.objects]
                    done += len(some)
                    progress(done, len(samples))
            self.records.mkdir(parents=True, exist_ok=True)
            write_json(file, found)
        return json.loads(file.read_text(encoding="utf-8"))


def make_parts(real: RealSet, method: str, seed: int, settings: dict[str, Any], work: Path) -> list[Part]:
    """The trainings that test every image of a set once.

    The name of a run's folder has a key of its training images, its settings and the code.
    """
    trained_by, code = code_versions()
    parts = []
    for number, data in enumerate(real.parts):
        training, tested = fingerprints(data)
        name = f"{method}-{seed}-{key_of((training, method, seed, sorted(settings.items()), trained_by))}"
        name = name if len(real.parts) == 1 else f"{name}-fold{number + 1}of{len(real.parts)}"
        places = (work / kind / real.name / name for kind in ("runs", "records"))
        parts.append(Part(data, method, seed, settings, *places, code, tested))
    return parts


def evaluate_parts(parts: Sequence[Part], rules: Sequence[str]) -> list[Records]:
    """The records of all parts put together, for each rule."""
    return [concatenate(of_rule) for of_rule in zip(*(part.evaluate(rules) for part in parts))]
