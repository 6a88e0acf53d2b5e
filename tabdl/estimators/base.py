"""What every estimator does in `fit`: check, encode, train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tabdl.encoding.table import TableEncoder
from tabdl.errors import ParameterError, TargetError
from tabdl.estimators import streaming
from tabdl.estimators.calibration import effective_rows
from tabdl.estimators.prediction import Predictor
from tabdl.estimators.rows import (
    Fold,
    Rows,
    automatic_folds,
    check_roles,
    check_rows,
    check_schema,
    derive,
    draw_seed,
    hold_out,
    join_weights,
    make_folds,
    read_rows,
    rows_to_learn,
)
from tabdl.estimators.trainable import Trainable
from tabdl.estimators.trained import Live, start_backend
from tabdl.frames import Frame
from tabdl.network import network_class
from tabdl.params import param
from tabdl.parquet import Parquet
from tabdl.schema import Schema
from tabdl.targets import Target


class Estimator(Trainable, Predictor):
    """Base of all estimators: `fit` on any table, `predict` in the units of y."""

    validation_fraction: float = param(
        0.15, "share of the rows held out when no X_val is given; none when 0, or when that is less than 5 rows", low=0, high=0.5
    )
    bagging: int | str = param(
        1,
        "folds of the rows: models learn from all folds but one, with an encoder of their own, and that one picks their best "
        "epoch; their predictions are averaged, and `out_of_fold_` has each row's by those that have not seen it, NaN where its "
        "weight is zero; probabilities there are at the temperature of `predict_proba`; 'auto': 5 for 20 to 5,000 rows, "
        "where rows are dear and time is cheap, 3 to 10,000, and 1 with X_val, validation_fraction=0, `warm_start` or a stream",
        low=1,
        high=64,
        options=("auto",),
    )
    warm_start: bool = param(False, "whether the next fit goes on from the weights of the last one")

    # ---- fit -------------------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        schema: Schema | dict[str, str] | None = None,
    ) -> Any:
        """Learn from a raw table.

        Parameters
        ----------
        X : table (rows, columns): DataFrame of pandas, polars or pyarrow, array, list of lists or of dicts; or tabdl.Parquet
            Numbers, text, dates, booleans, gaps as they are. A `tabdl.Parquet` file need not fit into memory: see there how it
            is read, and what `epochs`, `patience` and `history_` mean then.
        y : array (rows,) or (rows, outputs), or the name of a column of X
            What to predict. Durations count in seconds.
        sample_weight : array (rows,) or the name of a column of X, optional
            Weight of each row in loss, encoding and scaling; an integer counts like repeated rows.
        X_val, y_val, sample_weight_val : like X, y, sample_weight, optional
            Rows for early stopping, instead of a share of X.
        schema : Schema or {column: kind}, optional
            What the columns are, or corrections to what would be inferred: {"zip": "category"}.

        Returns
        -------
        The fitted estimator itself.

        Raises
        ------
        ParameterError, SchemaError, TargetError
            When parameters, X or y cannot be used; the message says what to change.
        """
        with self._all_or_nothing():
            self._fit(X, y, sample_weight, X_val, y_val, sample_weight_val, schema)
        return self

    def _fit(self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any, sample_weight_val: Any, schema: Any) -> None:
        self.check_params()
        if (X_val is None) != (y_val is None):
            raise ParameterError("X_val and y_val belong together: give both or neither")
        if X_val is None and sample_weight_val is not None:
            raise ParameterError("sample_weight_val is the weight of the rows of X_val: give X_val and y_val, or leave it out")
        warm = self.warm_start and hasattr(self, "weights_")
        if warm and len(self.encoders_) > 1:
            raise ParameterError(
                f"warm_start goes on with one model, received a last fit with one for each of {len(self.encoders_)} folds; "
                "fit with warm_start=False, or give both fits bagging=1"
            )
        check_schema(schema, y, sample_weight)
        seed = draw_seed(self.random_state)
        streaming.refuse_long(X_val)
        rows = self._read_rows(X, y, sample_weight, seed, self.schema_ if warm else None)
        held = None if X_val is None else self._read_rows(X_val, y_val, sample_weight_val, like=rows.frame)
        check_rows(rows, told=isinstance(schema, Schema))
        target = self.target_ if warm else self._make_target(rows)
        folds = self._count_folds(rows, alone=held is not None or warm)
        fraction = self._held_fraction(rows, target, warm)
        if held is None and fraction > 0 and folds == 1:
            most = None if rows.stream is None else streaming.HELD
            rows, held = rows.split(*hold_out(rows.y, fraction, seed, self._stratify(rows.y), most))
        if not warm:
            self._learn_columns(rows, schema, seed, folds, held)
        self.target_ = target
        self._train(rows, self._folds(rows, held, folds, seed), seed)

    def _count_folds(self, rows: Rows, alone: bool) -> int:
        """`bagging` as a number; alone: whether this fit cannot hold out folds of its rows."""
        if isinstance(self.bagging, str):
            alone = alone or self.warm_start or self.validation_fraction == 0 or rows.stream is not None
            return 1 if alone else automatic_folds(rows.frame.rows)
        if self.bagging > 1 and alone:
            raise ParameterError(f"bagging={self.bagging} holds out folds of X itself; leave out X_val, y_val and warm_start")
        return self.bagging

    def _continue(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> Any:
        """One pass over some rows, at the constant peak rate; the first call learns the columns and scales."""
        with self._all_or_nothing():
            self._pass(X, y, classes, sample_weight)
        return self

    def _pass(self, X: Any, y: Any, classes: Any, sample_weight: Any) -> None:
        self.check_params()
        if not isinstance(self.bagging, str) and self.bagging > 1:
            raise ParameterError(
                f"bagging={self.bagging} holds out folds of all rows, which partial_fit never has; use bagging=1"
            )
        known, seed = hasattr(self, "weights_"), draw_seed(self.random_state)
        rows = self._read_rows(X, y, sample_weight, like=self.schema_ if known else None)
        if not known:
            everything = rows if classes is None else Rows(rows.frame, np.asarray(classes), None, list(classes))
            target = self._make_target(everything)
            self._learn_columns(rows, None, seed)
            self.target_, self.encoders_ = target, [self.encoder_]
        else:
            self._check_columns(rows)
        self.partial_steps_ = getattr(self, "partial_steps_", 0) + 1
        seed = derive(seed, f"partial {self.partial_steps_}")
        self._train(rows, [self._fold(encoder, rows, None, None, None) for encoder in self.encoders_], seed, partial=True)

    def _read_rows(self, X: Any, y: Any, sample_weight: Any, seed: int | None = None, like: Frame | Schema | None = None) -> Rows:
        """seed: of the sample of a long Parquet file, None where none is expected. like: as of `read_table`."""
        if y is None:
            raise TargetError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        check_roles(y, sample_weight)
        if isinstance(X, Parquet):
            streaming.check_names(X, y, sample_weight)
            if X.rows > streaming.SAMPLE:
                return streaming.begin(self, X, y, sample_weight, seed)
            X = X.read()
        return read_rows(self, X, y, sample_weight, like)

    def _learn_columns(
        self, rows: Rows, schema: Schema | dict[str, str] | None, seed: int, folds: int = 1, held: Rows | None = None
    ) -> None:
        """Schema and encoder of the training rows; held: others, whose series may be longer."""
        if not isinstance(schema, Schema):
            schema = Schema.infer(rows.frame, kinds=schema, weight=rows.weight)
        elif rows.frame.times is not None:
            schema = replace(schema, times=rows.frame.times)
        for name in ("feature_names_in_", "partial_steps_", "weights_"):
            if hasattr(self, name):
                delattr(self, name)
        self.schema_ = schema
        owner = type(self).__name__
        frame = schema.read(rows.frame, owner)
        beside = schema.read(held.frame, owner) if held is not None and schema.channels else None
        self.encoder_ = self._new_encoder(schema, seed).fit(frame, rows.weight, beside)
        self.sizes_ = self._sizes(rows_to_learn(rows.total, folds))
        steps = rows.frame.steps
        names = steps if isinstance(steps, tuple) and steps else list(rows.frame.columns)
        self.n_features_in_ = steps if isinstance(steps, int) else len(names)
        if rows.frame.named or names is steps:
            self.feature_names_in_ = np.array(names, dtype=object)

    def _new_encoder(self, schema: Schema, seed: int) -> TableEncoder:
        return TableEncoder(schema, **self.encoding(derive(seed, "encoder")))

    def _sizes(self, rows: int) -> dict[str, Any]:
        """Parameters that are 'auto', for a training table of so many rows."""
        spec = self.encoder_.spec
        return network_class(type(self)).automatic(rows, spec.numbers + spec.flags + len(spec.categories))

    def _check_columns(self, rows: Rows) -> None:
        self._check_steps(rows.frame)
        self.schema_.read(rows.frame, owner=type(self).__name__)

    def _train(self, rows: Rows, folds: list[Fold], seed: int, *, partial: bool = False) -> None:
        start_backend()
        if rows.stream is not None:
            rows.frame = Frame({}, rows.frame.rows)  # encoded, and nobody else has the cells: room for those that stream
        self.encoders_ = [fold.encoder for fold in folds]
        with self._on_device():
            found = self._fit_folds(rows, folds, seed, partial)
        for encoder in self.encoders_:
            encoder.forget()
        self._forget_held_out()
        if found:
            self._learn_from_held_out(*self._held_out(folds, found))
        if found and len(folds) > 1:
            order = np.argsort(np.concatenate([fold.held_rows for fold in folds if fold.held_rows is not None]))
            self.out_of_fold_ = rows.spread(self._calibrated(np.concatenate(found)[order]))
        if not partial:
            self._remove_checkpoints(len(folds))

    def _fit_folds(self, rows: Rows, folds: list[Fold], seed: int, partial: bool) -> list[np.ndarray]:
        """Train the copies of each fold; decoded predictions of each fold's held-out rows by those that have not seen them."""
        from tabdl.training.fitting import Source, fit_network

        weight = self._row_weights(rows)
        target = {"target": self.target_.encode(rows.y)}
        scale = 1.0 if weight is None else float(weight.mean())
        target["weight"] = np.ones(len(rows.y)) if weight is None else weight / scale
        count = self.copies * len(folds)
        seeds = [seed] if count == 1 else [derive(seed, f"copy {i}") for i in range(count)]
        blocks = streaming.make_blocks(self, rows, folds[0].encoder, scale)
        sources = [Source(fold.arrays, fold.rows, self._validation(fold), blocks) for fold in folds]
        fitted = fit_network(self, sources, target, seeds, start=getattr(self, "weights_", None), partial=partial)
        self.weights_, self.history_ = fitted.weights, fitted.history
        self.best_epoch_ = round(float(np.mean(fitted.best_epochs)))
        self._live = Live()
        self._live.ready = program, values = fitted.program, fitted.values
        return [
            self.target_.decode(
                program.forward(values[f * self.copies : (f + 1) * self.copies], [fold.held_arrays]).astype(np.float64)
            )
            for f, fold in enumerate(folds)
            if fold.held is not None
        ]

    def _held_out(self, folds: list[Fold], found: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, float]:
        """(y, outputs, weight, count of rows of equal weight that they tell of) of all held-out rows."""
        held = [fold.held for fold in folds if fold.held is not None]
        y = np.concatenate([part.y for part in held])
        weight, sample_weight = join_weights(map(self._row_weights, held)), join_weights(part.weight for part in held)
        return y, np.concatenate(found), weight, effective_rows(len(y), weight, sample_weight)

    def _fold(self, encoder: TableEncoder, rows: Rows, index: np.ndarray | None, held: Rows | None, rest: Any) -> Fold:
        owner = type(self).__name__
        held_arrays = {} if held is None else encoder.encode(held.frame, owner=owner)
        return Fold(encoder, encoder.encode(rows.frame, owner=owner), index, held, held_arrays, rest)

    def _folds(self, rows: Rows, held: Rows | None, count: int, seed: int) -> list[Fold]:
        if count == 1:
            return [self._fold(self.encoder_, rows, None, held, None)]
        pairs = make_folds(rows.y, count, seed, self._stratify(rows.y))
        frame = self.schema_.read(rows.frame, owner=type(self).__name__)
        codes = self.encoder_.codes(frame)
        folds = []
        for index, rest in pairs:
            weight = None if rows.weight is None else rows.weight[index]
            encoder = self._new_encoder(self.schema_, seed).fit_codes(codes[index], frame.take(index), weight, like=self.encoder_)
            folds.append(self._fold(encoder, rows, index, rows.take(rest), rest))
        return folds

    def _validation(self, fold: Fold) -> Any:
        """What training needs to score held-out rows: metric, direction, function of a predict function."""
        held, arrays = fold.held, fold.held_arrays
        if held is None:
            return None
        from tabdl.training import metrics
        from tabdl.training.train import Validation

        name, temper = self._metric(), self._tempering(held) if fold.held_rows is None else None
        self.target_.encode(held.y)  # refuses what training rows may not hold either
        truth, weight, score = self._truth(held.y), self._row_weights(held), metrics.METRICS[name]
        extra = {"levels": self.target_.head.levels} if name == "pinball" and self.target_.head.levels else {}

        def judge(forward: Callable[[dict[str, np.ndarray]], np.ndarray]) -> float:
            outputs = self.target_.decode(forward(arrays).astype(np.float64))
            return score(truth, outputs if temper is None else temper(truth, outputs, weight), weight, **extra)

        told = {"truth": truth, "tempered": np.array(temper is not None)} | ({} if weight is None else {"weight": weight})
        return Validation(name, name in metrics.LARGER_IS_BETTER, judge, arrays | told)

    def _row_weights(self, rows: Rows) -> np.ndarray | None:
        return rows.weight

    def _tempering(self, held: Rows) -> Callable[..., np.ndarray] | None:
        """What makes of truth, decoded outputs and weight of held-out rows the outputs that the validation score sees."""
        return None

    # ---- hooks of the kinds of task --------------------------------------------------------------------------------

    def _check_y(self, y: Any) -> np.ndarray:
        raise TypeError("abstract")

    def _make_target(self, rows: Rows) -> Target:
        raise TypeError("abstract")

    def _truth(self, y: np.ndarray) -> np.ndarray:
        raise TypeError("abstract")

    def _held_fraction(self, rows: Rows, target: Target, warm: bool) -> float:
        """Share of the rows to hold out."""
        return self.validation_fraction

    def _metric(self) -> str:
        raise TypeError("abstract")

    def _stratify(self, y: np.ndarray) -> bool:
        return False

    def _forget_held_out(self) -> None:
        """Drop what was learned from rows that an earlier model had not seen."""
        self.__dict__.pop("out_of_fold_", None)

    def _learn_from_held_out(self, y: np.ndarray, outputs: np.ndarray, weight: np.ndarray | None, count: float) -> None:
        """What a kind of task learns from predictions of rows that the model has not seen; nothing by default.

        weight: as in the validation score. count: of how many rows of equal weight they tell.
        """
