"""A cache on disk of the features of a frozen backbone.

With `--tune heads` the backbone never changes, so the features of an image and of its mirror image are computed once
and kept, keyed by everything that they depend on. `HCLNET_CACHE` says where (default: the user's cache folder) and
`HCLNET_CACHE_GB` how much may lie there (default 20); the least recently used entries go first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from hclnet.backbones.backbone import Backbone, Features
from hclnet.caches import unwritable, writable
from hclnet.localizer.features import as_input, computed, computes_together, extract, image_batches, inference_batch
from hclnet.localizer.rows import Rows, RowWriter
from hclnet.types import Gray, Sample
from hclnet_runtime.caches import cache_home
from hclnet_runtime.data.images import OWN

Progress = Callable[[int, int], None]

_LAYOUT = 3  # of the cache; a change of how features are computed or stored changes it
_FEATURES = "features"
_USABLE = 0.9  # of a disk's free bytes
_STALE = 24 * 3600  # seconds


@dataclass(frozen=True, slots=True)
class FeatureStore:
    """Features of a list of images on disk.

    Attributes:
        plain, mirrored: by stage, n x h x w x c; bfloat16 is stored as its 16 bits.
        dtype: of the features.
    """

    plain: dict[str, Rows]
    mirrored: dict[str, Rows]
    dtype: torch.dtype

    def __len__(self) -> int:
        return len(next(iter(self.plain.values())))

    def batch(self, indices: Int64[np.ndarray, "b"], mirror: np.ndarray | None = None) -> Features:
        """Features of some images; of the mirror image where `mirror` says so."""
        features = {}
        for stage, plain in self.plain.items():
            if mirror is None or not mirror.any():
                rows = plain.read(indices)
            else:
                rows = np.empty((len(indices), *plain.shape[1:]), plain.dtype)
                rows[~mirror], rows[mirror] = plain.read(indices[~mirror]), self.mirrored[stage].read(indices[mirror])
            tensor = torch.from_numpy(rows)
            tensor = tensor.view(torch.bfloat16) if self.dtype == torch.bfloat16 else tensor
            features[stage] = tensor.permute(0, 3, 1, 2)
        return features


def cached_features(
    backbone: Backbone,
    stages: Sequence[str],
    samples: Sequence[Sample],
    size: int,
    dtype: torch.dtype,
    device: torch.device,
    mirror: bool = False,
    progress: Progress | None = None,
    gray: Gray = OWN,
) -> FeatureStore:
    """The features of a frozen backbone, from the cache or computed into it.

    Args:
        backbone: frozen; used in eval mode.
        stages: which stages' features.
        samples: the images, in the order of the store's rows.
        size: side of the square that they are resized to, pixels.
        mirror: also those of the mirror images.
        progress: called with images done and images in all; not at all where the cache has them.
        gray: as of `open_image`.

    Raises:
        ValueError: an image can't be read, the cache can't be written, or the disk has no room.
    """
    entry = cache_home() / _FEATURES / _key(backbone, stages, samples, size, dtype, device, mirror, gray)
    store = _open(entry, stages, dtype, mirror)
    if store is None:
        root = cache_root()
        shapes = _shapes(backbone, stages, size)
        need = sum(2 * np.prod(s) for s in shapes.values()) * dtype.itemsize * len(samples) * (1 + mirror) // 2
        _make_room(root, int(need))
        try:
            _compute(entry, backbone, shapes, samples, size, dtype, device, mirror, progress, gray)
        except OSError as error:
            raise unwritable(root, error) from error
        store = _open(entry, stages, dtype, mirror)
    assert store is not None and len(store) == len(samples)
    with suppress(OSError):
        os.utime(entry)  # least recently *used*
    return store


def _open(entry: Path, stages: Sequence[str], dtype: torch.dtype, mirror: bool) -> FeatureStore | None:
    """The features in an entry; None where there is none. One whose files are damaged is removed."""
    if not entry.is_dir():
        return None
    try:
        plain, mirrored = (
            {stage: Rows(entry / f"{kind}-{stage}.npy") for stage in wanted}
            for kind, wanted in (("plain", stages), ("mirrored", stages if mirror else ()))
        )
    except (OSError, ValueError):
        shutil.rmtree(entry, ignore_errors=True)
        return None
    return FeatureStore(plain, mirrored, dtype)


def _compute(
    entry: Path,
    backbone: Backbone,
    shapes: dict[str, tuple[int, ...]],
    samples: Sequence[Sample],
    size: int,
    dtype: torch.dtype,
    device: torch.device,
    mirror: bool,
    progress: Progress | None,
    gray: Gray,
) -> None:
    scratch = Path(tempfile.mkdtemp(prefix=f"{entry.name}.", suffix=".part", dir=entry.parent))
    storage = np.dtype(np.uint16 if dtype == torch.bfloat16 else np.float32)
    kinds = ("plain", "mirrored") if mirror else ("plain",)
    try:
        with ExitStack() as files:
            writers = {
                (kind, stage): files.enter_context(
                    RowWriter(scratch / f"{kind}-{stage}.npy", (len(samples), *shape), storage)
                )
                for kind in kinds
                for stage, shape in shapes.items()
            }
            frozen = backbone.folded().to(device).to(memory_format=torch.channels_last)

            def rows_of(images: UInt8[np.ndarray, "b s s 3"]) -> dict[tuple[str, str], np.ndarray]:
                x = as_input(images, backbone, device)
                return {
                    (kind, stage): _as_rows(value)
                    for kind in kinds
                    for stage, value in extract(
                        frozen, x.flip(3) if kind == "mirrored" else x, list(shapes), dtype
                    ).items()
                }

            done = 0
            with torch.inference_mode():
                images = image_batches((s.path for s in samples), size, inference_batch(device), gray)
                for found in computed(rows_of, images, computes_together(backbone, device, dtype)):
                    for key, rows in found.items():
                        writers[key].append(rows)
                    done += len(next(iter(found.values())))
                    if progress:
                        progress(done, len(samples))
        try:
            scratch.rename(entry)
        except OSError:  # another process was faster; its entry is the same
            if not entry.is_dir():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _as_rows(features: Float[Tensor, "b c h w"]) -> Shaped[np.ndarray, "b h w c"]:
    """Features as they are stored; bfloat16 as its 16 bits."""
    rows = features.permute(0, 2, 3, 1).contiguous().cpu()
    return (rows.view(torch.uint16) if rows.dtype == torch.bfloat16 else rows).numpy()


def _shapes(backbone: Backbone, stages: Sequence[str], size: int) -> dict[str, tuple[int, ...]]:
    device = next(backbone.parameters()).device
    with torch.inference_mode():
        features = backbone.eval()(torch.zeros(1, 3, size, size, device=device), stages)
    return {stage: (*features[stage].shape[2:], features[stage].shape[1]) for stage in stages}


def fingerprint(backbone: Backbone) -> str:
    """Of the backbone's weights and buffers."""
    digest = hashlib.sha256()
    for key, tensor in backbone.state_dict().items():
        digest.update(key.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _key(
    backbone: Backbone,
    stages: Sequence[str],
    samples: Sequence[Sample],
    size: int,
    dtype: torch.dtype,
    device: torch.device,
    mirror: bool,
    gray: Gray,
) -> str:
    files = [(os.fspath(s.path.resolve()), (stat := s.path.stat()).st_size, stat.st_mtime_ns) for s in samples]
    everything = {
        "layout": _LAYOUT,
        "torch": torch.__version__,
        "backbone": backbone.name,
        "weights": fingerprint(backbone),
        "strides": {name: info.stride for name, info in backbone.info.items()},
        "input": [backbone.mean, backbone.std, size],
        "stages": list(stages),
        "joined": list(backbone.levels[:-1]),
        "dtype": str(dtype),
        "device": device.type,
        "mirror": mirror,
        "gray": astuple(gray),
        "files": files,
    }
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()[:32]


def cache_root() -> Path:
    """The folder of the feature cache; made if need be.

    Raises:
        ValueError: it can't be written; the message says what to do.
    """
    return writable(cache_home() / _FEATURES)


def _make_room(root: Path, need: int) -> None:
    _sweep(root)
    limit = _limit()
    entries = sorted((p for p in root.iterdir() if p.is_dir() and p.suffix != ".part"), key=lambda p: p.stat().st_mtime)
    sizes = {p: _size(p) for p in entries}
    could_be_free = shutil.disk_usage(root).free + sum(sizes.values())
    if need > limit or need >= _USABLE * could_be_free:
        raise ValueError(
            f"The features would take {need / 1e9:.3g} GB in {root}: {could_be_free / 1e9:.3g} GB could be free there "
            f"and HCLNET_CACHE_GB allows {limit / 1e9:.3g}. Set HCLNET_CACHE to a larger disk and HCLNET_CACHE_GB, "
            f"take a smaller --size, or --tune all, which caches nothing."
        )
    for entry in entries:
        if sum(sizes.values()) + need <= limit and need < _USABLE * shutil.disk_usage(root).free:
            break
        shutil.rmtree(entry, ignore_errors=True)
        del sizes[entry]


def _limit() -> float:
    text = os.environ.get("HCLNET_CACHE_GB", "20")
    try:
        return float(text) * 1e9
    except ValueError:
        raise ValueError(f"HCLNET_CACHE_GB is {text!r}; set it to a number of gigabytes, such as 20.") from None


def _sweep(root: Path) -> None:
    """Remove what killed processes left half written: what nobody has written to for a day."""
    for part in root.glob("*.part"):
        with suppress(OSError):
            if time.time() - max(p.stat().st_mtime for p in (part, *part.iterdir())) > _STALE:
                shutil.rmtree(part)


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.iterdir())
