"""The learning curve as inline SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tabdl.training.history import curve_svg

HISTORY = {"epoch": [1, 2, 3], "loss": [0.9, 0.5, 0.4], "seconds": [0.1, 0.1, 0.1], "val_auc": [0.6, 0.8, 0.7]}


@pytest.mark.parametrize("length", [1, 2, 3])
def test_svg_is_well_formed_and_marks_the_best_epoch(length):
    history = {k: v[:length] for k, v in HISTORY.items()}
    best = min(2, length)
    root = ET.fromstring(curve_svg(history, best))
    line, dot = root[0], root[1]
    points = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
    assert len(points) == length
    assert (float(dot.attrib["cx"]), float(dot.attrib["cy"])) == points[best - 1]
    assert f"val_auc: {HISTORY['val_auc'][best - 1]:.4g} at epoch {best} of {length}" in root.attrib["aria-label"]


def test_svg_falls_back_to_the_loss_and_survives_a_flat_curve():
    flat = {"epoch": [1, 2], "loss": [0.5, 0.5]}
    assert "loss: 0.5 at epoch 2 of 2" in ET.fromstring(curve_svg(flat, 2)).attrib["aria-label"]
