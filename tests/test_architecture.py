"""The rules of the house, read from the source: layers, sizes, who may import what, and a cheap front door."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import tabdl

PACKAGE = Path(tabdl.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES = 400, 40
LAYERS = (  # a file imports only from its own layer or lower ones
    {
        *("errors", "params", "frames", "cells", "quantiles", "credibility", "archive", "parquet", "series", "accuracy"),
        *("pictures", "times", "seasons", "panel", "anomalies"),
    },
    {"inference", "schema", "spec", "encoding", "targets", "timeline", "splitting", "events"},
    {"backends", "layers"},
    {"network", "training"},
    {"estimators"},
    {"models"},
    {"artifact", "datasets", "testing", "exporting", "explaining", "stream"},
    {
        *("tablefiles", "scoring", "backtesting", "diagnosis", "commands", "forecast_files", "report", "tuning", "tracking"),
        "conversion",
    },
    {"cli", "__main__"},
)
SEPARATE = {5, 6}  # layers whose files know nothing of each other
BACKENDS = {"tensorflow", "jax", "torch"}
BACKEND_FILES = {"backends.py", "exporting.py"}
OWNERS = {  # package -> the parts that may import it; everywhere but in the CLI, inside functions
    "click": "cli",
    "tqdm": "training",
    "matplotlib": "pictures",
    "shap": "explaining",
    "bentoml": "serving",
    "mlflow": "tracking",
    "optuna": "tuning",
}
HEAVY = {"keras", "pandas", "sklearn", "scipy", "matplotlib", "narwhals", *BACKENDS}
PLAIN = {"__init__", "__main__", "errors", "spec"}  # nothing of their own to test
TESTED_BY = {"cells": "schema", "inference": "schema", "backends": "contract", "network": "contract", "testing": "contract"}
SLOWEST_IMPORT = 0.050  # seconds


def place(file: Path) -> str:
    """Path of a file inside the package, and the id of its tests."""
    return file.relative_to(PACKAGE).as_posix()


def part(name: str) -> str:
    """ "tabdl.layers.blocks" -> "layers"; "" for the front door."""
    return (name.split(".") + [""])[1]


def layer(name: str) -> int:
    found = [number for number, parts in enumerate(LAYERS) if part(name) in parts]
    assert found, f"{name} has no layer yet: give it one in {Path(__file__).name}"
    return found[0]


def module(file: Path) -> str:
    return ".".join(["tabdl", *file.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


@cache
def modules() -> set[str]:
    return {module(file) for file in FILES}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """(imported module, whether it is imported inside a function); imports for type checkers left out."""

    def visit(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            yield from ((name.name, inside) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{place(file)}: imports are absolute"
            base = node.module or ""
            yield from ((f"{base}.{n.name}" if f"{base}.{n.name}" in modules() else base, inside) for n in node.names)
        deeper = inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, deeper)

    yield from visit(tree(file), False)


each_file = pytest.mark.parametrize("file", FILES, ids=place)


@each_file
def test_imports_from_lower_layers_only(file: Path) -> None:
    own = module(file)
    if part(own) == "":
        return  # the front door finds names on first use
    discovered = ("tabdl.models", True)  # the catalogue, inside a function: by name a file may use any architecture
    for name in {name for name, inside in imports(file) if name.split(".")[0] == "tabdl" and (name, inside) != discovered}:
        if name == "tabdl":
            assert layer(own) >= 6, f"{own} goes through the front door; import from the file that has the name"
            continue
        assert layer(name) <= layer(own), f"{own} (layer {layer(own)}) imports {name} (layer {layer(name)})"
        if layer(own) in SEPARATE and name != own:
            found = name == "tabdl.models"  # the catalogue, by which a mixture finds its parts
            assert found or layer(name) < layer(own) or part(name) == part(own) != "models", (
                f"{own} imports {name} of its own layer"
            )
        if part(name) == "models":
            assert name == "tabdl.models", f"{own} imports {name}; models are found, not imported"


def test_imports_have_no_cycle() -> None:
    graph = {module(f): {n for n, inside in imports(f) if n in modules() and not inside and n != "tabdl"} for f in FILES}
    assert tuple(TopologicalSorter(graph).static_order())


@each_file
def test_backends_are_named_in_one_place(file: Path) -> None:
    if place(file) not in BACKEND_FILES:
        named = {name.split(".")[0] for name, _ in imports(file)} & BACKENDS
        assert not named, f"{place(file)} imports {named}; only {BACKEND_FILES} may"


@each_file
def test_the_lowest_layers_do_not_know_keras(file: Path) -> None:
    if part(module(file)) and layer(module(file)) < 2:
        assert "keras" not in {name.split(".")[0] for name, _ in imports(file)}


@each_file
def test_optional_packages_have_one_owner(file: Path) -> None:
    for name, inside in imports(file):
        package = name.split(".")[0]
        if package in OWNERS:
            assert part(module(file)) == OWNERS[package], f"{place(file)} imports {package}, which {OWNERS[package]} owns"
            assert inside or package == "click", f"{place(file)} imports {package} outside of a function"


@each_file
def test_files_and_functions_are_short(file: Path) -> None:
    lines = len(file.read_text(encoding="utf-8").splitlines())
    assert lines <= MOST_LINES, f"{place(file)} has {lines} lines"
    for node in ast.walk(tree(file)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1 - doc_lines(node)
            assert length <= MOST_FUNCTION_LINES, f"{place(file)}: {node.name} has {length} lines"


def doc_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    documented = ast.get_docstring(function) is not None
    return first.end_lineno - first.lineno + 1 if documented else 0


@each_file
def test_every_file_says_what_it_is(file: Path) -> None:
    assert ast.get_docstring(tree(file)) or not file.read_text(encoding="utf-8").strip(), f"{place(file)} has no docstring"


@each_file
def test_public_functions_have_types(file: Path) -> None:
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
            assert not bare, f"{place(file)}: {node.name} has arguments without a type: {bare}"
            assert node.returns is not None or node.name == "forward", f"{place(file)}: {node.name} has no return type"


def python(code: str) -> str:
    """What a new process prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_import_is_cheap() -> None:
    code = "import time; start = time.perf_counter(); import tabdl; print(time.perf_counter() - start)"
    assert statistics.median(float(python(code)) for _ in range(5)) <= SLOWEST_IMPORT


def test_import_loads_nothing_heavy() -> None:
    assert set(eval(python("import sys, tabdl; print(set(sys.modules))"))) & HEAVY == set()


def test_the_command_line_starts_without_anything_heavy() -> None:
    assert set(eval(python("import sys, tabdl.cli; print(set(sys.modules))"))) & HEAVY == set()


@pytest.mark.parametrize(
    "name", ["TabMClassifier", "MLPRegressor", "EmbeddingClassifier", "ResNetRegressor", "FTTransformerRegressor"]
)
def test_keras_is_not_loaded_before_fit(name: str) -> None:
    loaded = set(eval(python(f"import sys, tabdl; tabdl.{name}(); print(set(sys.modules))")))
    assert loaded & {"keras", *BACKENDS} == set()


def test_stub_lists_what_is_found() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    named = {
        alias.asname: (node.module, alias.name) for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert {*named, "__version__"} == set(dir(tabdl))
    for name, (source, original) in named.items():
        home = sys.modules.get(source) or __import__(source, fromlist=[original])
        assert getattr(tabdl, name) is getattr(home, original), name
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(tabdl, "no_such_name")  # noqa: B009


def test_distribution_and_package_have_one_version() -> None:
    from importlib.metadata import version

    assert version("tabdl") == tabdl.__version__


def test_tests_mirror_sources() -> None:
    tested = {file.stem.removeprefix("test_") for file in Path(__file__).parent.glob("test_*.py")}
    untested = {f.stem for f in PACKAGE.glob("*.py")} - tested - PLAIN
    missing = sorted(name for name in untested if TESTED_BY.get(name, name) not in tested)
    assert not missing, f"no tests/test_X.py for {missing}"


def test_ridge_needs_no_keras() -> None:
    code = (
        "import sys, numpy as np, tabdl\n"
        "table = {'t': list(range(60)), 'y': np.sin(np.arange(60)).tolist()}\n"
        "tabdl.RidgeForecaster(horizon=3, time='t', target='y').fit(table).predict()\n"
        "print('keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip() == "False"
