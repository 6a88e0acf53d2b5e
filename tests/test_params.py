"""Declared parameters: signature, documentation, validation, search space."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from tabdl.errors import ParameterError
from tabdl.params import Param, Parameters, param


class Layered(Parameters):
    """Layers of something.

    Notes
    -----
    Kept after the parameters.
    """

    width: int = param(8, "units of a layer", low=1, high=64)
    rate: float = param(0.1, "share switched off", low=0, high=0.9, weight=True)
    units: tuple[int, ...] = param((4, 4), "units of each layer", low=1, longest=16)
    norm: str | None = param(None, "kind of norm", options=("batch", "layer"))
    batch: int | str = param("auto", "rows a step", low=1, options=("auto", "full"))
    bias: bool = param(True, "whether a bias is added")
    table: str | dict | None = param(None, "weights by name", options=("balanced",))


class Deep(Layered):
    """More layers."""

    defaults = {"width": 32, "elsewhere": 1}
    depth: int = param(3, "layers", low=1, high=9, log=True)


def test_signature_and_defaults_follow_the_fields():
    signature = inspect.signature(Deep)
    assert list(signature.parameters) == [*Layered.fields, "depth"]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in signature.parameters.values())
    assert signature.parameters["width"].default == 32
    assert signature.parameters["width"].annotation == "int"
    deep = Deep(depth=2)
    assert (deep.depth, deep.width, deep.units) == (2, 32, (4, 4))
    assert Layered().width == 8, "defaults of a subclass leave its base alone"


def test_init_stores_the_very_object_unchecked():
    units = [3, 3]
    assert Layered(units=units).units is units
    assert Layered(width=-5).width == -5


def test_unknown_parameter_names_the_known_ones():
    with pytest.raises(TypeError, match=r"Deep has no parameter 'widht'; it has width, rate"):
        Deep(widht=3)


def test_docstring_lists_each_parameter_with_type_default_and_range():
    text = Deep.__doc__
    assert text.startswith("More layers.\n")
    assert "width : int, default=32\n    units of a layer (>= 1 and <= 64)." in text
    assert "norm : str | None, default=None\n    kind of norm (one of 'batch', 'layer')." in text
    assert Layered.__doc__.index("Parameters") < Layered.__doc__.index("Kept after the parameters.")


def test_own_init_is_kept():
    class Own(Parameters):
        width: int = param(8, "units")

        def __init__(self, start):
            self.width = start * 2

    assert Own(4).width == 8


@pytest.mark.parametrize(
    "given",
    [
        {"width": 1},
        {"width": np.int64(64)},
        {"rate": 0},
        {"rate": np.float32(0.5)},
        {"units": [1, 2, 3]},
        {"units": ()},
        {"norm": "layer"},
        {"norm": None},
        {"batch": "full"},
        {"batch": 7},
        {"bias": np.bool_(False)},
        {"table": {"a": 2.0}},
        {"table": "balanced"},
    ],
)
def test_values_inside_the_documented_range_pass(given):
    Layered(**given).check_params()


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"width": 0}, "units of a layer .>= 1 and <= 64"),
        ({"width": 65}, "<= 64"),
        ({"width": 2.0}, "expected int"),
        ({"width": "8"}, "expected int"),
        ({"width": True}, "expected int"),
        ({"width": None}, "expected int"),
        ({"rate": float("nan")}, "share switched off"),
        ({"rate": 0.95}, "<= 0.9"),
        ({"units": (4, 0)}, ">= 1"),
        ({"units": 4}, r"expected tuple\[int, ...\]"),
        ({"units": ("4",)}, r"expected tuple\[int, ...\]"),
        ({"units": (1.5,)}, r"expected tuple\[int, ...\]"),
        ({"units": (1,) * 17}, "at most 16 entries"),
        ({"norm": "group"}, "one of 'batch', 'layer'"),
        ({"norm": 1}, r"expected str \| None"),
        ({"batch": "half"}, "one of 'auto', 'full'"),
        ({"batch": 0}, ">= 1"),
        ({"bias": 1}, "expected bool"),
        ({"table": 5}, r"expected str \| dict \| None"),
        ({"table": "even"}, "one of 'balanced'"),
    ],
)
def test_values_outside_name_owner_value_and_range(given, expected):
    with pytest.raises(ParameterError, match=expected) as caught:
        Layered(**given).check_params()
    ((name, value),) = given.items()
    assert str(caught.value).startswith(f"Layered({name}={value!r}): expected ")


def test_infinite_values_count_as_numbers():
    with pytest.raises(ParameterError, match="<= 0.9"):
        Layered(rate=float("inf")).check_params()


def test_search_space_holds_what_has_two_bounds_or_options():
    assert set(Deep.search_space()) == {"width", "rate", "norm", "batch", "depth", "table"}
    assert Deep.search_space()["depth"] == Param(3, "layers", 1, 9, log=True, type="int")


def test_parameters_of_every_estimator_are_inside_their_own_ranges():
    from tabdl import models

    for name in models.catalogue():
        cls = models.load_class(name)
        cls().check_params()
        assert all(field.doc for field in cls.fields.values()), name
        assert all(field.type != "Any" for field in cls.fields.values()), name
