"""The metric objects: the command line's numbers to the last digit, in one process or several; mistakes are said."""

from __future__ import annotations

import copy
import doctest
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics import Metric, MetricCollection

from hclnet.data import read
from hclnet.metrics import compute_metrics, true_class_ranks
from hclnet.torchmetrics import BoxAccV2, GTKnownLoc, MaxBoxAcc, MaxBoxAccV2, PxAP, TopKLoc, boxes, pixels
from hclnet.workflows.score import Score, score
from reference import wsoleval

SIDE = 64
PROTOCOLS = ["hclnet", "wsoleval"]
KEYS = {
    MaxBoxAcc: "max_box_acc", MaxBoxAccV2: "max_box_acc_v2", GTKnownLoc: "gt_known", BoxAccV2: "box_acc_v2",
    PxAP: "pxap",
}  # fmt: skip


class Batch(NamedTuple):
    """Some images, as a loop has them."""

    maps: torch.Tensor
    boxes: list[np.ndarray]
    masks: torch.Tensor
    logits: torch.Tensor
    labels: torch.Tensor

    def part(self, rows: slice) -> Batch:
        return Batch(*(column[rows] for column in self))

    def given_to(self, metric: Metric) -> dict[str, object]:
        return metric._filter_kwargs(**self._asdict())


@pytest.fixture(scope="module")
def images(birds: Path) -> Batch:
    """The birds' 6 test images with maps of their size that are right for some of them."""
    dataset, rng = read(birds), np.random.default_rng(3)
    samples = dataset.split("test")
    yy, xx = np.mgrid[0:SIDE, 0:SIDE]
    maps, masks = [], []
    for sample in samples:
        x0, y0, x1, y1 = dataset.ground_truth.boxes[sample.id][0]
        x, y = np.array([x0 + x1, y0 + y1]) / 2 + rng.normal(0, 8, 2)
        blob = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (x1 - x0) ** 2 * rng.uniform(1, 6))
        maps.append(blob + rng.random((SIDE, SIDE)) * 0.2)
        with Image.open(dataset.ground_truth.masks[sample.id].foreground[0]) as picture:
            masks.append(np.asarray(picture.convert("L")))
    return Batch(
        torch.tensor(np.stack(maps), dtype=torch.float32),
        [dataset.ground_truth.boxes[s.id] for s in samples],
        torch.tensor(np.stack(masks)),
        torch.tensor(rng.random((len(samples), 7)), dtype=torch.float32),
        torch.tensor([s.label for s in samples]),
    )


def scored(birds: Path, maps: torch.Tensor, folder: Path, protocol: str, box: str) -> Score:
    """What `hclnet score` says of the maps."""
    names = [s.id for s in read(birds).split("test")]
    np.savez(folder / "maps.npz", **dict(zip(names, maps.numpy())))
    return score(folder / "maps.npz", birds, protocol=protocol, box=box)


@pytest.mark.parametrize("box", ["fixed:0.4", "otsu3", "auto"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_they_equal_the_command_line(birds: Path, images: Batch, tmp_path: Path, protocol: str, box: str):
    expected = scored(birds, images.maps, tmp_path, protocol, box)
    metrics = [kind(**({"rule": box} if kind in (GTKnownLoc, BoxAccV2) else {}), protocol=protocol) for kind in KEYS]
    for metric in metrics:
        for rows in (slice(0, 1), slice(1, 1), slice(1, 6)):  # of unequal sizes, and one of no image
            metric.update(**images.part(rows).given_to(metric))
    assert {KEYS[type(m)]: m.compute().item() for m in metrics} == {key: expected.metrics[key] for key in KEYS.values()}
    assert any(0 < expected.metrics[key] < 1 for key in KEYS.values())

    ranks = true_class_ranks(images.logits.numpy(), images.labels.numpy())
    top = np.zeros((6, 5))
    records = replace(expected.records, rank=ranks, top_classes=top.astype(np.int64), top_scores=top)
    for k in (1, 5):
        metric = TopKLoc(k, box, protocol)
        metric.update(**images.given_to(metric))
        assert metric.compute().item() == compute_metrics(records)[f"top{k}_loc"]
    assert GTKnownLoc(box, protocol).describe() == expected.metrics["protocol"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_maps_of_a_coarse_grid_with_boxes_of_the_images(birds: Path, images: Batch, tmp_path: Path, protocol: str):
    coarse = torch.nn.functional.avg_pool2d(images.maps, (8, 4))  # 8 x 16
    expected = scored(birds, coarse, tmp_path, protocol, "auto").metrics
    for sizes in ((SIDE, SIDE), torch.full((6, 2), SIDE), np.array([SIDE, SIDE], dtype=np.float32)):
        metric = MaxBoxAccV2(protocol)
        metric.update(coarse, images.boxes, sizes)
        assert metric.compute().item() == expected["max_box_acc_v2"]


def test_oblong_maps_are_oblong_images(tmp_path: Path):
    """Width and height keep their places."""
    maps = np.zeros((1, 20, 50))
    maps[0, 4:16, 30:45] = 1
    ground_truth = tmp_path / "ground_truth.csv"
    Image.new("RGB", (50, 20)).save(tmp_path / "a.png")
    ground_truth.write_text("path,label,split,x0,y0,x1,y1\na.png,x,test,28,4,45,16\n", encoding="utf-8")
    np.savez(tmp_path / "maps.npz", a=maps[0])
    for protocol in PROTOCOLS:
        metric = MaxBoxAcc(protocol, iou_threshold=0.85)
        metric.update(torch.tensor(maps), [[28, 4, 45, 16]])
        found = score(tmp_path / "maps.npz", ground_truth, protocol=protocol).records
        assert metric.compute().item() == float((found.level_iou >= np.float32(0.85)).any()) == 1.0


def test_wsoleval_is_that_of_the_literal_port(images: Batch):
    levels = [(wsoleval.heatmap(map) * 255).astype(np.uint8) for map in images.maps.numpy()]
    true = [[wsoleval.gt_box(box, (SIDE, SIDE)) for box in of] for of in images.boxes]
    first, second = wsoleval.max_box_acc(levels, true, (np.arange(255) + 0.5) / 255)
    metrics = MetricCollection([MaxBoxAcc("wsoleval"), MaxBoxAccV2("wsoleval")])
    metrics.update(images.maps, images.boxes)
    assert metrics.compute()["MaxBoxAcc"] == first and metrics.compute()["MaxBoxAccV2"] == pytest.approx(second)


def every_metric() -> list[Metric]:
    return [
        MaxBoxAcc(), MaxBoxAccV2("wsoleval"), GTKnownLoc("fixed:0.4"), GTKnownLoc("otsu3", "wsoleval", 0.7),
        BoxAccV2(), TopKLoc(3), PxAP(), PxAP("wsoleval"),
    ]  # fmt: skip


def value_of(metric: Metric, *parts: Batch) -> torch.Tensor:
    for part in parts:
        metric.update(**part.given_to(metric))
    return metric.compute()


def test_shards_merge_into_the_whole(images: Batch):
    for metric, other, whole in zip(every_metric(), every_metric(), every_metric()):
        expected = value_of(whole, images)
        metric.update(**images.part(slice(0, 1)).given_to(metric))
        other.update(**images.part(slice(1, 6)).given_to(other))
        metric.merge_state(other)
        assert torch.equal(metric.compute(), expected)
        metric.reset()
        metric.update(**images.part(slice(0, 0)).given_to(metric))
        metric.merge_state(whole.metric_state)
        assert torch.equal(metric.compute(), expected)


def test_processes_add_their_sums_up(images: Batch):
    """As torchmetrics asks them to, with the other process's states at hand."""
    for metric, other, whole in zip(every_metric(), every_metric(), every_metric()):
        expected = value_of(whole, images)
        other.update(**images.part(slice(0, 4)).given_to(other))
        states = iter([getattr(other, name) for name in other._reductions])
        metric.dist_sync_fn = lambda tensor, group=None, states=states: [tensor, next(states)]
        metric.distributed_available_fn = lambda: True
        before = {name: value.clone() for name, value in metric.metric_state.items()}
        own = value_of(metric, images.part(slice(4, 6)))
        assert torch.equal(own, expected)
        assert any(not torch.equal(metric.metric_state[name], value) for name, value in before.items())


def _process(rank: int, place: str, batch: Batch) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{place}/meet", rank=rank, world_size=2)
    found = []
    for metric in every_metric():
        for rows in (slice(0, 1),) if rank == 0 else (slice(1, 4), slice(4, 6)):
            metric.update(**batch.part(rows).given_to(metric))
        found.append(metric.compute())
    idle = MaxBoxAcc()  # one of them may have had no image at all
    if rank == 0:
        idle.update(batch.maps, batch.boxes)
    torch.distributed.barrier()
    if rank == 1:
        idle._update_count = 1  # else torchmetrics warns
    torch.save([*found, idle.compute()], f"{place}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_with_unequal_shards_are_one(images: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    expected = [value_of(metric, images) for metric in (*every_metric(), MaxBoxAcc())]
    torch.multiprocessing.spawn(_process, (str(tmp_path), images), nprocs=2)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt")
        assert [value.item() for value in found] == [value.item() for value in expected]


def test_metrics_of_other_settings_do_not_merge(images: Batch):
    metric, other = GTKnownLoc("fixed:0.4"), GTKnownLoc("fixed:0.5")
    with pytest.raises(ValueError, match="the other GTKnownLoc has other settings"):
        metric.merge_state(other)
    with pytest.raises(ValueError, match="the other GTKnownLoc has other settings"):
        metric.merge_state(other.metric_state)
    with pytest.raises(ValueError, match="Expected incoming state to be an instance of GTKnownLoc"):
        metric.merge_state(BoxAccV2("fixed:0.4"))


def test_a_collection_keeps_apart_what_is_equal_by_chance(images: Batch):
    """After one batch two rules have found as many boxes: torchmetrics looks for such, to compute them once."""
    good = images.part(slice(0, 2))._replace(maps=torch.zeros(2, SIDE, SIDE))
    for map, box in zip(good.maps, good.boxes):
        x0, y0, x1, y1 = box[0].round().astype(int)
        map[y0:y1, x0:x1] = 1
    metrics = MetricCollection(
        {"low": GTKnownLoc("fixed:0.2"), "high": GTKnownLoc("fixed:0.9"), "v1": MaxBoxAcc(), "v2": MaxBoxAccV2(),
         "strict": MaxBoxAcc(iou_threshold=0.8), "px": PxAP(), "top": TopKLoc(2), "box": BoxAccV2("fixed:0.2")}
    )  # fmt: skip
    for batch in (good, images, images.part(slice(2, 3))):
        metrics.update(**batch._asdict())
    together = metrics.compute()
    for name, metric in metrics.items(copy_state=False):
        alone = copy.deepcopy(metric)
        alone.reset()
        assert torch.equal(value_of(alone, good, images, images.part(slice(2, 3))), together[name]), name
    assert together["low"] != together["high"]
    groups = {frozenset(group) for group in metrics.compute_groups.values()}
    assert {frozenset({"v1", "v2"}), frozenset({"low", "box"}), frozenset({"high"})} < groups  # looked at once
    metrics.reset()
    assert {name: v.item() for name, v in metrics(**images._asdict()).items()} == {
        name: value_of(copy.deepcopy(m), images).item() for name, m in metrics.clone().items() if not m.reset()
    }


def test_forward_is_the_batch_and_adds_it(images: Batch, monkeypatch: pytest.MonkeyPatch):
    looks = []
    look = sys.modules["hclnet.torchmetrics.base"].look
    monkeypatch.setattr("hclnet.torchmetrics.base.look", lambda *given: looks.append(1) or look(*given))
    for metric, fresh, whole in zip(every_metric(), every_metric(), every_metric()):
        looks.clear()
        for rows in (slice(0, 2), slice(2, 6)):
            part = images.part(rows)
            value = metric(**part.given_to(metric))
            fresh.reset()
            assert len(looks) == len(part.maps) and torch.equal(value, value_of(fresh, part))
            looks.clear()
        assert torch.equal(metric.compute(), value_of(whole, images))


@pytest.mark.parametrize("step", ["forward", "update"])
def test_a_refused_batch_leaves_the_others(images: Batch, step: str):
    metric = MaxBoxAcc()
    metric.update(images.maps, images.boxes)
    before = metric.compute()
    bad = images.maps.clone()
    bad[4, 3, 3] = float("nan")
    with pytest.raises(ValueError, match="map 4 of the batch can't be scored: a map has NaN"):
        getattr(metric, step)(bad, images.boxes)
    with pytest.raises(TypeError):
        metric(images.maps)
    metric.update(images.maps[:0], [])
    assert torch.equal(metric.compute(), before) and metric.images.item() == 6


def test_they_are_pickled_copied_and_saved(images: Batch):
    for metric in every_metric():
        expected = value_of(metric, images.part(slice(0, 3)))
        for other in (pickle.loads(pickle.dumps(metric)), metric.clone(), copy.deepcopy(metric)):
            assert torch.equal(other.compute(), expected) and repr(other) == repr(metric)
            other.update(**images.part(slice(3, 6)).given_to(other))
        assert torch.equal(metric.compute(), expected)
        metric.persistent(True)
        (fresh,) = (m for m in every_metric() if repr(m) == repr(metric))
        fresh.persistent(True)
        fresh.load_state_dict(metric.state_dict())
        assert torch.equal(fresh.metric_state[name := next(iter(fresh._defaults))], metric.metric_state[name])


@pytest.mark.parametrize(
    "change",
    [
        lambda maps: maps.double(), lambda maps: maps.clone().requires_grad_(), lambda maps: maps.numpy(),
        lambda maps: maps.double().numpy().tolist(), list,
        lambda maps: maps.double() * 1e200 - 3e199,
    ],
)  # fmt: skip
def test_numbers_of_any_kind(images: Batch, change: Callable):
    expected = value_of(GTKnownLoc("fixed:0.4"), images)
    assert torch.equal(value_of(GTKnownLoc("fixed:0.4"), images._replace(maps=change(images.maps))), expected)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.uint8, torch.int64, torch.bool])
def test_narrow_numbers_are_taken_as_they_are(images: Batch, kind: torch.dtype):
    narrow = (images.maps * (1 if kind.is_floating_point else 2 if kind is torch.bool else 200)).to(kind)
    first, second = (value_of(MaxBoxAccV2(), images._replace(maps=maps)) for maps in (narrow, narrow.float()))
    assert torch.equal(first, second)


def test_in_inference_mode_and_under_autocast(images: Batch):
    metric = MaxBoxAcc()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        metric.update(images.maps, images.boxes)
    metric.update(images.maps, images.boxes)
    assert torch.equal(metric.compute(), value_of(MaxBoxAcc(), images))


def test_boxes_of_any_form(images: Batch):
    expected = value_of(GTKnownLoc("fixed:0.4"), images)
    first = np.stack([of[0] for of in images.boxes])
    nested = [[torch.tensor(of)] for of in first]
    for boxes_ in (torch.tensor(first), first[:, None], [torch.tensor(of) for of in first], first.tolist(), nested):
        assert torch.equal(value_of(GTKnownLoc("fixed:0.4"), images._replace(boxes=boxes_)), expected)


def test_images_without_boxes_are_not_counted(images: Batch):
    for empty in (torch.zeros(0, 4), np.zeros((0, 4)), []):
        metric = MaxBoxAcc()
        metric.update(images.maps, [*images.boxes[:3], empty, empty, empty])
        assert metric.images.item() == 3
        assert torch.equal(metric.compute(), value_of(MaxBoxAcc(), images.part(slice(0, 3))))
        metric = GTKnownLoc()
        metric.update(images.maps[:1], [empty])
        assert math.isnan(metric.compute())


def test_several_boxes_the_best_counts(images: Batch):
    far = np.array([[0, 0, 3, 3.0]])
    more = [np.concatenate([far, of]) for of in images.boxes]
    assert value_of(MaxBoxAcc(), images._replace(boxes=more)) >= value_of(MaxBoxAcc(), images)


def test_pixels_that_are_ignored_count_on_neither_side(images: Batch):
    masks = images.masks > 127
    wrong = torch.zeros_like(masks)
    wrong[:, :20] = True
    metric = PxAP()
    plain, without = metric(images.maps, masks), metric(images.maps, masks, wrong)
    assert plain != without and torch.equal(plain, PxAP()(images.maps, masks, torch.zeros_like(masks)))
    # What is object stays object, and gray values, shares and booleans are the same mask.
    assert PxAP()(images.maps, masks, torch.ones_like(masks)) == 1.0
    for same in (masks.to(torch.uint8), masks.long() * 255, masks.float(), masks.numpy()):
        assert torch.equal(PxAP()(images.maps, same), plain)
    assert math.isnan(PxAP()(images.maps, torch.zeros_like(masks)))


MAPS, BOXES = torch.rand(2, 40, 50), [[[2, 3, 30, 20]], [[10, 10, 45, 39]]]


@pytest.mark.parametrize(
    ("maps", "boxes_", "message"),
    [
        (torch.rand(2, 1, 40, 50), BOXES, r"maps have shape \(2, 1, 40, 50\); .* maps\[:, 0\]"),
        (torch.rand(40, 50), BOXES, r"maps have shape \(40, 50\); they have to be B x H x W"),
        (torch.rand(2, 0, 50), BOXES, r"shape \(2, 0, 50\)"),
        (MAPS.to(torch.complex64), BOXES, "maps hold complex64, not numbers"),
        (MAPS, BOXES[:1], "there are 2 maps and boxes for 1"),
        (MAPS, torch.tensor(BOXES)[0], "there are 2 maps and boxes for 1"),
        (MAPS, [BOXES[0], [[1, 2, 3]]], r"boxes\[1\] is .* of shape \(1, 3\); it has to be N x 4"),
        (MAPS, [BOXES[0], [[1, 2, 3, float("nan")]]], r"boxes\[1\] has NaN"),
        (MAPS, [BOXES[0], [[30, 10, 20, 15]]], r"boxes\[1\] has 30 10 20 15, which has no area .* width, height"),
        (MAPS, [[[5, 5, 5, 9]], BOXES[1]], r"boxes\[0\] has 5 5 5 9, which has no area"),
        (MAPS, [[[5, 5, 224, 200]], BOXES[1]], r"boxes\[0\] has 5 5 224 200, .* image of 50 x 40 pixels.* as sizes"),
        (MAPS, [[[60, 5, 70, 9]], BOXES[1]], "does not lie on an image of 50 x 40"),
        (MAPS, [[[-100, 5, 20, 9]], BOXES[1]], r"boxes\[0\] has -100 5 20 9, which does not lie on an image"),
        (MAPS, [BOXES[0], 5], r"boxes\[1\] is int64 of shape \(\); it has to be N x 4"),
        (MAPS, [BOXES[0], [[1, 2, 3, 4], [5, 6]]], "rows of unequal lengths are not an array"),
        ([MAPS[0], MAPS[1, 1:]], BOXES, "rows of unequal lengths are not an array"),
        (MAPS, [[[0.1, 0.2, 0.8, 0.9]], [[0, 0, 1, 1]]], "every box lies within 0..1"),
        (MAPS, [[[0.1, 0.2, 0.8, 0.9]], []], "every box lies within 0..1"),
        (torch.rand(2, 7, 7), [[[0.1, 0.2, 0.8, 0.9]], [[0, 0, 1, 1]]], "every box lies within 0..1"),
    ],
)
def test_what_is_wrong_with_maps_and_boxes_is_said(maps, boxes_, message: str):
    with pytest.raises(ValueError, match=message):
        MaxBoxAcc().update(maps, boxes_)


def test_a_small_object_in_the_first_cell_of_a_coarse_map_is_one():
    metric = MaxBoxAcc()
    metric.update(torch.rand(2, 7, 7), [[[0.1, 0.2, 0.8, 0.9]], []])
    assert metric.images.item() == 1


@pytest.mark.parametrize("sizes", [(50, 0), (50.5, 40), [(50, 40, 3)], [(50, 40)] * 3])
def test_sizes_are_whole_pairs(sizes):
    with pytest.raises(ValueError, match="sizes have"):
        MaxBoxAcc().update(MAPS, BOXES, sizes)


def test_boxes_of_torchvision_say_their_form():
    tv_tensors = pytest.importorskip("torchvision.tv_tensors")
    corners = tv_tensors.BoundingBoxes(BOXES[0], format="XYXY", canvas_size=(40, 50))
    MaxBoxAcc().update(MAPS, [corners, BOXES[1]])
    sides = tv_tensors.BoundingBoxes(BOXES[0], format="XYWH", canvas_size=(40, 50))
    with pytest.raises(ValueError, match="boxes come as XYWH; convert them to XYXY"):
        MaxBoxAcc().update(MAPS, [sides, BOXES[1]])


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.rand(2), [0, 1], r"logits have shape \(2,\); with 2 maps they have to be 2 x classes"),
        (torch.rand(3, 4), [0, 1], r"logits have shape \(3, 4\)"),
        (torch.full((2, 4), float("nan")), [0, 1], "logits have NaN"),
        (torch.rand(2, 4), [0], "they have to be 2 whole numbers"),
        (torch.rand(2, 4), [0.0, 1.0], "they have to be 2 whole numbers"),
        (torch.rand(2, 4), [0, 4], "labels are from 0 to 4; with 4 classes they have to be from 0 to 3"),
        (torch.rand(2, 4), [-1, 2], "labels are from -1 to 2"),
    ],
)
def test_what_is_wrong_with_logits_and_labels_is_said(logits, labels, message: str):
    with pytest.raises(ValueError, match=message):
        TopKLoc().update(MAPS, BOXES, logits, labels)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (torch.rand(3, 40, 50), r"masks have shape \(3, 40, 50\); with 2 maps"),
        (torch.rand(2, 1, 40, 50), r"masks have shape \(2, 1, 40, 50\)"),
        (-torch.rand(2, 40, 50), "masks have to be boolean"),
        (torch.full((2, 40, 50), 300), "values up to 300"),
        (torch.tensor([0, 1, 255, 0]).repeat(2, 4, 1), "pass masks == 1, and masks == 255 as ignore"),
    ],
)
def test_what_is_wrong_with_masks_is_said(masks: torch.Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        PxAP().update(MAPS, masks)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxBoxAcc("wsol"), "there is no protocol 'wsol'"),
        (lambda: MaxBoxAcc("wsoleval", normalization="max"), "normalizes by minmax"),
        (lambda: MaxBoxAcc(normalization="x"), "no map normalization 'x'"),
        (lambda: GTKnownLoc("0.2"), "there is no box rule '0.2'"),
        (lambda: GTKnownLoc(iou_threshold=50), "iou_threshold has to be above 0 and at most 1; 50 is not"),
        (lambda: TopKLoc(0), "k has to be at least 1"),
        (lambda: PxAP(map_size=0), "map_size has to be at least one pixel"),
    ],
)
def test_settings_are_checked_when_they_are_made(make: Callable[[], Metric], message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_ties_count_against_the_target():
    assert true_class_ranks(np.array([[1.0, 1, 0], [2, 1, 0], [0, 0, 0]]), np.array([0, 0, 2])).tolist() == [1, 0, 2]


def test_the_examples_of_the_docstrings_run():
    for module, least in ((boxes, 30), (pixels, 5)):
        result = doctest.testmod(module)
        assert result.attempted >= least and not result.failed


@pytest.mark.slow
def test_the_modules_name_hides_nobodys_and_the_package_loads_neither():
    code = (
        "import sys, hclnet; assert 'torch' not in sys.modules and 'torchmetrics' not in sys.modules\n"
        "import hclnet.torchmetrics, torchmetrics\n"
        "assert issubclass(hclnet.torchmetrics.MaxBoxAcc, torchmetrics.Metric)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
