"""Spec, Head, Inputs: plain data."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from tabdl.spec import Head, Inputs, Spec


@pytest.mark.parametrize("spec", [Spec(), Spec(3, 2, (5, 9)), Spec(categories=(4,))])
def test_spec_round_trips_through_json_text(spec):
    back = Spec.from_json(json.loads(json.dumps(spec.to_json())))
    assert back == spec
    assert hash(back) == hash(spec)
    assert isinstance(back.categories, tuple)


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
