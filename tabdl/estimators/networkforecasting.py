"""Forecasters with a network: it learns what the linear forecast leaves, and counts as much as helps on held-out windows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from tabdl.encoding.table import TableEncoder
from tabdl.errors import SchemaError
from tabdl.estimators.forecasting import PanelForecaster
from tabdl.estimators.histories import History
from tabdl.estimators.horizons import (
    DOUBT,
    MOST_RESIDUAL,
    SHARES,
    Judged,
    add_residual,
    encode_windows,
    residuals,
    seen_steps,
    window_limit,
    window_units,
)
from tabdl.estimators.rows import derive, draw_seed
from tabdl.estimators.trainable import Trainable
from tabdl.estimators.trained import Live, Trained, start_backend
from tabdl.frames import Frame
from tabdl.params import param
from tabdl.schema import Schema
from tabdl.spec import Spec
from tabdl.targets import Numbers
from tabdl.training.effects import GAIN, Effects, Features, forecast_windows, window_features
from tabdl.training.forecasts import Fitted, Forecasts, Windows, cut_judged, cut_windows, scales, volatility

AT_ONCE = 1_000  # windows whose covariates are in memory as float64
FEWEST = 8  # windows to learn from, and to judge
UNSEEN = 1  # code of a category


@dataclass(frozen=True)
class Shapes:
    """In the place of an encoder, what training asks of one."""

    spec: Spec

    @property
    def private_numbers(self) -> np.ndarray:
        return np.zeros(self.spec.numbers, bool)


class NetworkForecaster(Trainable, Trained, PanelForecaster):
    """Base of forecasters with a network, which learns what the linear forecast of `RidgeForecaster` leaves.

    A subclass adds a network that reads "future". `share_` is what the network counts: 0 where it does not help in each third
    of the steps held out, or where these are too few to tell; `score_` is that of both together.
    """

    loss: str = param("mae", "what training makes small, in changes of a window over a season", options=("mae", "mse", "huber"))
    without = ("scale", "channels_first")

    encoder_: Shapes
    share_: float
    static_: dict[str, np.ndarray]
    static_encoder_: TableEncoder | None

    def network_params(self) -> dict[str, Any]:
        """Values of the hyper-parameters that belong to the network, not to the table or to training."""
        own: Any = super()
        return {k: v for k, v in own.network_params().items() if k in self.fields and k not in PanelForecaster.fields}

    # ---- fit -------------------------------------------------------------------------------------------------------

    def _learn(self, fitted: Fitted, features: Features, static: Frame | None) -> Effects:
        tried = super()._learn(fitted, features, static)
        self.share_, self.weights_, self.history_, self.best_epoch_, self.sizes_ = 0.0, {}, {}, 0, {}
        self.static_encoder_, self.static_ = _encode_static(static, self.roles_.static, type(self).__name__)
        self._live = Live()
        longest, trial = max(part.steps for part in fitted.series), fitted.trial
        most = window_limit(seen_steps(trial), trial.horizon, len(features.past))
        if fitted.held:
            past = self._in_order(cut_windows(trial, fitted.series, longest, fitted.held, most), features.targets)
            held = self._in_order(cut_judged(trial, fitted.series, fitted.held, most // 4), features.targets)
            if min(len(past.begin), len(held.begin)) >= FEWEST:
                self._train(fitted, features, tried, past, held)
        return tried

    def _in_order(self, windows: Windows, targets: int) -> Windows:
        """By id and step, whatever the order of the table."""
        by_id = sorted(range(len(self.ids_)), key=lambda i: [cell or "" for cell in self.ids_[i]])
        rank = np.empty(len(by_id), int)
        rank[by_id] = np.arange(len(by_id))
        whose = windows.series
        return windows.take(np.lexsort((windows.begin, whose % targets, rank[whose // targets])))

    def _train(self, fitted: Fitted, features: Features, tried: Effects, past: Windows, held: Windows) -> None:
        from tabdl.training.fitting import Source, fit_network

        model, scale = fitted.trial, scales(fitted.trial, fitted.series, fitted.held)
        usual = np.array([volatility(model, p.values[None, p.lookback : p.values.size - fitted.held])[0] for p in fitted.series])

        def show(windows: Windows) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
            """(arrays, forecasts without the network, units)."""
            unit, parts = window_units(model, windows, usual[windows.series]), []
            for start in range(0, len(windows.begin), AT_ONCE):
                part = windows.take(slice(start, start + AT_ONCE))
                forecast = forecast_windows(model, part, features, tried, scale)
                shown = window_features(features, part, seen_steps(model), model.horizon)
                arrays = self._arrays(model, part, forecast, unit[start : start + AT_ONCE], shown)
                parts.append(arrays | {"forecast": forecast})
            joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            forecast = joined.pop("forecast")
            return joined, forecast, unit

        arrays, forecast, unit = show(past)
        target = {"target": residuals(model, forecast, past, unit), "weight": np.ones(len(unit))}
        shown, plain, width = show(held)
        judged = Judged(model, held, plain, width, scale)
        self._prepare(_spec(arrays, self.static_))
        seed = draw_seed(self.random_state)
        seeds = [seed] if self.copies == 1 else [derive(seed, f"copy {i}") for i in range(self.copies)]
        start_backend()
        with self._on_device():
            done = fit_network(self, [Source(arrays, None, judged.validation(shown))], target, seeds, start=None, partial=False)
            found = done.program.forward(done.values, [shown])
        self.weights_, self.history_ = done.weights, done.history
        self.best_epoch_ = round(float(np.mean(done.best_epochs)))
        self._live.ready = done.program, done.values
        self._remove_checkpoints(1)
        self._choose_share(judged, found.astype(np.float64))

    def _choose_share(self, judged: Judged, found: np.ndarray) -> None:
        worst = [1.0, *(judged.worst(found, share) for share in SHARES[1:])]
        share = SHARES[int(np.argmin(worst))]
        self.share_ = share if min(worst) < GAIN and judged.doubt(found, share) < DOUBT else 0.0
        score = judged.error(found, self.share_)
        self.forecasts_ = replace(self.forecasts_, score=score)
        if self.share_:  # the errors of the linear forecast are known from more of the time
            self.bands_ = replace(self.bands_, spread=self.bands_.spread * score / judged.error(found, 0.0))

    def _prepare(self, spec: Spec) -> None:
        self.encoder_, self._live = Shapes(spec), Live()
        self.encoders_ = [self.encoder_]
        self.target_ = Numbers(self.loss, np.zeros(spec.horizon), np.ones(spec.horizon), flat=False)

    def _arrays(
        self,
        model: Forecasts,
        windows: Windows,
        forecast: np.ndarray,
        unit: np.ndarray,
        features: np.ndarray,
        static: Frame | None = None,
    ) -> dict[str, np.ndarray]:
        """Inputs of the network by name; features: (windows, steps + horizon, features). static: of the series of the windows."""
        width, targets = self.covariates_.width, len(self.roles_.targets)
        arrays = encode_windows(model, windows, forecast, unit, features, width, self._is_past(features.shape[2]))
        unknown, whose = windows.series < 0, np.where(windows.series < 0, -1, windows.series // targets)
        found = {name: table[whose] for name, table in self.static_.items()}
        if self.static_encoder_ is not None and static is not None and unknown.any():
            told = self.static_encoder_.encode(static, type(self).__name__)
            rows = np.flatnonzero(unknown) // targets
            for name, cells in found.items():
                cells[unknown] = told[name][rows]
        return arrays | found

    # ---- predict ---------------------------------------------------------------------------------------------------

    def _forecast(self, past: History, known: np.ndarray, windows: Windows) -> np.ndarray:
        forecast = super()._forecast(past, known, windows)
        if not self.share_:
            return forecast
        steps = seen_steps(self.forecasts_) + self.horizon_
        features = np.stack([self._ahead(past, known, i)[-steps:] for i in range(len(past.panel))])
        return self._correct(windows, forecast, np.repeat(features, len(self.roles_.targets), axis=0), past.static)

    def _correct(self, windows: Windows, forecast: np.ndarray, features: np.ndarray, static: Frame | None = None) -> np.ndarray:
        """The forecast with the network's share."""
        model = self.forecasts_
        unit = window_units(model, windows, self.measures_.usual(model, windows)[:, 0])
        arrays = self._arrays(model, windows, forecast, unit, features, static)
        found = np.clip(self._mean_outputs([arrays]), -MOST_RESIDUAL, MOST_RESIDUAL)
        return add_residual(model, forecast, self.share_ * unit[:, None] * found)

    def _check_fitted(self) -> None:
        PanelForecaster._check_fitted(self)

    @property
    def models_(self) -> list[Any]:
        """One fitted `keras.Model` for each of `members`: from arrays of windows to what the linear forecast leaves."""
        self._check_fitted()
        if not self.weights_:
            raise SchemaError("models_: expected a network, received series too short to hold steps out for one; add steps")
        return super().models_

    # ---- saving ----------------------------------------------------------------------------------------------------

    def _own_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        state, arrays = super()._own_state()
        fitted, weights = self._fitted_state()
        spec = asdict(self.encoder_.spec) if weights else None
        static, parts = self.static_encoder_.state() if self.static_encoder_ is not None else (None, {})
        state |= {"network": {"fitted": fitted, "share": self.share_, "spec": spec, "static": static}}
        for kind, some in (("weights", weights), ("static", self.static_), ("encoder", parts)):
            arrays |= {f"{kind}/{name}": array for name, array in some.items()}
        return state, arrays

    def _restore_own(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        super()._restore_own(state, arrays)
        network = state["network"]
        self.share_ = float(network["share"])
        weights, self.static_, parts = (
            {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)}
            for kind in ("weights/", "static/", "encoder/")
        )
        self.static_encoder_ = None if network["static"] is None else TableEncoder.from_state(network["static"], parts)
        if network["spec"] is not None:
            self._prepare(Spec(**network["spec"] | {"categories": tuple(map(int, network["spec"]["categories"]))}))
        self._restore_fitted(network["fitted"], weights)

    def _predict_codes(self, codes: np.ndarray) -> np.ndarray:
        plain = super()._predict_codes(codes)
        if not self.share_:
            return plain
        series = np.arange(len(codes)) % len(self.forecasts_.mixture)
        begin = np.zeros(len(codes), int)
        windows = Windows(codes, np.ones(codes.shape, bool), np.zeros((len(codes), self.horizon_)), series, begin)
        spec, width = self.encoder_.spec, self.covariates_.width
        past = int(self._is_past(width).sum())
        features = np.zeros((len(codes), spec.steps + spec.horizon, spec.future - 1 + past))
        forecast = self.forecasts_(codes, series)
        return plain + self._correct(windows, forecast, features) - forecast


def _spec(arrays: dict[str, np.ndarray], static: dict[str, np.ndarray]) -> Spec:
    shape = {name: array.shape for name, array in arrays.items()}
    categories = tuple(int(codes.max()) + 1 for codes in static["categories"].T) if "categories" in static else ()
    numbers, flags = (shape[kind][1] if kind in shape else 0 for kind in ("numbers", "flags"))
    (_, steps, channels), (_, horizon, future) = shape["sequence"], shape["future"]
    return Spec(numbers, flags, categories, steps, channels, horizon=horizon, future=future)


def _encode_static(static: Frame | None, names: Sequence[str], owner: str) -> tuple[TableEncoder | None, dict[str, np.ndarray]]:
    """Inputs of each series by name, and last of one that is not known: none without columns that differ."""
    if static is None or static.rows < 2:
        return None, {}
    frame = replace(static, columns={name: static.columns[name] for name in names})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a column that differs in each series, or in none, tells networks nothing
        try:
            schema = Schema.infer(frame)
        except SchemaError:
            return None, {}
    encoder = TableEncoder(schema).fit(schema.read(frame, owner))
    arrays = encoder.encode(frame)
    unknown = {name: np.full_like(array[:1], UNSEEN if name == "categories" else 0) for name, array in arrays.items()}
    return encoder, {name: np.concatenate([array, unknown[name]]) for name, array in arrays.items()}
