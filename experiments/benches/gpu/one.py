"""`python -m experiments.benches.gpu.one <part> <file>`: one part of `make check-gpu`, in a process that it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main(name: str, path: Path) -> int:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")  # a part that is ended is reported with its last lines: no bars
    from common.errors import ImageEditError
    from common.files import write_json
    from experiments.benches.gpu.work import WORK

    try:
        write_json(path, WORK[name]())
    except ImageEditError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
