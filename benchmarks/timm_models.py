"""Which of timm's models are backbones: the smallest one of each of its modules, with one image.

    python benchmarks/timm_models.py [--out FILE] [MODULES...]       # ten minutes, 4 GB of memory for all of them

Of each module in `timm.list_modules()` the model with the fewest parameters is built with random weights, as
`--backbone timm:NAME` builds it, and sees one image; then one patch of the image changes, and the place of the largest
change of the last stage is compared with the patch. A line for each: what it has, or why it is refused. A refusal that
is no sentence but a failure counts as one.
"""

from __future__ import annotations

import argparse
import time
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import timm
import torch

from hclnet.backbones import build_backbone

_HEAD = (
    "| module | model | parameters | stages | stride | sides | class token | attention | off | seconds |\n"
    + "|---" * 10
    + "|"
)


class Found(NamedTuple):
    """What came of a module's smallest model: a row of the table, and whether it works, is refused, or fails."""

    row: str
    kind: str


def smallest(module: str) -> tuple[str, int]:
    """The model with the fewest parameters, and how many these are."""
    sizes = {}
    for name in timm.list_models(module=module):
        try:
            with torch.device("meta"):
                model = timm.create_model(name, pretrained=False)
        except Exception:  # one that timm does not build is not the smallest
            continue
        sizes[name] = sum(parameter.numel() for parameter in model.parameters())
    name = min(sizes, key=sizes.__getitem__)
    return name, sizes[name]


def look(module: str) -> Found:
    """Build the smallest model of a module and show it an image."""
    name, parameters = smallest(module)
    begin = f"| {module} | {name} | {parameters / 1e6:.1f} M | "
    started = time.monotonic()
    try:
        torch.manual_seed(0)
        backbone = build_backbone(f"timm:{name}", weights="none")
        info = backbone.info[backbone.last]
        largest = max(one.stride for one in backbone.info.values())
        side = backbone.side or -(-192 // largest) * largest
        off = _off(backbone, side)
    except ValueError as error:
        return Found(f"{begin}refused: {error} |", "refused")
    except Exception as error:
        traceback.print_exc()
        return Found(f"{begin}FAILS: {type(error).__name__}: {' '.join(str(error).split())[:200]} |", "fails")
    cells = [
        ", ".join(backbone.info), info.stride, f"{backbone.side} px" if backbone.side else "any",
        "yes" if "class_token" in backbone.extras else "", "yes" if "attention" in backbone.extras else "", off,
        f"{time.monotonic() - started:.1f}",
    ]  # fmt: skip
    return Found(begin + " | ".join(map(str, cells)) + " |", "works")


@torch.inference_mode()
def _off(backbone: torch.nn.Module, side: int) -> int:
    """How many cells of the last stage the largest change is away from the patch that changed, the least of three."""
    g = torch.Generator().manual_seed(0)
    last, image = backbone.last, torch.randn(1, 3, side, side, generator=g)
    before = backbone(image, [last])[last]
    cells = before.shape[2]
    patch, found = side // cells, []
    for row, column in ((cells // 4, cells // 2), (cells // 2, 3 * cells // 4), (3 * cells // 4, cells // 4)):
        changed = image.clone()
        changed[:, :, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] = torch.randn(
            1, 3, patch, patch, generator=g
        )
        change = (backbone(changed, [last])[last] - before).abs().sum(1)[0]
        top, left = divmod(int(change.argmax()), change.shape[1])
        found.append(max(abs(top - row), abs(left - column)))
    return min(found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="of timm; all by default")
    parser.add_argument("--out", type=Path, help="write the table here too")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    lines, kinds = [_HEAD], []
    print(_HEAD, flush=True)
    for one in chosen.modules or timm.list_modules():
        if not timm.list_models(module=one):
            continue
        found = look(one)
        lines.append(found.row)
        kinds.append(found.kind)
        print(found.row, flush=True)
    count = {kind: kinds.count(kind) for kind in ("works", "refused", "fails")}
    lines.append(f"\n{count['works']} of {len(kinds)} work, {count['refused']} are refused, {count['fails']} fail.")
    print(lines[-1])
    if chosen.out:
        chosen.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
