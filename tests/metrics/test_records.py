import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from hclnet.metrics import Hclnet, Table, WsolEval, concatenate, load_records, save
from hclnet.types import Records, Sample
from hclnet_runtime.boxes import Evidence, parse_rule


def some_records(n, classes=5, seed=0, bins=0, protocol="hclnet"):
    rng = np.random.default_rng(seed)
    top = np.argsort(rng.random((n, classes)), axis=1)
    values = rng.random(n)
    values[::3] = np.nan
    return Records(
        ids=[f"{seed}/bird é {i}" for i in range(n)],
        paths=[f"/data/{'x' * i}.jpg" for i in range(n)],
        labels=rng.integers(0, classes, n),
        sizes=rng.integers(1, 999, (n, 2)),
        top_classes=top,
        top_scores=rng.random((n, classes)).astype(np.float32),
        rank=rng.integers(0, classes, n),
        boxes=rng.random((n, 4)),
        iou=values,
        level_iou=rng.random((n, 256)) + 0 * values[:, None],
        level_best=rng.random((n, 256)) + 0 * values[:, None],
        inside=rng.integers(0, 99, (n, bins)),
        outside=rng.integers(0, 99, (n, bins)),
        protocol=protocol,
    )


def assert_equal(a, b):
    for field in fields(Records):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert type(x) is type(y)
        if isinstance(x, list | str):
            assert x == y
        else:
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(("n", "bins", "protocol"), [(0, 0, "hclnet"), (1, 256, "hclnet"), (7, 1001, "wsoleval")])
def test_what_is_saved_is_what_is_loaded(tmp_path, n, bins, protocol):
    records = some_records(n, bins=bins, protocol=protocol)
    save(records, tmp_path / "records.npz")
    assert_equal(load_records(tmp_path / "records.npz"), records)
    assert [p.name for p in tmp_path.iterdir()] == ["records.npz"]


def test_the_file_has_the_very_name_given_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "records.part0"
    save(some_records(2), str(path))
    save(some_records(3, seed=1), str(path))
    assert_equal(load_records(str(path)), some_records(3, seed=1))
    assert [p.name for p in tmp_path.iterdir()] == ["records.part0"]


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "records.npz"
    save(some_records(2), path)

    def fail(file, **columns):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(ValueError, match=r"records\.npz can't be written: disk full"):
        save(some_records(3), path)
    assert_equal(load_records(path), some_records(2))
    assert [p.name for p in tmp_path.iterdir()] == ["records.npz"]


def test_nothing_is_pickled(tmp_path):
    save(some_records(3), tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "Uif" for name in stored.files)


@pytest.mark.parametrize("content", [b"", b"hello, this is not an archive", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "records.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"records\.npz is not a readable records file"):
        load_records(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "records.npz"
    save(some_records(5), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="not a readable"):
        load_records(path)


def test_a_file_with_a_flipped_byte_is_refused(tmp_path):
    path = tmp_path / "records.npz"
    save(some_records(5), path)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("level_iou.npy")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a readable"):
        load_records(path)


def test_another_archive_is_refused_with_the_columns(tmp_path):
    np.savez(tmp_path / "other.npz", ids=np.zeros(3), scores=np.zeros(3))
    with pytest.raises(ValueError, match=r"missing columns \['boxes'.*unknown columns \['scores'\]"):
        load_records(tmp_path / "other.npz")


def test_columns_of_different_lengths_are_refused(tmp_path):
    records = some_records(4)
    records.rank = records.rank[:3]
    save(records, tmp_path / "r.npz")
    with pytest.raises(ValueError, match="different lengths"):
        load_records(tmp_path / "r.npz")


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_records(tmp_path / "none.npz")


def test_concatenate_keeps_order_and_types():
    parts = [some_records(3, seed=1), some_records(0), some_records(2, seed=2)]
    whole = concatenate(parts)
    assert len(whole) == 5 and whole.ids == parts[0].ids + parts[2].ids
    np.testing.assert_array_equal(whole.level_best, np.concatenate([p.level_best for p in parts]))
    assert whole.top_scores.dtype == np.float32
    assert_equal(concatenate([whole]), whole)
    assert parts[0].ids == some_records(3, seed=1).ids


def test_concatenate_refuses_nothing_different_classifiers_and_different_protocols():
    with pytest.raises(ValueError, match="no records"):
        concatenate([])
    with pytest.raises(ValueError, match="top 2 and the top 5"):
        concatenate([some_records(1), some_records(1, classes=2)])
    with pytest.raises(ValueError, match="hclnet and wsoleval"):
        concatenate([some_records(1), some_records(1, protocol="wsoleval")])


@pytest.mark.parametrize("protocol", [Hclnet(map_size=20), WsolEval(map_size=20)])
def test_a_table_is_filled_in_any_order_and_has_boxes_in_image_pixels(protocol):
    samples = [Sample(f"{i}", Path(f"{i}.jpg"), i, "test") for i in range(3)]
    table = Table(samples, np.array([[40, 60], [20, 20], [10, 20]]), protocol, masks=True)
    levels = np.zeros((20, 20), dtype=np.uint8)
    levels[4:8, 10:16] = 255
    ground_truth = np.array([[10, 4, 16, 8]])
    counts = np.arange(protocol.bins), np.ones(protocol.bins, dtype=np.int64)
    for row in (2, 0, 1):
        (found,) = protocol.locate(Evidence(levels), ground_truth[: row != 1], [parse_rule("fixed:0.5")])
        table.put(row, found, counts if row == 2 else None)
    records = table.records()
    assert records.boxes.tolist() == [[20, 12, 32, 24], [10, 4, 16, 8], [5, 4, 8, 8]]
    assert np.isnan(records.iou).tolist() == [False, True, False]
    assert (records.level_iou[0, :255] == records.iou[0]).all() and records.level_iou[0, 255] == 0
    assert records.inside[2].tolist() == counts[0].tolist() and not records.inside[:2].any()
    assert records.protocol == protocol.name and records.rank.tolist() == [-1] * 3
    classified = table.records(np.zeros((3, 2), np.int64), np.zeros((3, 2)), np.array([0, 1, 0]))
    assert classified.rank.tolist() == [0, 1, 0] and classified.iou is records.iou
