"""`python -m hclnet_runtime mine.onnx photo.jpg`: a line of JSON for each image."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from hclnet_runtime.model import load
from hclnet_runtime.results import plain


def main(words: Sequence[str] | None = None) -> int:
    """Print what is found; the exit code is 1 if an image can't be read, 2 if the model can't be."""
    parser = argparse.ArgumentParser(prog="python -m hclnet_runtime", description=__doc__)
    parser.add_argument("model", help="a file that hclnet export wrote: .onnx or .xml")
    parser.add_argument("images", nargs="+", help="image files")
    parser.add_argument("--top", type=int, default=1, metavar="K", help="box the K most probable classes")
    parser.add_argument("--max-objects", type=int, default=1, metavar="N", help="up to N objects of each class")
    parser.add_argument("--threads", type=int, metavar="N", help="that compute (default: all processors)")
    given = parser.parse_args(words)
    try:
        model = load(given.model, given.threads)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    code = 0
    for image in given.images:
        try:
            found = model.locate(image, given.top, max_objects=given.max_objects)
        except ValueError as error:
            print(error, file=sys.stderr)
            code = 1
        else:
            print(json.dumps({"path": image, **plain(found)}, ensure_ascii=False), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
