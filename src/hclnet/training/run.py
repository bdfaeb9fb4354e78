"""One training, in a run folder that is usable and resumable at every moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from hclnet.config import RunConfig
from hclnet.data.scales import described, learn_gray
from hclnet.device import PRECISIONS, check_devices, precision_name, resolve_precision
from hclnet.localizer.cache import cached_features
from hclnet.localizer.localizer import Localizer
from hclnet.maps.augmentation import View
from hclnet.progress import bar
from hclnet.storage import check_writable, write_json
from hclnet.training.batches import FeatureBatches, ImageBatches, check_divides
from hclnet.training.fitting import Fit, fit
from hclnet.training.folder import TrainResult, precision_of
from hclnet.training.foreground import learn_missing
from hclnet.training.together import fit_together
from hclnet.types import Log, Sample


def train_run(
    config: RunConfig,
    classes: tuple[str, ...],
    samples: Sequence[Sample],
    out: Path,
    label: str = "Training",
    log: Log | None = None,
) -> TrainResult:
    """Train a localizer in a prepared run folder, from its last checkpoint if it has one.

    Args:
        config: what to train.
        classes: names, by label.
        samples: the training images; they carry labels and nothing else.
        out: the run folder, as `prepare_run` left it.
        label: for the progress bar.
        log: called with lines for a person.

    Raises:
        ValueError: the configuration asks for what does not exist, an image can't be read, or the loss diverged.
    """
    started = time.monotonic()
    localizer = Localizer.from_config(config, classes)
    check_devices(config.devices, localizer.device)
    check_divides(len(samples), config.batch, config.devices)
    chosen = resolve_precision(config.precision, localizer.device, training=True)
    localizer.trained_precision = precision_of(out) or precision_name(chosen)
    localizer.dtype = dtype = PRECISIONS[localizer.trained_precision]
    check_writable(out, _room(localizer, config))
    method, store = localizer.method, None
    localizer.gray = learn_gray((s.path for s in samples), config.gray_max)
    if log:
        for line in described(localizer.gray):
            log(line)
    dataset: FeatureBatches | ImageBatches
    if config.tune == "heads":
        with bar(f"Features at {config.size} px") as report:
            store = cached_features(
                localizer.backbone,
                method.in_features,
                samples,
                config.size,
                dtype,
                localizer.device,
                True,
                progress=report,
                gray=localizer.gray,
            )
        dataset = FeatureBatches(store, samples, len(classes), config.seed)
    else:
        dataset = ImageBatches(samples, config.size, len(classes), config.seed, localizer.gray)
    fitted = _fit(localizer, config, dataset, out, label)
    localizer.to(localizer.device).dtype = dtype  # what an object's features are is learned as all the rest was
    learn_missing(localizer, samples, [View(localizer.size), *localizer.views], store)
    localizer.save(out / "localizer")
    localizer.to(localizer.device)
    seconds = time.monotonic() - started
    state = {"finished": fitted.finished, "epochs": fitted.epochs, "seconds": seconds}
    write_json(out / "state.json", state)
    return TrainResult(localizer, fitted.finished, fitted.epochs, seconds)


def _fit(localizer: Localizer, config: RunConfig, dataset: FeatureBatches | ImageBatches, out: Path, label: str) -> Fit:
    """Teach a localizer, in this process or in as many as there are to be devices."""
    with bar(label, unit="steps") as report:
        if config.devices == 1:
            return fit(localizer, config, dataset, out, report)
        return fit_together(localizer, config, dataset, out, report)


def _room(localizer: Localizer, config: RunConfig) -> int:
    """Bytes that a run folder takes at most: the localizer, and two checkpoints while one gives way to the next."""
    parts = (localizer.backbone, localizer.method)
    sizes = [sum(t.numel() * t.element_size() for t in part.state_dict().values()) for part in parts]
    learned = sum(sizes) if config.tune == "all" else sizes[1]
    return int(sum(sizes) + 2 * 3 * learned)  # a checkpoint has weights and the optimizer's two moments
