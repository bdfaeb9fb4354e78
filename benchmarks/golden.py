"""Do two commits give the same results on this machine, bit for bit?

    python benchmarks/golden.py main .                       # the working tree against main: minutes
    python benchmarks/golden.py main . --quick               # fewer commands, for use before each commit
    python benchmarks/golden.py main . --quick --work /tmp/golden    # keeps results: main's are not made again
    python benchmarks/golden.py HEAD HEAD                    # two runs of one commit: is it deterministic at all?

Each side trains, evaluates, locates and scores on the same few dozen drawn images, on the processor, with the methods
CAM, ACoL, HCLNet and SPG (without `--quick` also HaS, CutMix and ADL, and other backbones) in float32 and bfloat16.
Weights, losses, records, metrics, boxes, heatmaps and masks are compared bit for bit. A side is known by its command
line alone; what has another name on one side is in the tables below and in `golden_side.py`. No expected value is kept
anywhere: results differ from processor to processor.

The exit code is 0 if all is equal, 1 if something differs, 2 if the comparison could not be made. It needs `os.fork`,
so Linux or macOS.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

import golden_side as side

# What was renamed. Old names on the left; results of either side are compared under the new ones.
TENSORS = {"trunk.": "backbone.", "objectness.": "foreground."}  # how a tensor's name begins
NAMES = {"normalisation": "normalization"}  # keys of JSON files, columns of .npz and .csv files
# What may differ: times, places, and texts that are for a person to read.
FREE = re.compile(r"(.*\.)?(\w*seconds|path|paths|file_name|hclnet|protocol|date|created)(\..*)?")
# Texts that are compared: the other texts of a JSON file are for a person to read.
WORDS = re.compile(r"(.*\.)?(label|labels|ids)(\.\d+)?")


@dataclass
class Tally:
    """What a comparison came to.

    Attributes:
        files: that were compared.
        values: tensors, columns, numbers and pictures in them that are equal.
        differences: a sentence each, with where and what.
        new: names that only the second side has, which are no difference.
    """

    files: int = 0
    values: int = 0
    differences: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def compare_results(first: Path, second: Path, tally: Tally, log=print) -> None:
    """Compare two folders of results; see `golden_side.run_side`."""
    for case in _sorted_names(first, second):
        for command in _sorted_names(first / case, second / case):
            ours, theirs = first / case / command, second / case / command
            where = f"{case}/{command}"
            if not _same_end(ours, theirs, where, tally, log):
                continue
            listed = sorted({_inside(p, ours) for p in _kept(ours)} | {_inside(p, theirs) for p in _kept(theirs)})
            compared = 0
            for name in listed:
                before = len(tally.differences), tally.values
                _compare_file(ours / name, theirs / name, f"{where}/{name}", tally)
                compared += tally.values - before[1]
                for difference in tally.differences[before[0] :]:
                    log(f"DIFFERS  {difference}")
            log(f"compared {where}: {len(listed)} files, {compared} equal values")
            if not listed:
                tally.differences.append(f"{where}: nothing was kept of it; is a file's new name missing in KEPT?")


def _same_end(ours: Path, theirs: Path, where: str, tally: Tally, log) -> bool:
    codes = [(p / "code.txt").read_text(encoding="utf-8") if p.is_dir() else None for p in (ours, theirs)]
    if codes == ["0", "0"]:
        return True
    for name, code, folder in zip("AB", codes, (ours, theirs)):
        if code != "0":
            file = folder / "log.txt"
            last = " ".join(file.read_text(encoding="utf-8", errors="replace").split())[-400:] if file.exists() else ""
            ended = f"ended with {code}: {last}" if code else "did not run"
            tally.differences.append(f"{where}: {ended} (side {name})")
            log(f"DIFFERS  {tally.differences[-1]}")
    return False


def _compare_file(ours: Path, theirs: Path, where: str, tally: Tally) -> None:
    tally.files += 1
    if not theirs.exists():
        tally.differences.append(f"{where}: only A has it")
        return
    if not ours.exists():
        tally.new.append(where)
        return
    if ours.suffix == ".png":
        pictures = [{"picture": np.asarray(Image.open(p))} for p in (ours, theirs)]
        return _compare_arrays(*pictures, where, tally)
    read = {".safetensors": read_tensors, ".npz": _read_npz, ".json": read_json, ".csv": _read_csv}[ours.suffix]
    _compare_arrays(read(ours), read(theirs), where, tally)


def _compare_arrays(ours: dict[str, Any], theirs: dict[str, Any], where: str, tally: Tally) -> None:
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in theirs:
            tally.differences.append(f"{where}: only A has {name}")
        elif name not in ours:
            tally.new.append(f"{where}: {name}")
        elif text := difference(ours[name], theirs[name]):
            tally.differences.append(f"{where}: {name}: {text}")
        else:
            tally.values += 1


def difference(ours: Any, theirs: Any) -> str | None:
    """How two values differ, in words; None if they are equal bit for bit. A NaN equals a NaN."""
    if not isinstance(ours, np.ndarray):
        same = ours == theirs or (ours != ours and theirs != theirs)
        return None if same else f"{ours!r} | {theirs!r}"
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return f"{ours.dtype} {list(ours.shape)} | {theirs.dtype} {list(theirs.shape)}"
    if ours.tobytes() == theirs.tobytes():
        return None
    unlike = np.array(ours.view(f"V{ours.itemsize}") != theirs.view(f"V{theirs.itemsize}")) if ours.ndim else True
    at = tuple(int(k) for k in np.argwhere(unlike)[0]) if ours.ndim else ()
    text = f"{np.count_nonzero(unlike)} of {ours.size} values differ, first at {list(at)}: {ours[at]} | {theirs[at]}"
    if ours.dtype.kind in "fiu":
        text += f"; at most {np.nanmax(np.abs(ours.astype(np.float64) - theirs.astype(np.float64))):.3g} apart"
    return text


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file under their new names; bfloat16 as float32, which holds each value."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    dtypes = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
    found = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in about["data_offsets"])
        array = np.frombuffer(data[begin:end], dtypes.get(about["dtype"], "u1"))
        if about["dtype"] == "BF16":
            array = (array.astype("<u4") << 16).view("<f4")
        old = next((start for start in TENSORS if name.startswith(start)), "")
        found[TENSORS.get(old, "") + name.removeprefix(old)] = array.reshape(about["shape"])
    return found


def read_json(path: Path) -> dict[str, Any]:
    """Numbers, truth values and compared words of a JSON file by their path in it, under their new names."""
    return {name: value for name, value in _flat(json.loads(path.read_text(encoding="utf-8"))) if _matters(name, value)}


def _matters(name: str, value: Any) -> bool:
    return not FREE.fullmatch(name) and (not isinstance(value, str) or bool(WORDS.fullmatch(name)))


def _flat(content: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from _flat(value, f"{where}.{NAMES.get(key, key)}" if where else NAMES.get(key, str(key)))
    else:
        yield where, content


def _read_npz(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as columns:
        return {NAMES.get(name, name): columns[name] for name in columns.files if not FREE.fullmatch(name)}


def _read_csv(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    flat = {f"{k}.{NAMES.get(name, name)}": value for k, row in enumerate(rows) for name, value in row.items()}
    return {name: value for name, value in flat.items() if not FREE.fullmatch(name)}


def _kept(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.is_file() and p.suffix != ".txt")


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _sorted_names(*folders: Path) -> list[str]:
    return sorted({p.name for folder in folders if folder.is_dir() for p in folder.iterdir() if p.is_dir()})


def make_results(commit: str, drawn: Path, chosen: list[side.Case], work: Path, again: bool, workers: int) -> Path:
    """The folder of a side's results, run unless it is there already."""
    tree = work / "tree"
    side.check_out(commit, tree)
    results = work / "results" / (side.identity(tree, drawn, chosen) + ("-again" if again else ""))
    name = "the working tree" if commit == "." else commit[:10]
    if results.is_dir() and not again:
        print(f"{name}: results of before, {results}")
    else:
        started = time.monotonic()
        side.load_libraries(work)
        side.run_side(tree, drawn, chosen, results, work, workers)
        print(f"{name}: {sum(len(c.commands) for c in chosen)} commands in {time.monotonic() - started:.0f} s")
    shutil.rmtree(tree)
    return results


def run(options: argparse.Namespace, work: Path) -> int:
    """Make what is missing of both sides' results and compare them; the exit code."""
    drawn = work / f"drawn-{options.images}"
    if not drawn.is_dir():
        side.draw(drawn, options.images)
    chosen = [case for case in side.cases(options.quick) if options.only in case.name]
    if not chosen:
        raise ValueError(f"No case has {options.only!r} in its name. There are {_named(side.cases(options.quick))}.")
    commits = [side.commit_of(name) for name in (options.a, options.b)]
    first = make_results(commits[0], drawn, chosen, work, False, options.workers)
    same = commits[0] == commits[1]
    second = make_results(commits[1], drawn, chosen, work, same, options.workers)
    if first == second:
        print("Both sides have the same package, file for file. Name one commit twice to run it twice.")
    tally = Tally()
    compare_results(first, second, tally)
    if tally.new:
        print(f"Only B has, and so not compared: {'; '.join(tally.new[:5])}{' ...' * (len(tally.new) > 5)}")
    if tally.differences:
        print(f"\n{len(tally.differences)} things differ ({tally.values} are equal). The first of them:")
        print("\n".join(f"  {text}" for text in tally.differences[: options.most]))
        return 1
    print(f"\n{tally.values} things in {tally.files} files are equal, bit for bit.")
    return 0


def _named(chosen: list[side.Case]) -> str:
    return ", ".join(case.name for case in chosen)


def main(words: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("a", metavar="A", help="a commit, or . for the working tree")
    parser.add_argument("b", metavar="B", help="the same; A's name again runs A twice")
    parser.add_argument("--quick", action="store_true", help="fewer commands")
    parser.add_argument("--work", type=Path, help="a folder that keeps results; default: a temporary one")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases with this text in their name")
    parser.add_argument("--images", type=int, default=8, help="training images of each of the three classes")
    parser.add_argument("--most", type=int, default=20, help="differences to list at the end")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4), help="cases at a time")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="golden-") as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        with (work / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                return run(options, work)
            except ValueError as error:
                print(f"Error: {error}", file=sys.stderr)
                return 2


if __name__ == "__main__":
    sys.exit(main())
