"""The maps of any model as files: found at a path, matched with images by id, read one by one and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Real
from safetensors import SafetensorError, safe_open

from hclnet.data.files import SUFFIXES
from hclnet.types import Sample
from hclnet_runtime.text import as_clause

Read = Callable[[], np.ndarray]
"""Reads one map."""


@contextmanager
def open_maps(path: str | Path) -> Iterator[dict[str, Read]]:
    """The maps at a path by their id, each read when it is called for, while the context lasts.

    Args:
        path: a folder with `<image id>.npy` in it, at any depth; or one `.npz` or `.safetensors` file whose keys are
            the image ids.

    Raises:
        ValueError: there is nothing at the path, or no maps in it.
    """
    path, archive = Path(path), None
    if path.is_dir():
        files = sorted(p for p in path.rglob("*.npy") if p.is_file() and not p.name.startswith("."))
        maps = {p.relative_to(path).as_posix().removesuffix(".npy"): _npy(p) for p in files}
        wanted = "a .npy file for each image"
    elif not path.is_file():
        raise ValueError(f"There is nothing at {path}. Give a folder of .npy files, or one .npz or .safetensors file.")
    elif path.suffix == ".npz":
        archive = _opened_npz(path)
        maps, wanted = {name: partial(archive.__getitem__, name) for name in archive.files}, "an array for each image"
    elif path.suffix == ".safetensors":
        maps, wanted = _safetensors(path), "a tensor for each image"
    else:
        raise ValueError(f"{path} is not a file of maps: they come as .npz, .safetensors or a folder of .npy files.")
    try:
        if not maps:
            raise ValueError(f"There are no maps in {path}: it needs {wanted}, named by the image's id.")
        yield maps
    finally:
        if archive:
            archive.close()


def match_maps(maps: Mapping[str, Read], samples: Sequence[Sample], others: Sequence[Sample] = ()) -> list[Read]:
    """For each image its map: of the same id, or of one that differs only in an image's extension at the end.

    Args:
        maps: by id.
        samples: the images that are scored.
        others: images of the same data set that may have a map and are not scored.

    Raises:
        ValueError: an image has no map or several, or a map belongs to no image; the message has examples.
    """
    bare: dict[str, list[str]] = {}
    for name in maps:
        bare.setdefault(_bare(name), []).append(name)
    stems: dict[str, int] = {}
    for sample in samples:
        stems[_bare(sample.id)] = stems.get(_bare(sample.id), 0) + 1
    ids = {sample.id for sample in samples}
    chosen, missing = {}, []
    for sample in samples:
        like = [name for name in bare.get(_bare(sample.id), []) if name not in ids]
        if sample.id in maps:
            chosen[sample.id] = sample.id
        elif len(like) > 1 or (like and stems[_bare(sample.id)] > 1):
            raise ValueError(
                f"{sample.id} could be {' or '.join(like)}: there are several such images or maps. Name the maps by "
                "the images' whole ids."
            )
        elif like:
            chosen[sample.id] = like[0]
        else:
            missing.append(sample.id)
    known = set(chosen.values()) | {s.id for s in others}
    elsewhere = {_bare(s.id) for s in others}
    extra = [name for name in maps if name not in known and _bare(name) not in elsewhere]
    if missing or extra:
        parts = [f"{len(missing)} of the {len(samples)} images have no map: {_some(missing)}"] if missing else []
        parts += [f"{len(extra)} of the {len(maps)} maps belong to no image: {_some(extra)}"] if extra else []
        raise ValueError(
            f"{'. '.join(parts)}. Ids here look like {samples[0].id}; name the maps by them, with or without extension."
        )
    return [maps[chosen[sample.id]] for sample in samples]


def checked_maps(maps: Sequence[Read], samples: Sequence[Sample]) -> Iterator[Real[np.ndarray, "h w"]]:
    """The maps, read one after the other.

    Raises:
        ValueError: a map can't be read, is not height x width, or holds no numbers; the message has the image's id.
    """
    for sample, get in zip(samples, maps):
        try:
            map = get()
        except Exception as error:  # a damaged file can fail in any way
            raise ValueError(f"The map of {sample.id} can't be read: {as_clause(error)}. Write it again.") from None
        if map.ndim != 2 or 0 in map.shape:
            raise ValueError(
                f"The map of {sample.id} has shape {tuple(map.shape)}; it has to be height x width, one map of the "
                "image's true class."
            )
        if map.dtype.kind not in "fiub":
            raise ValueError(f"The map of {sample.id} holds {map.dtype}, not numbers; write it as float32.")
        other = {"b": np.uint8, "f": np.float64 if map.dtype.itemsize > 8 else map.dtype}.get(map.dtype.kind, map.dtype)
        with np.errstate(over="ignore"):  # what becomes infinite is refused as such
            yield map.astype(other, copy=False)


def _npy(path: Path) -> Read:
    return lambda: np.load(path, mmap_mode="r", allow_pickle=False)


def _opened_npz(path: Path) -> np.lib.npyio.NpzFile:
    try:
        return np.lib.npyio.NpzFile(path, allow_pickle=False)  # type: ignore[arg-type]  # takes paths too
    except Exception as error:  # a damaged archive can fail in any way
        raise ValueError(f"{path} can't be read: {as_clause(error)}. Write it again with numpy.savez.") from None


def _safetensors(path: Path) -> dict[str, Read]:
    try:
        archive = safe_open(path, framework="numpy")
        return {name: partial(archive.get_tensor, name) for name in archive.keys()}  # noqa: SIM118, it is not a dict
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} can't be read: {as_clause(error)}. Write it again with safetensors.") from None


def _bare(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in SUFFIXES else name


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
