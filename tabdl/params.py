"""Hyper-parameters as typed fields: one declaration gives signature, documentation, validation and search space."""

from __future__ import annotations

import contextlib
import inspect
import math
import numbers
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from tabdl.errors import ParameterError


@dataclass(frozen=True)
class Param:
    """A declared hyper-parameter; made by `param`."""

    default: Any
    doc: str
    low: float | None = None
    high: float | None = None
    options: tuple | None = None
    log: bool = False
    weight: bool = False
    longest: int | None = None
    type: str = "Any"

    def describe(self) -> str:
        limits = [f">= {self.low}"] if self.low is not None else []
        limits += [f"<= {self.high}"] if self.high is not None else []
        limits += [f"at most {self.longest} entries"] if self.longest is not None else []
        limits += ["one of " + ", ".join(map(repr, self.options))] if self.options else []
        return f"{self.doc} ({' and '.join(limits)})" if limits else self.doc


def param(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    options: tuple | None = None,
    log: bool = False,
    weight: bool = False,
    longest: int | None = None,
) -> Any:
    """Declare a hyper-parameter.

    `low`, `high` bound numbers and the entries of sequences, both included; `longest` bounds how many entries there are.
    `options` lists the allowed strings; other types that the annotation names stay allowed. `log` asks a search to sample
    on a logarithmic scale.
    `weight` says that the network keeps the value in a weight: compiled functions are shared over all values but zero.
    """
    return Param(default, doc, low, high, options, log, weight, longest)


def _collect(cls: type) -> dict[str, Param]:
    """Fields of a class and its bases, network first, with each class's `defaults` applied, and those `without` left out."""
    fields: dict[str, Param] = {}
    for base in reversed(cls.__mro__):
        hints = inspect.get_annotations(base)
        for name, value in vars(base).items():
            if isinstance(value, Param):
                fields[name] = replace(value, type=str(hints.get(name, "Any")))
    for base in reversed(cls.__mro__):
        for name, default in vars(base).get("defaults", {}).items():
            if name in fields:  # a network may set defaults of its training, which only the estimator has
                fields[name] = replace(fields[name], default=default)
    for base in reversed(cls.__mro__):
        for name in vars(base).get("without", ()):
            fields.pop(name, None)
    return fields


def _make_init(fields: Mapping[str, Param]) -> Callable[..., None]:
    def __init__(self, **given: Any) -> None:
        unknown = sorted(set(given) - set(fields))
        if unknown:
            raise TypeError(f"{type(self).__name__} has no parameter {unknown[0]!r}; it has {', '.join(fields)}")
        for name, field in fields.items():
            setattr(self, name, given.get(name, field.default))

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [inspect.Parameter(n, keyword, default=f.default, annotation=f.type) for n, f in fields.items()]
    setattr(__init__, "__signature__", inspect.Signature([own, *parameters]))  # noqa: B010  a function has no such typed attribute
    return __init__


def _document(cls: type, fields: Mapping[str, Param]) -> str:
    summary, _, rest = inspect.cleandoc(vars(cls).get("__doc__") or f"{cls.__name__}.").partition("\n")
    lines = [summary, "", "Parameters", "----------"]
    for name, field in fields.items():
        lines += [f"{name} : {field.type}, default={field.default!r}", f"    {field.describe()}."]
    return "\n".join([*lines, *([rest] if rest.strip() else [])]) + "\n"


@typing.dataclass_transform(kw_only_default=True, field_specifiers=(param,))
class Parameters:
    """Base of classes whose hyper-parameters are declared with `param`."""

    defaults: ClassVar[dict[str, Any]] = {}
    without: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[dict[str, Param]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.fields = _collect(cls)
        if "__init__" not in vars(cls):
            setattr(cls, "__init__", _make_init(cls.fields))  # noqa: B010  assigned once, when the class is made
        cls.__doc__ = _document(cls, cls.fields)

    def check_params(self) -> None:
        """Raise `ParameterError` for the first parameter outside its documented range."""
        for name, field in self.fields.items():
            _check(type(self).__name__, name, getattr(self, name), field)

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """A fit that fails leaves the model of an earlier fit as it was."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    @classmethod
    def search_space(cls) -> dict[str, Param]:
        """Parameters that a search may vary: those with both bounds, or with options."""
        return {n: f for n, f in cls.fields.items() if f.options or (f.low is not None and f.high is not None)}


def _fits(value: Any, hint: str) -> bool:
    """Whether a value is of one of the types in an annotation such as `tuple[int, ...] | str`."""
    parts: Any = value
    number = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    tests = {
        "int": number and isinstance(value, numbers.Integral),
        "float": number,
        "str": isinstance(value, str),
        "bool": isinstance(value, (bool, np.bool_)),
        "tuple": isinstance(value, (tuple, list)),
        "list": isinstance(value, (tuple, list)),
        "dict": isinstance(value, Mapping),
        "None": value is None,
        "Callable": callable(value),
    }
    for kind, _, entries in (part.strip().partition("[") for part in hint.split("|")):
        inner = entries.rstrip("]").removesuffix(", ...")
        if tests.get(kind, True) and (kind != "tuple" or not inner or all(_fits(entry, inner) for entry in parts)):
            return True
    return False


def _check(owner: str, name: str, value: Any, field: Param) -> None:
    if not _fits(value, field.type):
        raise ParameterError(f"{owner}({name}={value!r}): expected {field.type}: {field.describe()}")
    entries: list[Any] = list(value) if isinstance(value, (tuple, list)) else [value]
    numeric: list[Any] = [v for v in entries if isinstance(v, numbers.Real) and not isinstance(v, bool)]
    low, high = (-math.inf if field.low is None else field.low), (math.inf if field.high is None else field.high)
    wrong = len(entries) > (field.longest or math.inf) or any(not low <= v <= high for v in numeric)
    if isinstance(value, str) and field.options is not None:
        wrong = value not in field.options
    if wrong:
        raise ParameterError(f"{owner}({name}={value!r}): expected {field.describe()}")
