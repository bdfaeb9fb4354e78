"""An exported model: a file with the network of a run, and in its metadata all that is needed besides."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hclnet_runtime.boxes import parse_normalization, parse_rule
from hclnet_runtime.engines import Arrays, Engine, open_engine
from hclnet_runtime.locating import Known, MapRow, Settings, check_finite, localization, targets_of
from hclnet_runtime.pictures import Picture, as_picture, decoded_at, in_threads
from hclnet_runtime.request import as_classes, as_count, check_list
from hclnet_runtime.text import shown
from hclnet_runtime.types import Gray, Localization

FORMAT = 1
"""Of the inputs, outputs and metadata of a file, as `docs/deploy.md` has it."""

_MOST_AT_A_TIME = 8  # images: each takes some megabytes
_NEEDED = ("format", "hclnet", "method", "backbone", "classes", "size", "sides", "outlined", "inference", "precision")
_OUTPUTS = frozenset({"probabilities", "classes_used", "maps", "branches"})


def load(path: str | Path, threads: int | None = None) -> Model:
    """The model in a file that `hclnet export` wrote: `load("mine.onnx").locate("photo.jpg").box`.

    Args:
        path: of the file: `.onnx`, which ONNX Runtime computes, or `.xml`, which OpenVINO computes.
        threads: that compute; all processors by default.

    Raises:
        ValueError: it is no such file, or of a newer version, or the library that computes it is not installed.
    """
    threads = None if threads is None else as_count("threads", threads)
    path = Path(path)
    engine = open_engine(path, threads)
    return Model(path, engine, _read(path, engine), threads)


class Model:
    """A network that was exported, ready to use.

    Attributes:
        path: of its file.
        classes: names, in the order of the probabilities.
        about: what its file says of it: `method`, `backbone`, `precision`, `fingerprint` and more.
        inference: all settings, by the names of `hclnet.Inference`.
        engine: the name of the library that computes it.
        sides: of the squares that it sees an image as, pixels.
        batch: how many images `locate_batch` works on at a time.
    """

    def __init__(self, path: Path, engine: Engine, about: Mapping[str, Any], threads: int | None = None) -> None:
        self.path, self.about, self._engine = path, dict(about), engine
        self.classes: tuple[str, ...] = tuple(about["classes"])
        self.gray = Gray.of(about.get("gray"))
        self.inference: dict[str, Any] = dict(about["inference"])
        self.engine = engine.name
        self.batch = min(threads or os.cpu_count() or 1, _MOST_AT_A_TIME)
        self._sides: list[int] = list(about["sides"]["image"])
        self._crops: int | None = about["sides"]["crops"]
        self.sides = tuple(self._sides if self._crops is None else [*self._sides, self._crops])
        self._outlined = bool(about["outlined"])
        self._settings = _checked(Settings.of(self.inference), self.classes)
        self._check_rule()

    def __repr__(self) -> str:
        return f"<{self.about['method']} on {self.about['backbone']}, {len(self.classes)} classes, by {self.engine}>"

    def with_inference(self, **changes: Any) -> Model:
        """The same network with other settings of boxes, such as `box="fixed:0.2"` or `min_score=0.5`.

        Raises:
            ValueError: a setting is unknown or impossible, or it is settled in the network.
        """
        other = copy(self)
        free = asdict(self._settings)
        for name, value in changes.items():
            if name not in self.inference:
                raise ValueError(f"There is no setting {name}. There are {', '.join(sorted(self.inference))}.")
            fixed = name not in free or (name == "map_size" and self.inference["upsample_first"])
            if fixed and _listed(value) != _listed(self.inference[name]):
                raise ValueError(
                    f"{name}={value}: {shown(self.path)} was exported with {name}={self.inference[name]}, which is "
                    "settled in its network. Export the run again with the other one."
                )
        other.inference = {**self.inference, **changes}
        settings = replace(self._settings, **{name: value for name, value in changes.items() if name in free})
        other._settings = _checked(settings, self.classes)
        other._check_rule()
        return other

    def locate(
        self, image: Any, top: int = 1, classes: Iterable[str] | None = None, max_objects: int = 1
    ) -> Localization:
        """Classify an image and box the objects of each class; of an image that is predicted to show none, nothing.

        Args:
            image: the path of a file, a Pillow image, or an H x W x 3 uint8 array.
            top: box the `top` most probable classes.
            classes: box these instead, as far as they are there: see the setting `min_score`. The background class is
                never boxed.
            max_objects: how many objects of each class there may be; see `hclnet_runtime.boxes.objects`.

        Raises:
            ValueError: the image can't be read, a class is unknown, or an argument is of the wrong kind.
        """
        asked = self._asked(top, classes, max_objects)
        return self._located(as_picture(image, self.gray), *asked)

    def locate_batch(
        self, images: Any, top: int = 1, classes: Iterable[str] | None = None, max_objects: int = 1
    ) -> list[Localization]:
        """Box the objects in each of several images: the same as `locate` one by one, some of them at a time.

        Args:
            images: a list or another iterable of images. A generator is taken a few images ahead.
            top: as for `locate`.
            classes: as for `locate`.
            max_objects: as for `locate`.

        Returns:
            One result for each image, in order.

        Raises:
            ValueError: as `locate`; where an image is the reason, the message has its place in the list, from 0.
        """
        check_list(images)
        asked = self._asked(top, classes, max_objects)

        def located(numbered: tuple[int, Any]) -> Localization:
            return self._located(decoded_at(*numbered, self.sides, self.gray), *asked)

        with ThreadPoolExecutor(self.batch) as pool:
            return list(in_threads(located, enumerate(images), pool, self.batch))

    def _asked(self, top: Any, classes: Any, max_objects: Any) -> tuple[int, list[int] | None, int]:
        names = as_classes(classes, self.classes)
        given = None if names is None else [self.classes.index(name) for name in names]
        return as_count("top", top), given, as_count("max_objects", max_objects)

    def _located(self, picture: Picture, top: int, given: Sequence[int] | None, max_objects: int) -> Localization:
        known = Known(self.classes, self.gray, self._settings)
        squares = {f"image_{side}": picture.square(side)[None] for side in self._sides}
        if self._crops is not None:
            squares[f"crops_{self._crops}"] = picture.square(self._crops)[None]
        answer = self._answer(squares, [-1] if given is None else given)
        probabilities, found = answer["probabilities"][0], dict(self._rows(answer))
        targets = targets_of(known, probabilities, top, given)
        if lacking := [k for k in targets.tolist() if k not in found]:
            found |= self._rows(self._answer(squares, lacking))
        rows = [found[k] for k in targets.tolist()]
        return localization(known, picture, probabilities, targets, rows, max_objects)

    def _answer(self, squares: Arrays, classes: Sequence[int]) -> Arrays:
        return self._engine.run({**squares, "classes": np.array([classes], dtype=np.int64)})

    def _rows(self, answer: Arrays) -> Iterator[tuple[int, MapRow]]:
        """The classes of an answer of one image, and what it says of each."""
        check_finite(answer["maps"])
        maps, grids = answer["maps"][0], answer.get("grids", answer["maps"])[0]
        foreground, features = (answer[name][0] if name in answer else None for name in ("foreground", "features"))
        for place, k in enumerate(answer["classes_used"][0].tolist()):
            score = None if foreground is None else foreground[place]
            yield k, MapRow(maps[place], grids[place], answer["branches"][0][place], score, features, self._outlined)

    def _check_rule(self) -> None:
        if "features" in parse_rule(self._settings.box).needs and "features" not in self._engine.outputs:
            raise ValueError(
                f"The box rule {self._settings.box} needs the backbone's features, which {shown(self.path)} does not "
                "give. Export the run again with this rule."
            )


def _read(path: Path, engine: Engine) -> dict[str, Any]:
    """What hclnet wrote into a file, checked.

    Raises:
        ValueError: it is not a file of hclnet's, or of a newer version.
    """
    name = shown(path)
    if engine.about is None:
        raise ValueError(f"{name} was not exported by hclnet: it has no classes and settings. Use hclnet export RUN.")
    try:
        about = json.loads(engine.about)
    except ValueError:
        about = None
    if not isinstance(about, dict) or not isinstance(about.get("format"), int):
        raise ValueError(f"{name} has settings of hclnet that can't be read. Export the run again.")
    if about["format"] != FORMAT:
        raise ValueError(
            f"{name} was written by hclnet {about.get('hclnet')} in format {about['format']}, and this hclnet-runtime "
            f"reads format {FORMAT}. Install a newer one:  pip install --upgrade hclnet-runtime"
        )
    lacking = [key for key in _NEEDED if key not in about]
    try:
        squares = {f"image_{side}" for side in about["sides"]["image"]}
        crops = about["sides"]["crops"]
        wanted = squares | {"classes"} | (set() if crops is None else {f"crops_{crops}"})
        Settings.of(about["inference"])
    except (KeyError, TypeError) as error:
        lacking.append(str(error))
        wanted = set(engine.inputs)
    if lacking or wanted != engine.inputs or not engine.outputs >= _OUTPUTS:
        what = f"no {lacking[0]}" if lacking else f"inputs {', '.join(sorted(engine.inputs))}"
        raise ValueError(f"{name} has settings of hclnet that don't belong to it: {what}. Export the run again.")
    return about


def _listed(value: Any) -> Any:
    """As JSON would give it back."""
    return list(value) if isinstance(value, tuple) else value


def _checked(settings: Settings, classes: Sequence[str]) -> Settings:
    """Raises:
    ValueError: a setting is impossible.
    """
    parse_rule(settings.box)
    parse_normalization(settings.cam_normalization)
    if settings.upsampling not in ("bilinear", "bicubic"):
        raise ValueError(f"upsampling={settings.upsampling}: there are bilinear and bicubic.")
    if isinstance(settings.map_size, bool) or not isinstance(settings.map_size, int) or settings.map_size < 8:
        raise ValueError(f"map_size={settings.map_size}: it has to be a whole number, 8 or more.")
    if not isinstance(settings.min_score, int | float) or not 0 <= settings.min_score <= 1:
        raise ValueError(f"min_score={settings.min_score}: it has to be a number from 0 to 1.")
    if settings.background_class is not None and settings.background_class not in classes:
        raise ValueError(f"background_class={settings.background_class}: there is no such class.")
    return settings
