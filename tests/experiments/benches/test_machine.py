"""Every table of speeds says on which processor and when."""

from __future__ import annotations

import re
from pathlib import Path

from experiments.benches.machine import measured_on, processor


def test_a_speed_names_processor_cores_and_date(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: AMD EPYC 9R14\nflags\t: avx512f\n")
    assert processor(info) == "AMD EPYC 9R14"
    assert processor(tmp_path / "none")  # some name, even where the system keeps no list
    assert re.fullmatch(r".+, \d+ cores?, \d{4}-\d\d-\d\d", measured_on())
