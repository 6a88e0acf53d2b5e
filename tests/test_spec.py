"""Spec, Head, Inputs: plain data."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from tabdl.spec import Head, Inputs, Spec


def test_shapes_name_what_is_there():
    assert Spec().shapes == {}
    assert Spec(3, categories=(5, 9)).shapes == {"numbers": (3,), "categories": (2,)}
    whole = Spec(1, 2, (4,), steps=7, channels=2)
    assert whole.shapes["sequence"] == (7, 2)
    assert whole.shapes["mask"] == (7,)
    assert whole.only(("numbers", "flags", "categories")) == Spec(1, 2, (4,))
    assert whole.only(("sequence", "mask")) == Spec(steps=7, channels=2)


def test_specs_and_heads_cannot_be_changed_and_tell_differences():
    with pytest.raises(FrozenInstanceError):
        Spec(1).numbers = 2
    with pytest.raises(FrozenInstanceError):
        Head(1, "sigmoid", "cross_entropy").outputs = 2
    assert Spec(1, 2) != Spec(2, 1)
    assert Head(2, "softmax", "focal") != Head(2, "softmax", "focal", smoothing=0.1)


def test_inputs_are_absent_unless_given():
    inputs = Inputs(Spec(numbers=2), numbers="x")
    assert (inputs.numbers, inputs.flags, inputs.categories) == ("x", None, None)
