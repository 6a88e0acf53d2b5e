"""The command line: fit, evaluate, predict, schema, doctor on CSV and Parquet files of tables and of series to forecast."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import tabdl
from tabdl.errors import TabdlError, one_line

if TYPE_CHECKING:
    import pandas as pd

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
TASKS = ("auto", "classifier", "regressor")
ROLES = ("time", "id", "known", "past", "static")  # of the columns of a long table


class Failure(click.ClickException):
    """Ends a command with one line and exit code 1."""

    def show(self, file: Any = None) -> None:
        click.echo(f"error: {self.message}", file=file or sys.stderr)


class Commands(click.Group):
    """A group whose commands end with one line instead of a traceback, unless --debug is given."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = lambda message, *_, **__: click.echo(f"note: {one_line(message)}", err=True)
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if _debugging(ctx):
                raise
            raise Failure(_explain(error)) from None


def _explain(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{error.name} is not installed; pip install {error.name} (KERAS_BACKEND chooses another backend for Keras)"
    if isinstance(error, (TabdlError, FileNotFoundError)) and not getattr(error, "errno", None):
        return one_line(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {one_line(error)} (--debug shows where)"


def _debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    root = ctx.find_root()
    root.obj = {"debug": value or bool(root.obj and root.obj["debug"])}


def _debugging(ctx: click.Context | None = None) -> bool:
    return (ctx or click.get_current_context()).find_root().obj["debug"]


def debug_option(command: Callable[..., Any]) -> Any:
    return click.option("--debug", is_flag=True, expose_value=False, is_eager=True, callback=_debug, help="Show tracebacks.")(
        command
    )


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(tabdl.__version__)
@debug_option
def cli() -> None:
    """Deep learning on tables: fit on a CSV or Parquet file, then evaluate and predict."""


# ---- fit ---------------------------------------------------------------------------------------------------------------


def _pairs(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"expected NAME=VALUE, received {value!r}", param=parameter)
        pairs[name.strip()] = text.strip()
    return pairs


def _one_or_several(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> str | tuple[str, ...]:
    return values[0] if len(values) == 1 else values


@cli.command()
@click.argument("table", type=FILE)
@click.option(
    "--target", required=True, multiple=True, callback=_one_or_several, help="Column to predict; several with --horizon."
)
@click.option(
    "--model",
    default="tabular",
    show_default=True,
    help="Architecture: cnn, dcn, embedding, fttransformer, inception, lite, mlp, neighbors, realmlp, resnet, rnn, rocket, "
    "sequencetransformer, series, tabm, tabular, tcn. A network of your own only by its entry point in the group tabdl.models. "
    "With --horizon: cnn, forecaster, patchtst, ridge, rnn, segrnn, tcn, tsmixer.",
)
@click.option("--task", type=click.Choice(TASKS), default="auto", show_default=True, help="auto looks at the target.")
@click.option("--out", type=NEW_FILE, default=Path("model.tabdl"), show_default=True, help="Where the model goes.")
@click.option("--set", "settings", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="A parameter, e.g. members=16.")
@click.option("--kind", "kinds", multiple=True, callback=_pairs, metavar="COLUMN=KIND", help="E.g. zip=category, size=S<M<L.")
@click.option("--drop", multiple=True, metavar="COLUMN", help="A column that the model must not see.")
@click.option("--weight", metavar="COLUMN", help="Column with the weight of each row.")
@click.option("--test-fraction", type=click.FloatRange(0, 0.9), default=0.2, show_default=True, help="Rows held out for scores.")
@click.option("--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Longest training.")
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training rows.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of split, weights and order.")
@click.option(
    "--curve",
    "--picture",
    "curve",
    type=NEW_FILE,
    help="Learning curve, or forecasts; default: beside the model, ending in .png.",
)
@click.option("--horizon", type=click.IntRange(1), metavar="STEPS", help="Forecast the target so many steps ahead; needs --time.")
@click.option("--time", metavar="COLUMN", help="Column of times of a long table.")
@click.option("--id", multiple=True, metavar="COLUMN", help="Column that tells the series of a long table apart.")
@click.option("--known", multiple=True, metavar="COLUMN", help="Column known ahead, for forecasts.")
@click.option("--past", multiple=True, metavar="COLUMN", help="Column known up to the last step, for forecasts.")
@click.option("--static", multiple=True, metavar="COLUMN", help="Column with one value a series, for forecasts.")
@click.option("--quiet", is_flag=True, help="No progress bar, no schema.")
@debug_option
def fit(table: Path, out: Path, curve: Path | None, quiet: bool, **options: Any) -> None:
    """Fit a model on TABLE, score it on held-out rows, save it. With --id: on series of a long table; --horizon: forecasts."""
    from tabdl import commands
    from tabdl.scoring import format_scores

    curve = curve or out.with_suffix(".png")
    _check_places(table, out, curve)
    options["settings"] = _parameters(options)
    if _forecasts(options):
        _fit_forecaster(table, out, curve, quiet, options)
        return
    ids, name = options["id"], "series" if options["id"] and not _given("model") else options["model"]
    rows = commands.read_rows(table, options["target"], options["drop"], options["weight"], ids=ids)
    task, reason = commands.choose_task(rows, options["task"])
    click.echo(f"task: {task} ({reason})", err=True)
    commands.start_backend(quiet=not _debugging())
    roles = {"id": ids, "time": options["time"]} if ids else {}
    model = _estimator(name, task, roles | options["settings"] | {"verbose": 0 if quiet else 1})
    train, test = rows.split(options["test_fraction"], options["seed"], task == "classifier")
    model.fit(train.X, train.y, train.weight, schema=_kinds(options["kinds"]))
    if not quiet:
        click.echo(f"\n{model.schema_}\n")
    click.echo(f"{type(model).__name__}, {train.count} to learn from, best epoch {model.best_epoch_}")
    if test is not None:
        click.echo(f"scores on {test.count.replace(' ', ' held-out ')}:\n{format_scores(test.scores(model))}")
    tabdl.save(model, out)
    model.plot_history(curve)
    click.echo(f"model: {out}\nlearning curve: {curve}")


def _fit_forecaster(table: Path, out: Path, curve: Path, quiet: bool, options: dict[str, Any]) -> None:
    from tabdl import commands, forecast_files
    from tabdl.tablefiles import read_table

    name = options["model"] if _given("model") else "forecaster"
    roles = {role: options[role] or None for role in ("target", "horizon", *ROLES)}
    commands.start_backend(quiet=not _debugging())
    model = _estimator(name, "forecaster", roles | options["settings"] | {"verbose": 0 if quiet else 1})
    rows = read_table(table)
    model.fit(rows)
    click.echo(forecast_files.describe(model))
    tabdl.save(model, out)
    click.echo(f"model: {out}\nforecasts: {forecast_files.draw(model, rows, curve)}")


def _forecasts(options: dict[str, Any]) -> bool:
    """Whether a forecaster is asked for; options that do not fit together are refused."""
    if options["horizon"] is None:
        _refuse(("known", "past", "static"), "is for forecasts; add --horizon STEPS, or leave it out")
        if options["time"] is not None and not options["id"]:
            raise click.UsageError("--time orders the steps of series: add --id COLUMN or, for forecasts, --horizon STEPS")
        if not isinstance(options["target"], str):
            named = ", ".join(map(repr, options["target"]))
            raise click.UsageError(
                f"--target: expected one column, received {named}; fit a model for each, or add --horizon STEPS"
            )
        return False
    if options["time"] is None:
        raise click.BadParameter("expected the column of times as well; add --time COLUMN", param_hint="--horizon")
    _refuse(("task", "kinds", "drop", "weight", "test_fraction"), "is not for forecasts; leave it or --horizon out")
    return True


def _given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _refuse(names: Iterable[str], reason: str) -> None:
    """End with the first of these options that was given."""
    for parameter in click.get_current_context().command.params:
        if parameter.name in names and _given(parameter.name):
            raise click.UsageError(f"{parameter.opts[0]} {reason}")


def _check_places(table: Path, out: Path, curve: Path) -> None:
    """Refuse, before anything is read, places that do not exist and those that hold what the user still needs."""
    for option, path in {"--out": out, "--curve": curve}.items():
        if not path.absolute().parent.is_dir():
            raise click.BadParameter(f"the folder {path.parent} does not exist; create it first", param_hint=option)
        _refuse_overwriting(option, path, table)
    if _same_file(out, curve):
        raise click.BadParameter(f"expected two different files, received {out} for both", param_hint="--out, --curve")
    from tabdl.tablefiles import is_table

    for option, path in {"--out": out, "--curve": curve}.items():
        if is_table(path):
            expected = "a model file such as model.tabdl" if option == "--out" else "a picture such as curve.png"
            raise click.BadParameter(f"expected {expected}, received the name of a table, {path}", param_hint=option)


def _refuse_overwriting(option: str, path: Path, *inputs: Path) -> None:
    for source in inputs:
        if _same_file(path, source):
            raise click.BadParameter(f"{path} is the input file {source}; choose another name", param_hint=option)


def _same_file(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def _parameters(options: dict[str, Any]) -> dict[str, Any]:
    """Estimator parameters: the options that have a name of their own, then --set."""
    named = {"epochs": options["epochs"], "time_limit": options["time_limit"], "random_state": options["seed"]}
    return {k: v for k, v in named.items() if v is not None} | {k: _literal(v) for k, v in options["settings"].items()}


def _literal(text: str) -> Any:
    import ast

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _kinds(given: dict[str, str]) -> dict[str, Any]:
    from tabdl.schema import KINDS

    for column, kind in given.items():
        if kind not in KINDS and "<" not in kind:
            expected = f"one of {', '.join(KINDS)}, or values in order such as S<M<L"
            raise click.BadParameter(f"{column}={kind}: expected {expected}", param_hint="--kind")
    return {column: [v.strip() for v in kind.split("<")] if "<" in kind else kind for column, kind in given.items()}


def _estimator(name: str, task: str, parameters: dict[str, Any]) -> Any:
    from tabdl import commands
    from tabdl.errors import ParameterError

    try:
        cls: Any = commands.find_model(name, task)
        idle = {"random_state", "verbose"} - set(cls.fields) if task == "forecaster" else set()  # nothing is drawn or shown
        model = cls(**{k: v for k, v in parameters.items() if k not in idle})
        model.check_params()
    except (ParameterError, TypeError) as error:
        raise click.BadParameter(one_line(error), param_hint="--model, --set") from None
    return model


# ---- evaluate, predict -------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("model", type=FILE)
@click.argument("table", type=FILE)
@click.option("--target", help="Column with the truth; default: the one column that the model does not know.")
@click.option("--weight", metavar="COLUMN", help="Column with the weight of each row.")
@click.option("--origins", type=click.IntRange(1), default=4, show_default=True, help="Of a forecaster's backtest.")
@click.option("--json", "as_json", is_flag=True, help="Scores as JSON.")
@debug_option
def evaluate(model: Path, table: Path, target: str | None, weight: str | None, origins: int, as_json: bool) -> None:
    """Score a saved MODEL on the rows of TABLE; of a forecaster, backtest a copy that learns from the rows before."""
    from tabdl import commands, forecast_files
    from tabdl.scoring import format_scores
    from tabdl.timeline import as_names

    commands.start_backend(quiet=not _debugging())
    estimator = tabdl.load(model)
    if forecast_files.is_forecaster(estimator):
        _refuse(("target", "weight"), "is not for forecasters; leave it out")
        _show_backtest(forecast_files.judge(estimator, table, origins), table, as_json)
        return
    _refuse(("origins",), f"is for forecasters, the model is a {type(estimator).__name__}; leave it out")
    target = target or commands.guess_target(estimator, table, weight)
    ids = as_names(getattr(estimator, "id", None))
    rows = commands.read_rows(table, target, (), weight, commands.text_columns(estimator, target), ids)
    scores = rows.scores(estimator)
    if as_json:
        click.echo(json.dumps({"rows": len(rows.first), "target": target, **scores}))
    else:
        click.echo(f"scores on {rows.count} of {table}, target {target!r}:\n{format_scores(scores)}")


def _show_backtest(found: Any, table: Path, as_json: bool) -> None:
    origins = [str(origin) for origin in found.by_origin.index.get_level_values("origin").unique()]
    if as_json:
        click.echo(json.dumps({"origins": origins, "scores": json.loads(found.scores.to_json(orient="index"))}))
    else:
        click.echo(f"backtest on {table}, origins {', '.join(origins)}; lower is better but for coverage")
        click.echo(found.scores.to_string(float_format="{:.3f}".format, index_names=False))


@cli.command()
@click.argument("model", type=FILE)
@click.argument("table", type=FILE)
@click.option("--future", type=FILE, help="Known columns of the steps to forecast; default: TABLE's rows after the last target.")
@click.option("--out", type=NEW_FILE, help="CSV (also .gz) or Parquet file; default: CSV on standard output.")
@click.option("--proba", is_flag=True, help="Also one column probability_<class> a class.")
@click.option("--chunk-rows", type=click.IntRange(1), default=50_000, show_default=True, help="Rows in memory at a time.")
@debug_option
def predict(model: Path, table: Path, future: Path | None, out: Path | None, proba: bool, chunk_rows: int) -> None:
    """Add a column `prediction` to the rows of TABLE, in their order; of a forecaster, write what follows TABLE."""
    from tabdl import commands, forecast_files
    from tabdl.tablefiles import is_parquet, is_table, write_table

    if out is not None and not is_table(out):
        raise click.BadParameter(f"expected a name ending in .csv, .csv.gz or .parquet, received {out}", param_hint="--out")
    if out is not None:
        _refuse_overwriting("--out", out, table, model, *([future] if future else []))
    commands.start_backend(quiet=not _debugging())
    estimator = tabdl.load(model)
    if proba and not hasattr(estimator, "predict_proba"):
        raise click.BadParameter(f"a {type(estimator).__name__} predicts numbers, it has no probabilities", param_hint="--proba")
    if forecast_files.is_forecaster(estimator):
        chunks = iter([forecast_files.forecast(estimator, table, future)])
    else:
        _refuse(("future",), f"is for forecasters, the model is a {type(estimator).__name__}; leave it out")
        typed = out is not None and is_parquet(out)
        chunks: Iterator[pd.DataFrame] = commands.predicted(estimator, table, proba, chunk_rows, typed)
    rows = write_table(chunks, sys.stdout if out is None else out)
    if out is not None:
        click.echo(f"{rows} predictions: {out}", err=True)


# ---- schema, doctor ----------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("source", type=FILE, metavar="MODEL|TABLE")
@click.option("--json", "form", flag_value="json", help="The schema as JSON.")
@click.option("--json-schema", "form", flag_value="json-schema", help="JSON Schema of one record, for services.")
@debug_option
def schema(source: Path, form: str | None) -> None:
    """Show what the columns of a saved model are, or what would be inferred for a table."""
    from tabdl import commands
    from tabdl.tablefiles import is_table

    if not is_table(source):
        commands.start_backend(quiet=not _debugging())
    found = commands.schema_of(source)
    shown = {"json": found.to_json, "json-schema": found.json_schema}
    click.echo(json.dumps(shown[form](), indent=2) if form else str(found))


@cli.command()
@click.argument("model", type=FILE, required=False)
@debug_option
@click.pass_context
def doctor(ctx: click.Context, model: Path | None) -> None:
    """Check the installation: versions, backend, devices, a tiny fit, and whether MODEL loads."""
    from tabdl import diagnosis

    failed = 0
    for name, examine in diagnosis.examinations(model):
        try:
            click.echo(f"{name:<10} {examine()}")
        except Exception as error:
            if _debugging(ctx):
                raise
            failed += 1
            click.echo(f"{name:<10} FAILED: {_explain(error)}")
    click.echo(f"{failed} of the checks failed" if failed else "all is well")
    ctx.exit(1 if failed else 0)


def main() -> None:
    """The `tabdl` command."""
    cli(prog_name="tabdl")
