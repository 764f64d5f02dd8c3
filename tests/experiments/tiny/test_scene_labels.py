"""Class labels of scenes."""

from __future__ import annotations

from benchmarks.sandbox.scene import Scene, Thing
from experiments.tiny.scene_labels import CELL_LABELS, labels


def test_labels_by_hand():
    scene = Scene(
        "sky", (Thing("star", "red", (0, 1), "dotted", "small", 3), Thing("square", "blue", (2, 2), label="A")), "HI"
    )
    ids = labels([scene])
    names = {k: [v[i] for i in ids[k][0].tolist()] for k, v in CELL_LABELS.items()}
    assert names["shape"] == ["nothing", "star"] + ["nothing"] * 6 + ["square"]
    assert names["colour"][1] == "red" and names["material"][1] == "dotted" and names["size"][1] == "small"
    assert names["count"] == ["0", "3"] + ["0"] * 6 + ["1"]
    assert names["labelled"][8] == "yes" and ids["captioned"].tolist() == [1]
