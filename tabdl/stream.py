"""A prediction after every new step of a series, without reading the series again.

A recurrent layer carries its state; a causal convolution keeps the last steps that it saw, so that a new step costs one product
with the kernel (fast generation, Le Paine et al., Fast Wavenet Generation Algorithm, arXiv 1611.09482). Everything is NumPy.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tabdl.errors import ParameterError, SchemaError
from tabdl.inference import Column
from tabdl.network import network_class
from tabdl.series import canonical_steps


class Stream:
    """Steps of one series, as they come -> the prediction of a fitted RNN or TCN for the series so far.

    Parameters
    ----------
    model : fitted RNNClassifier, RNNRegressor, TCNClassifier or TCNRegressor of series
        With `bidirectional=False` (RNN), `scale="channel"` and any pooling but "attention": a prediction that needs later steps,
        or all of them at once, is refused. The model stays as it is; any number of streams can read from it, and a new fit does
        not change them.
    row : mapping of column -> cell, optional
        The plain columns that stood beside the series in `fit`.

    Notes
    -----
    Up to the length of the longest series of `fit`, the prediction is that of the model for the steps so far, up to rounding. Of
    a longer series the model reads the last steps only, while a stream goes on with all that it has carried: `reset` it where a
    new series begins. The work of a step and the memory do not grow with the steps seen, `steps`.

    A gap in one channel is filled with the channel's last value, where the model, which knows what comes later, draws a straight
    line. A step without any value is passed over by both.

    Raises
    ------
    ParameterError
        When the model cannot be read step by step; the message says what to change.
    SchemaError
        When `row` lacks a column.

    Examples
    --------
    >>> import tabdl
    >>> from tabdl.datasets import make_waves
    >>> X, y = make_waves(60, random_state=0)
    >>> model = tabdl.TCNClassifier(width=8, blocks=2, epochs=2, random_state=0).fit(X, y)
    >>> stream = tabdl.Stream(model)
    >>> for step in X[0]:  # (2 channels,)
    ...     shares = stream.update(step).predict_proba_next()
    >>> stream.steps, bool(abs(shares - model.predict_proba(X[:1])[0]).max() < 1e-5)
    (64, True)
    """

    def __init__(self, model: Any, row: Mapping[str, Any] | None = None) -> None:
        _refuse_other(model)
        columns = model.encoder_.sequence.columns
        record = {**(row or {}), **{column.name: None for column in columns}}
        frame = model.encoder_.schema.read([record], "Stream(model, row=...)")
        codes = model.encoder_.codes(frame)
        arrays = [encoder.expand(codes, frame) for encoder in model.encoders_]  # of a series without steps
        networks, own = model.models_, len(model.models_) // len(arrays)
        self._columns, self._numeric = columns, [column.name for column in columns if column.dtype != "str"]
        self._model = copy.copy(model)
        self._encoders = [encoder.sequence for encoder in model.encoders_]
        self._copies = [_Copy(network, model.pooling, arrays[i // own]) for i, network in enumerate(networks)]
        self.reset()

    def reset(self) -> Stream:
        """Start over with a series without steps."""
        self.steps = 0  # seen so far
        self._filled = np.zeros(len(self._numeric))  # of a channel without any value yet, as in a series of gaps
        for one in self._copies:
            one.start()
        return self

    def update(self, row: Any) -> Stream:
        """Read one step.

        Parameters
        ----------
        row : array or list (channels,), or mapping of channel -> value
            Numbers in the units of `fit`, text for channels of text, NaN or None for a gap. A mapping may hold more than the
            channels. `log_step` of a long table with irregular times is the logarithm of the time since the step before.

        Returns
        -------
        The stream itself.

        Raises
        ------
        SchemaError
            When channels are missing, or a value is of another kind than in `fit`; the stream then stays as it was.
        """
        values = self._values(row)
        cells = {c.name: _read(c, value, self.steps) for c, value in zip(self._columns, values, strict=True)}
        there = any(cell.dtype == object or np.isfinite(cell[0]) for cell in cells.values())
        numbers = np.array([cells[name][0] for name in self._numeric], np.float64)
        self._filled = np.where(np.isfinite(numbers), numbers, self._filled)
        steps = [encoder.encode_step(cells, self._filled) for encoder in self._encoders]
        for i, one in enumerate(self._copies):
            one.read(steps[i * len(steps) // len(self._copies)], there)
        self.steps += 1
        return self

    def predict_next(self) -> Any:
        """What `model.predict` gives for the series so far: a class, a number in the units of y, or an array of several."""
        return self._model._answer(self._outputs())[0]

    def predict_proba_next(self) -> np.ndarray:
        """What `model.predict_proba` gives for the series so far, (classes,) or (labels,).

        Raises ParameterError for a regressor.
        """
        if not hasattr(self._model, "predict_proba"):
            raise ParameterError(
                f"predict_proba_next expects a stream of a classifier, received one of {type(self._model).__name__}; "
                "use predict_next"
            )
        return self._outputs()[0]

    def _outputs(self) -> np.ndarray:
        """Decoded outputs of one row, averaged over all copies."""
        target = self._model.target_
        linked = np.mean([_LINKS[target.head.link](one.logits()) for one in self._copies], axis=0)
        return self._model._calibrated(target.decode(linked[None]))

    def _values(self, row: Any) -> list[Any]:
        """One value a channel, in the order of `fit`."""
        names = [column.name for column in self._columns]
        if hasattr(row, "items"):
            cells = dict(row.items())
            missing = [name for name in names if name not in cells]
            if missing:
                raise SchemaError(
                    f"a step expects the channels {names}, received one without {missing}; add them, with None where unknown"
                )
            return [cells[name] for name in names]
        listed = isinstance(row, (list, tuple)) or np.ndim(row) == 1
        values = list(row) if listed else []
        if len(values) != len(names):
            what = f"{len(values)} values" if listed else repr(row)[:80]
            raise SchemaError(f"a step expects one value for each of the channels {names}, received {what}; give a list of these")
        return values


def _refuse_other(model: Any) -> None:
    """Only models that read each step once, from the first to the last."""
    own = network_class(type(model)) if hasattr(model, "network_params") else type(model)
    if own.__module__ not in ("tabdl.models.rnn", "tabdl.models.tcn") or hasattr(model, "horizon"):
        raise ParameterError(f"Stream expects a fitted RNN or TCN of series, received {type(model).__name__}; fit one of these")
    model._check_fitted()
    encoder = model.encoder_.sequence
    wrong = {
        "a model of plain columns; fit it on series": not encoder.columns,
        "one that reads from the end too; fit it with bidirectional=False": getattr(model, "bidirectional", False),
        "one of scale='series', which takes all steps; fit it with scale='channel'": encoder.scale != "channel",
        "one that weighs all steps; fit it with pooling='last', 'mean', 'max' or 'mean_max'": model.pooling == "attention",
    }
    for what, found in wrong.items():
        if found:
            raise ParameterError(f"Stream expects a model that reads a series step by step, received {what}")


def _read(column: Column, value: Any, step: int) -> np.ndarray:
    """One value of a channel in canonical form (1,); a gap of text is NaN."""
    cell = np.empty(1, dtype=object)
    if np.ndim(value):
        raise SchemaError(
            f"channel {column.name!r} expects one value a step, received {repr(value)[:80]}; give a number or a text"
        )
    cell[0] = value
    cell = canonical_steps(cell, column.name, step)
    if (cell.dtype == object) != (column.dtype == "str") and cell[0] == cell[0]:
        wanted = "text" if column.dtype == "str" else "a number"
        raise SchemaError(f"channel {column.name!r} expects {wanted} or None in a step, received {repr(value)[:80]}; convert it")
    return cell


# ---- the network, one step at a time -----------------------------------------------------------------------------------


class _Copy:
    """One trained copy of the network. arrays: of the row, with a series without steps."""

    def __init__(self, model: Any, pooling: str, arrays: dict[str, np.ndarray]) -> None:
        import keras

        head = model.layers[-1]
        self.pooling, self.channels = pooling, arrays["sequence"].shape[2]
        self.kernel, self.bias = _weights(head)
        recurrent = [_Recurrent(layer) for layer in model.layers if type(layer).__name__ in _CELLS]
        self.network = _RNN(recurrent) if recurrent else _TCN(model.layers)
        self.start()
        joined = keras.Model(model.input, head.input)({name: arrays[name] for name in model.input})  # (1, width)
        self.plain = keras.ops.convert_to_numpy(joined)[0, len(self._pooled()) :].astype(np.float64)  # beside the series

    def start(self) -> None:
        self.network.start()
        self.last = self.network.step(np.zeros(self.channels), False)
        self.count, self.total, self.largest = 0, 0 * self.last, np.full(len(self.last), -np.inf)

    def read(self, x: np.ndarray, there: bool) -> None:
        h = self.network.step(x, there)
        if there:
            self.last, self.count, self.total, self.largest = h, self.count + 1, self.total + h, np.maximum(self.largest, h)

    def logits(self) -> np.ndarray:
        return np.concatenate([self._pooled(), self.plain]) @ self.kernel + self.bias

    def _pooled(self) -> np.ndarray:
        if self.pooling == "last":
            return self.last
        mean, largest = self.total / max(self.count, 1), self.largest if self.count else self.total
        return {"mean": mean, "max": largest, "mean_max": np.concatenate([mean, largest])}[self.pooling]


class _RNN:
    """Recurrent layers, which a step without any value leaves as they are."""

    def __init__(self, layers: list[_Recurrent]) -> None:
        self.layers = layers

    def start(self) -> None:
        for layer in self.layers:
            layer.start()

    def step(self, x: np.ndarray, there: bool) -> np.ndarray:
        for layer in self.layers if there else ():
            x = layer.step(x)
        return self.layers[-1].h


class _TCN:
    """A convolution, then residual blocks; a convolution sees zeros where a step has no value."""

    def __init__(self, layers: list[Any]) -> None:
        self.first, *inner = [_Convolution(layer) for layer in layers if type(layer).__name__ == "Conv1D"]
        *norms, self.norm = [_Normalize(layer) for layer in layers if type(layer).__name__ == "LayerNormalization"]
        self.blocks = list(zip(norms, inner[::2], inner[1::2], strict=True))

    def start(self) -> None:
        for layer in (self.first, *(layer for _, *pair in self.blocks for layer in pair)):
            layer.start()

    def step(self, x: np.ndarray, there: bool) -> np.ndarray:
        x = self.first.step(x * there)
        for norm, before, after in self.blocks:
            h = np.maximum(before.step(norm(x) * there), 0)
            x = x + after.step(h * there)
        return np.maximum(self.norm(x), 0)


class _Recurrent:
    """A layer of Keras: SimpleRNN, GRU or LSTM."""

    def __init__(self, layer: Any) -> None:
        self.kernel, self.inner, bias = _weights(layer)
        self.bias, self.inner_bias = bias if bias.ndim == 2 else (bias, np.zeros(()))
        self.cell = _CELLS[type(layer).__name__]

    def start(self) -> None:
        self.h = self.c = np.zeros(len(self.inner))

    def step(self, x: np.ndarray) -> np.ndarray:
        self.h, self.c = self.cell(x @ self.kernel + self.bias, self.h @ self.inner + self.inner_bias, self.h, self.c)
        return self.h


class _Convolution:
    """A causal convolution of Keras over the steps that it keeps: (channels,) -> (filters,)."""

    def __init__(self, layer: Any) -> None:
        kernel, self.bias = _weights(layer)
        size, self.channels, filters = kernel.shape
        self.kernel = kernel.reshape(size * self.channels, filters)
        self.back = layer.dilation_rate[0] * np.arange(size - 1, -1, -1)  # steps ago, one a weight

    def start(self) -> None:
        self.seen, self.at = np.zeros((self.back[0] + 1, self.channels)), 0  # a ring

    def step(self, x: np.ndarray) -> np.ndarray:
        self.seen[self.at] = x
        window = self.seen[(self.at - self.back) % len(self.seen)].reshape(-1)
        self.at = (self.at + 1) % len(self.seen)
        return window @ self.kernel + self.bias


def _weights(layer: Any) -> list[np.ndarray]:
    return [np.array(weight.numpy(), np.float64) for weight in layer.weights]


class _Normalize:
    """A layer norm of Keras of one step."""

    def __init__(self, layer: Any) -> None:
        (self.scale, self.shift), self.epsilon = _weights(layer), layer.epsilon

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - x.mean()) / np.sqrt(x.var() + self.epsilon) * self.scale + self.shift


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(x / 2)) / 2


def _simple(x: np.ndarray, inner: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.tanh(x + inner), c


def _gru(x: np.ndarray, inner: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    (xz, xr, xh), (iz, ir, ih) = np.split(x, 3), np.split(inner, 3)
    z = _sigmoid(xz + iz)
    return z * h + (1 - z) * np.tanh(xh + _sigmoid(xr + ir) * ih), c


def _lstm(x: np.ndarray, inner: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    i, f, new, o = np.split(x + inner, 4)
    c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(new)
    return _sigmoid(o) * np.tanh(c), c


def _softmax(x: np.ndarray) -> np.ndarray:
    raised = np.exp(x - x.max())
    return raised / raised.sum()


def _ascending(x: np.ndarray) -> np.ndarray:
    return np.cumsum(np.append(x[:1], np.logaddexp(0, x[1:])))


_CELLS = {"SimpleRNN": _simple, "GRU": _gru, "LSTM": _lstm}
_LINKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {  # of one row (outputs,), as in `layers.links`
    "identity": lambda x: x,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "exp": lambda x: np.exp(np.minimum(x, 30.0)),
    "cumulative": lambda x: _sigmoid(-_ascending(np.append(-x[:1], x[1:]))),
    "ascending": _ascending,
}
