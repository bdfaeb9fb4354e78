"""What a finished run still lacks: no training, only what the box rule `auto` needs at more sizes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from hclnet.config import RunConfig
from hclnet.data.record import read_json
from hclnet.localizer.localizer import Localizer
from hclnet.maps.augmentation import View, views
from hclnet.training.folder import TrainResult
from hclnet.training.foreground import learn_missing
from hclnet.types import Log, Sample


def complete_run(
    config: RunConfig,
    localizer: Localizer,
    samples: Sequence[Sample],
    out: Path,
    log: Log | None = None,
) -> TrainResult:
    """Add to a finished run what the box rule `auto` needs at the sizes of a configuration, as far as it lacks it.

    Settings of maps and boxes that differ from those that the run was begun with become the localizer's, but for
    `scales`: a size is added, and the run's own scales stay. So does what was calibrated.

    Args:
        config: with the new settings.
        localizer: of the run.
        samples: the training images.
        out: the run folder.
        log: called with a line for a person.

    Raises:
        ValueError: the maps at a size are all flat and teach nothing.
    """
    started = time.monotonic()
    seen = [View(localizer.size), *localizer.views, *views(config.inference, localizer.size)]
    lacking = sorted({view.size for view in seen} - set(localizer.foreground))
    learn_missing(localizer, samples, seen)
    if localizer.foreground and (flat := set(lacking) - set(localizer.foreground)):
        sides = ", ".join(f"{side} px" for side in sorted(flat))
        raise ValueError(
            f"At {sides} the maps of {out} are flat and teach nothing. Take another box rule there: otsu3."
        )
    stored = RunConfig.load(out / "config.yaml")
    before, now = stored.inference.model_dump(), config.inference.model_dump()
    changes = {key: value for key, value in now.items() if value != before[key] and key != "scales"}
    if changes:
        localizer = localizer.with_inference(**changes)
        stored.model_copy(update={"inference": stored.inference.model_copy(update=changes)}).write(out / "config.yaml")
    if changes or lacking:
        localizer.save(out / "localizer")
    if log:
        sides = " and ".join(f"{side} px" for side in lacking)
        log(f"Learned the foreground score at {sides}." if lacking else f"{out} has all that it needs.")
    epochs = int(read_json(out / "state.json").get("epochs", stored.epochs))
    return TrainResult(localizer, True, epochs, time.monotonic() - started, trained=False)
