import os
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hclnet.backbones import build_backbone
from hclnet.localizer import cache as on_disk
from hclnet.localizer.cache import cache_root, cached_features
from hclnet.localizer.features import as_input, extract, image_batches
from hclnet.types import Sample

SIZE, COUNT, CPU = 32, 10, torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HCLNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HCLNET_CACHE_GB", raising=False)


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return build_backbone("efficientnet_lite0", 16)


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(COUNT):
        blots = rng.integers(0, 256, (4, 5, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
        Image.fromarray(blots).save(tmp_path / f"{k}.png")
    return [Sample(str(k), tmp_path / f"{k}.png", k % 2, "train") for k in range(COUNT)]


class Cache:
    """`cached_features` with settings to change one by one; counts the images that were computed."""

    def __init__(self, backbone, samples):
        self.given = {
            "backbone": backbone, "stages": ("stage3", "stage5"), "samples": samples, "size": SIZE,
            "dtype": torch.float32, "device": CPU, "mirror": False,
        }  # fmt: skip
        self.computed = 0

    def get(self, **changes):
        def report(done, total):
            self.computed = done

        self.computed = 0
        return cached_features(**{**self.given, **changes}, progress=report)


@pytest.fixture
def cache(backbone, samples):
    return Cache(backbone, samples)


def entries():
    return sorted(cache_root().iterdir())


def slowly(backbone, sample, stage, size=SIZE, mirror=False):
    """One image's features by the backbone itself, with its batch norms."""
    pixels = np.asarray(Image.open(sample.path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    x = (x - torch.tensor(backbone.mean).view(3, 1, 1)) / torch.tensor(backbone.std).view(3, 1, 1)
    with torch.no_grad():
        return backbone.eval()((x.flip(2) if mirror else x)[None], [stage])[stage][0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_holds_the_features_of_each_image_and_its_mirror_image(cache, backbone, samples, dtype):
    store = cache.get(mirror=True, dtype=dtype)
    assert len(store) == COUNT
    order = np.array([7, 0, 7, 3])
    flipped = np.array([False, True, True, False])
    for mirror in (None, flipped):
        batch = store.batch(order, mirror)
        for stage, (row, i) in product(cache.given["stages"], enumerate(order)):
            expected = slowly(backbone, samples[i], stage, mirror=mirror is not None and bool(mirror[row]))
            assert batch[stage].dtype == dtype
            if dtype == torch.float32:
                torch.testing.assert_close(batch[stage][row], expected, atol=1e-4, rtol=1e-3)
            else:  # eight bits a step through the whole backbone
                error = batch[stage][row].float() - expected
                assert error.square().mean() < 0.01 * expected.square().mean()


def test_what_is_there_is_not_computed_again(cache):
    first = cache.get()
    assert cache.computed == COUNT
    again = cache.get()
    assert cache.computed == 0 and len(entries()) == 1
    for stage in first.plain:
        np.testing.assert_array_equal(first.plain[stage].read(), again.plain[stage].read())


def other_weights(cache):
    backbone = build_backbone("efficientnet_lite0", 16)
    with torch.no_grad():
        next(backbone.parameters())[0, 0, 0, 0] += 1e-3
    return {"backbone": backbone}


def other_statistics(cache):
    backbone = build_backbone("efficientnet_lite0", 16)
    next(b for name, b in backbone.named_buffers() if name.endswith("running_mean"))[0] += 1e-3
    return {"backbone": backbone}


def touched(cache):
    path = cache.given["samples"][3].path
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    return {}


def grown(cache):
    path = cache.given["samples"][3].path
    before = path.stat()
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return {}


def moved(cache):
    first, *rest = cache.given["samples"]
    copy = first.path.with_name("copy.png")
    shutil.copy2(first.path, copy)
    return {"samples": [Sample(first.id, copy, first.label, first.split), *rest]}


CHANGES = {
    "another image size": lambda cache: {"size": SIZE + 32},
    "other stages": lambda cache: {"stages": ("stage5",)},
    "another type": lambda cache: {"dtype": torch.bfloat16},
    "the mirror images too": lambda cache: {"mirror": True},
    "another output stride": lambda cache: {"backbone": build_backbone("efficientnet_lite0", 8)},
    "other weights": other_weights,
    "other batch statistics": other_statistics,
    "another order": lambda cache: {"samples": cache.given["samples"][::-1]},
    "fewer images": lambda cache: {"samples": cache.given["samples"][:-1]},
    "a file written anew": touched,
    "a file of another length": grown,
    "a file elsewhere": moved,
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_the_features_depend_on_makes_another_entry(cache, change):
    cache.get()
    changes = CHANGES[change](cache)
    cache.get(**changes)
    assert cache.computed == len(changes.get("samples", cache.given["samples"])) and len(entries()) == 2
    cache.get(**changes)
    assert cache.computed == 0


def test_labels_and_splits_do_not_matter(cache):
    cache.get()
    cache.get(samples=[Sample(f"x{s.id}", s.path, 1 - s.label, "test") for s in cache.given["samples"]])
    assert cache.computed == 0


def test_a_backbone_in_training_mode_makes_the_same_features(cache, backbone):
    first = cache.get()
    shutil.rmtree(cache_root())
    backbone.train()
    again = cache.get()
    for stage in first.plain:
        np.testing.assert_array_equal(first.plain[stage].read(), again.plain[stage].read())


class Killed(BaseException):
    pass


def test_what_is_half_written_is_never_used(cache, monkeypatch):
    written = on_disk.extract

    def dying(*args):
        if cache.computed:
            raise Killed
        return written(*args)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(on_disk, "extract", dying)
        patch.setattr(on_disk.shutil, "rmtree", lambda *args, **kwargs: None)  # a killed process tidies nothing
        cache.get()
    (half,) = entries()
    assert half.suffix == ".part" and any(half.iterdir())
    cache.get()
    assert cache.computed == COUNT
    assert half.is_dir(), "another process may still be writing to it"


def test_an_error_leaves_nothing_behind(cache):
    bad = cache.given["samples"][-1].path
    bad.write_bytes(b"no image")
    with pytest.raises(ValueError, match=f"{bad} is not an image"):
        cache.get()
    assert not entries()


def test_what_a_killed_process_left_goes_after_a_day(cache, monkeypatch):
    old, young = (cache_root() / f"{name}.part" for name in ("old", "young"))
    for part in (old, young):
        part.mkdir()
        (part / "plain-stage5.npy").write_bytes(b"half")
    for path in (old / "plain-stage5.npy", old):
        os.utime(path, (1e9, 1e9))
    os.utime(young, (1e9, 1e9))  # but somebody writes to the file in it
    cache.get()
    assert not old.exists() and young.exists()


@pytest.mark.parametrize("damage", ["missing", "empty", "cut off"])
def test_a_damaged_entry_is_made_anew(cache, damage):
    whole = {stage: rows.read() for stage, rows in cache.get().plain.items()}
    file = entries()[0] / "plain-stage5.npy"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:1000] if damage == "cut off" else b"")
    store = cache.get()
    assert cache.computed == COUNT
    for stage in whole:
        np.testing.assert_array_equal(store.plain[stage].read(), whole[stage])


def test_another_process_that_was_faster_is_believed(cache, monkeypatch):
    rename = Path.rename

    def beaten(self, target):
        shutil.copytree(self, target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", beaten)
    assert len(cache.get()) == COUNT and len(entries()) == 1


def size_of_an_entry(cache):
    cache.get()
    (entry,) = entries()
    total = sum(f.stat().st_size for f in entry.iterdir())
    shutil.rmtree(entry)
    return total


def test_the_least_recently_used_goes_first(cache, monkeypatch):
    each = size_of_an_entry(cache)
    monkeypatch.setenv("HCLNET_CACHE_GB", str(2.5 * each / 1e9))
    a, b, c = ({"samples": cache.given["samples"][k:] + cache.given["samples"][:k]} for k in (1, 2, 3))
    for k, which in enumerate((a, b)):
        cache.get(**which)
        (new,) = (e for e in entries() if e.stat().st_mtime > 1e6)
        os.utime(new, (1000 + k, 1000 + k))
    cache.get(**a)  # used just now: b is the older one
    cache.get(**c)
    assert cache.computed == COUNT and len(entries()) == 2
    cache.get(**a)
    assert cache.computed == 0
    cache.get(**b)
    assert cache.computed == COUNT


def test_without_room_nothing_is_thrown_away(cache, monkeypatch):
    each = size_of_an_entry(cache)
    cache.get()
    monkeypatch.setenv("HCLNET_CACHE_GB", str(1.5 * each / 1e9))
    with pytest.raises(ValueError, match=r"The features would take .* GB in .*Set HCLNET_CACHE to a larger disk"):
        cache.get(mirror=True)
    cache.get()
    assert cache.computed == 0


def test_a_full_disk_is_said_before_it_is_full(cache, monkeypatch):
    usage = shutil.disk_usage(Path.cwd())
    monkeypatch.setattr(on_disk.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ValueError, match=r"1e-06 GB could be free there and HCLNET_CACHE_GB allows 20\. Set"):
        cache.get()
    assert not entries()


def test_a_limit_that_is_no_number_is_named(cache, monkeypatch):
    monkeypatch.setenv("HCLNET_CACHE_GB", "much")
    with pytest.raises(ValueError, match="HCLNET_CACHE_GB is 'much'; set it to a number of gigabytes"):
        cache.get()


@pytest.mark.parametrize("batch", [1, 3, 10, 64])
def test_batches_come_in_order(samples, batch):
    whole = np.concatenate(list(image_batches([s.path for s in samples], 16, batch)))
    for pixels, sample in zip(whole, samples, strict=True):
        one = Image.open(sample.path).resize((16, 16), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(pixels, np.asarray(one))


def test_no_images_make_no_batch():
    assert list(image_batches([], 16, 4)) == []


def test_extract_computes_in_the_type_that_it_returns(backbone):
    x = as_input(np.zeros((1, SIZE, SIZE, 3), np.uint8), backbone, CPU)
    assert x.min() == x.max() == -1
    for dtype in (torch.float32, torch.bfloat16):
        assert extract(backbone, x, ["stage2"], dtype)["stage2"].dtype == dtype
