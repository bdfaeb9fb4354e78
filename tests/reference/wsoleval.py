"""Slow and literal: wsolevaluation's box protocol (Choe et al. 2020) by OpenCV, one threshold and contour at a time."""

import cv2
import numpy as np

SIDE = 224
THRESHOLDS = np.arange(0, 1, 0.001)


def heatmap(class_map, side=SIDE):
    """Bicubic upsampling, then min-max; a constant map becomes zeros."""
    resized = cv2.resize(class_map.astype(np.float64), (side, side), interpolation=cv2.INTER_CUBIC)
    resized -= resized.min()
    return resized / resized.max() if resized.max() > 0 else resized


def boxes_at(levels, threshold):
    """The box of the contour with the largest area, and the boxes of all contours, at one threshold."""
    height, width = levels.shape
    _, mask = cv2.threshold(levels, int(threshold * int(levels.max())), 255, cv2.THRESH_BINARY)
    found, _ = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not found:
        return [0, 0, 0, 0], [[0, 0, 0, 0]]
    every = []
    for contour in found:
        x, y, w, h = cv2.boundingRect(contour)
        every.append([x, y, min(x + w, width - 1), min(y + h, height - 1)])
    areas = [cv2.contourArea(contour) for contour in found]
    return every[areas.index(max(areas))], every


def gt_box(box, size, side=SIDE):
    """A ground-truth box on the map: scaled, then cut off to whole pixels."""
    width, height = size
    return [int(float(v) * side / of) for v, of in zip(box, (width, height, width, height))]


def iou(a, b):
    """Of two boxes whose corners both belong to them."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    inter = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    union = sum(areas) - inter
    return inter / union if union > 0 else 0.0


def best_ious(levels, gt_boxes, thresholds=THRESHOLDS):
    """At each threshold the best IoU of the largest contour, and that of any contour, with a ground-truth box."""
    largest, any_of_them = [], []
    for threshold in thresholds:
        box, every = boxes_at(levels, threshold)
        largest.append(max(iou(box, true) for true in gt_boxes))
        any_of_them.append(max(iou(one, true) for one in every for true in gt_boxes))
    return np.array(largest), np.array(any_of_them)


def max_box_acc(level_maps, gt_boxes, thresholds=THRESHOLDS):
    """MaxBoxAcc at IoU 0.5, and MaxBoxAccV2, over maps with their ground-truth boxes on the map."""
    ious = [best_ious(levels, true, thresholds) for levels, true in zip(level_maps, gt_boxes)]
    first = np.array([a for a, _ in ious])
    second = np.array([b for _, b in ious])
    v1 = (first >= 0.5).mean(axis=0).max()
    return v1, np.mean([(second >= t).mean(axis=0).max() for t in (0.3, 0.5, 0.7)])


def pxap(heatmaps, masks, ignores):
    """PxAP over heatmaps with their ground-truth masks, a threshold at a time: the sum of precision times growth of
    recall."""
    edges = [*THRESHOLDS, 1.0]
    area, reached = 0.0, 0.0
    total = sum(mask.sum() for mask in masks)
    for edge in edges[::-1]:
        right = sum(((h >= edge) & m).sum() for h, m in zip(heatmaps, masks))
        wrong = sum(((h >= edge) & ~m & ~i).sum() for h, m, i in zip(heatmaps, masks, ignores))
        if right + wrong:
            area += right / (right + wrong) * (right / total - reached)
            reached = right / total
    return area
