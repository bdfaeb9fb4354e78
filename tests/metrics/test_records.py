import zipfile
from dataclasses import fields

import numpy as np
import pytest

from hclnet.boxes import component_tree, iou, parse_rule
from hclnet.metrics import concatenate, load_records, localisation_row, save
from hclnet.types import Records


def some_records(n, classes=5, seed=0):
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
    )


def assert_equal(a, b):
    for field in fields(Records):
        x, y = getattr(a, field.name), getattr(b, field.name)
        assert type(x) is type(y)
        if isinstance(x, list):
            assert x == y
        else:
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_what_is_saved_is_what_is_loaded(tmp_path, n):
    records = some_records(n)
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
    with pytest.raises(OSError, match="disk full"):
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


def test_concatenate_refuses_nothing_and_different_classifiers():
    with pytest.raises(ValueError, match="no records"):
        concatenate([])
    with pytest.raises(ValueError, match="top 2 and the top 5"):
        concatenate([some_records(1), some_records(1, classes=2)])


def two_plateaus():
    levels = np.zeros((10, 10), dtype=np.uint8)
    levels[0:2, 0:2] = 200
    levels[4:8, 4:10] = 100
    return levels


def test_a_localisation_row_by_hand():
    levels = two_plateaus()
    truth = np.array([[0, 0, 2, 4], [4, 4, 10, 10.0]])
    box, value, level_iou, level_best = localisation_row(levels, component_tree(levels), truth, parse_rule("fixed:0.2"))
    assert box.tolist() == [4, 4, 10, 8]
    assert value == pytest.approx(24 / 36)
    np.testing.assert_allclose(level_iou, [24 / 36] * 100 + [0.5] * 100 + [0] * 56)
    np.testing.assert_allclose(level_best, [24 / 36] * 100 + [0.5] * 100 + [0] * 56)

    # Only the small plateau has a true box: level_best finds it beside the large one, level_iou does not.
    _, value, level_iou, level_best = localisation_row(
        levels, component_tree(levels), truth[:1], parse_rule("fixed:0.5")
    )
    assert value == 0.5
    np.testing.assert_allclose(level_iou, [0] * 100 + [0.5] * 100 + [0] * 56)
    np.testing.assert_allclose(level_best, [0.5] * 200 + [0] * 56)


@pytest.mark.parametrize("text", ["fixed:0.1", "fixed:0.9", "otsu3"])
def test_a_localisation_row_agrees_with_itself(text):
    levels = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    truth, rule = np.array([[3.5, 2, 20, 18.25], [0, 0, 30, 20]]), parse_rule(text)
    box, value, level_iou, level_best = localisation_row(levels, component_tree(levels), truth, rule)
    assert value == level_iou[rule.level(levels)] == iou(box[None], truth).max()
    assert (level_best >= level_iou).all() and level_best.max() > 0


def test_a_localisation_row_without_truth_has_a_box_and_nan():
    levels = two_plateaus()
    row = localisation_row(levels, component_tree(levels), np.zeros((0, 4)), parse_rule("fixed:0.2"))
    assert row[0].tolist() == [4, 4, 10, 8]
    assert all(np.isnan(column).all() for column in row[1:])
