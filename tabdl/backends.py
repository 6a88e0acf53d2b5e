"""The one place that knows TensorFlow, JAX and torch: compiled training steps and compiled predictions.

A training call runs many steps at once, with the whole table on the device and the row numbers, learning rates and
weight decay of each step as arrays. Nothing of a schedule is compiled in, so that one compiled function serves every
fit of the same network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tabdl.errors import MissingDependency, ParameterError
from tabdl.layers import links
from tabdl.spec import Head

Arrays = dict[str, Any]
CHUNK_ROWS = 8_192  # rows in one compiled prediction
SMALL = 32  # fewer rows are filled up: a row's prediction must not depend on how many come with it
PADDED = (SMALL, 256, CHUNK_ROWS)  # compiled batch sizes where a compiled function has one shape
PADDED_SERIES = (SMALL, 64, 128, 256)  # a series costs as much as hundreds of rows of a table: fewer are filled up in vain
COMPARING_ROWS = 512  # rows in one prediction of a network that compares each with thousands: what fits into the cache
MOST_STEPS = 1 << 18  # rows times steps in one prediction of series: a layer keeps 64 MB of 64 channels
FUSED_ROWS = 2_048  # rows in one prediction by XLA, where there are `CHUNK_ROWS` or more
SHARED = ("target", "weight")  # the same for all copies of a network, whatever table they learn from


def name() -> str:
    """Name of the Keras backend in use."""
    import keras

    return keras.backend.backend()


def device_scope(device: str) -> Any:
    """Context that places computation on "cpu", "gpu" or "gpu:1"."""
    import keras

    kind, _, number = device.partition(":")
    if kind not in ("cpu", "gpu", "cuda", "tpu", "mps") or not (number or "0").isdigit():
        raise ParameterError(f"device={device!r}: expected 'cpu', 'gpu' or 'gpu:1'; None leaves the choice to the backend")
    if name() != "torch" and int(number or 0) >= (found := _count_devices(kind)):  # torch says so itself
        raise ParameterError(
            f"device={device!r}: expected a device of this machine, but {name()} finds {found} of kind {kind!r}; "
            "install the backend's build for it, or leave the choice to the backend with device=None"
        )
    return keras.device(device if ":" in device else f"{device}:0")


@cache
def _count_devices(kind: str) -> int:
    import keras

    try:
        return len(keras.distribution.list_devices(kind))
    except RuntimeError:  # JAX: no such platform
        return 0


def slow_depthwise() -> bool:
    """Whether convolutions of single channels are slower than dense ones."""
    return name() == "jax"


def compile_training(step: Any, folds: tuple[int, ...]) -> Callable[..., tuple[Any, np.ndarray]]:
    """Function (state, data, order, keep, rates, fades, knobs) -> (state, mean loss of each copy).

    step: `training.step.Step`, what one update does. folds: which table each copy of the network learns from.
    state: (flat (copies, weights), slots of the optimizer, other variables (copies, ...)), on the device.
    data: device arrays by name; inputs (tables, rows, columns), "target" (rows, columns), "weight" (rows,).
    order int32 (steps, copies, batch): row numbers. keep, like order: 0 for rows that only fill a batch.
    rates, fades (steps,): learning rate, and factor of dropout and decay. knobs: see `training.step.KNOBS`.
    """
    return _backend("training")(step, folds)


def compile_forward(
    model: Any, head: Head, copies: int = 1, comparing: bool = False
) -> Callable[[list[list[Any]], list[Arrays]], np.ndarray]:
    """Function (values of each copy, arrays) -> mean predictions (rows, head.outputs).

    values: of all variables, trainable ones first, on the device. arrays: one dict for all copies, or one a copy.
    comparing: whether the network compares each row with thousands. TensorFlow leaves these to XLA, as it does with the full
    pieces of a long table: TabM predicts 1.4 times as many rows a second so, but compiling takes a second for each shape.
    """
    make = _backend("forward")
    run, padded = make(model, head, copies, comparing)
    many = cache(lambda: make(model, head, copies, True)[0]) if name() == "tensorflow" and not comparing else None

    def forward(values: list[list[Any]], arrays: list[Arrays]) -> np.ndarray:
        rows, steps = len(next(iter(arrays[0].values()))), _steps(arrays[0])
        long = many is not None and rows >= CHUNK_ROWS
        sizes = (SMALL, COMPARING_ROWS) if comparing else PADDED_SERIES if padded and steps > 1 else PADDED
        fitting = [n for n in sizes if n * steps <= MOST_STEPS] or sizes[:1]
        most = min(FUSED_ROWS if long else sizes[-1], fitting[-1])
        parts = []
        for start in range(0, rows, most):
            size = min(rows - start, most)
            full = next(n for n in sizes if n >= size) if padded else max(size, SMALL)
            call = many() if many is not None and long and size == most else run
            parts.append(call(values, [_cut(a, start, size, full) for a in arrays])[:size])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return forward


def _steps(arrays: Arrays) -> int:
    """Steps of the series in these rows, 1 where there are none."""
    return max([v.shape[1] for v in arrays.values() if v.ndim > 2], default=1)


def _cut(arrays: Arrays, start: int, size: int, full: int) -> Arrays:
    """`size` rows from `start` on, filled up with zeros to `full`."""
    part = {k: v[start : start + size] for k, v in arrays.items()}
    if full == size:
        return part
    return {k: np.concatenate([v, np.zeros((full - size, *v.shape[1:]), v.dtype)]) for k, v in part.items()}


def to_device(arrays: Any) -> Any:
    """Arrays, in a dict, list or tuple, as tensors of the backend."""
    import keras

    if isinstance(arrays, dict):
        return {k: to_device(v) for k, v in arrays.items()}
    if isinstance(arrays, (list, tuple)):
        return type(arrays)(map(to_device, arrays))
    return keras.ops.convert_to_tensor(arrays)


def to_host(arrays: Any) -> Any:
    """Tensors, in a list or tuple, as NumPy arrays of their own."""
    import keras

    return (
        type(arrays)(map(to_host, arrays)) if isinstance(arrays, (list, tuple)) else np.array(keras.ops.convert_to_numpy(arrays))
    )


def _backend(job: str) -> Any:
    makers = {
        ("tensorflow", "training"): _tensorflow_training,
        ("tensorflow", "forward"): _tensorflow_forward,
        ("jax", "training"): _jax_training,
        ("jax", "forward"): _jax_forward,
        ("torch", "training"): _torch_training,
        ("torch", "forward"): _torch_forward,
    }
    if (name(), job) not in makers:
        raise MissingDependency(
            f"expected KERAS_BACKEND tensorflow, jax or torch, received {name()!r}; set it before Keras is imported"
        )
    return makers[name(), job]


def _batch(data: Arrays, gather: Callable[[Any], Any], choose: Callable[[Any], Any]) -> Arrays:
    """Rows of one step: `choose` picks a copy's table among those of an input, `gather` its rows."""
    return {k: gather(v if k in SHARED else choose(v)) for k, v in data.items()}


def _restack(new: list[list[Any]], old: list[list[Any]], stacked: list[Any], stack: Callable[[list[Any]], Any]) -> list[Any]:
    """Variables of all copies (copies, ...); what no copy has changed stays the array it was."""
    columns = zip(zip(*new, strict=True), zip(*old, strict=True), stacked, strict=True)
    return [whole if all(a is b for a, b in zip(n, o, strict=True)) else stack(list(n)) for n, o, whole in columns]


def _tensorflow_training(step: Any, folds: tuple[int, ...]) -> Callable[..., tuple[Any, np.ndarray]]:
    import tensorflow as tf

    copies = len(folds)

    def update(state: Any, data: Any, order: Any, keep: Any, rate: Any, fade: Any, knobs: Any) -> Any:
        flat, slots, fixed = state
        each = [[tf.gather(v, c) if copies > 1 else v[0] for v in fixed] for c in range(copies)]
        with tf.GradientTape() as tape:
            tape.watch(flat)
            own = tf.unstack(flat, num=copies)
            done = []
            for c in range(copies):
                batch = _batch(data, lambda v, c=c: tf.gather(v, order[c]), lambda v, c=c: v[folds[c]])
                done.append(step.objective(own[c], each[c], batch, keep[c], fade))
            objective = tf.add_n([d[0] for d in done])
        gradient = tape.gradient(objective, flat)
        fixed = _restack([d[2] for d in done], each, fixed, tf.stack)
        flat, slots = step.update(flat, slots, gradient, rate, fade, knobs)
        return (flat, slots, fixed), tf.stack([d[1] for d in done])

    def run(state: Any, data: Any, steps: Any, order: Any, keep: Any, rates: Any, fades: Any, knobs: Any) -> Any:
        tables = {k: v if k in SHARED else tf.unstack(v, num=max(folds) + 1) for k, v in data.items()}

        def body(i: Any, state: Any, total: Any) -> Any:
            state, values = update(state, tables, order[i], keep[i], rates[i], fades[i], knobs)
            return i + 1, state, total + values * tf.reduce_sum(keep[i], axis=1)

        start = (0, state, tf.zeros(copies))
        _, state, total = tf.while_loop(lambda i, *_: i < steps, body, start, parallel_iterations=1)
        return state, total / tf.maximum(tf.reduce_sum(keep, axis=(0, 2)), 1.0)

    compiled = _graph(run, _tensorflow_shapes(step, folds), step.fused)

    def call(state: Any, data: Any, *plan: Any) -> tuple[Any, np.ndarray]:
        filled, planned = _rounded_shapes(data, plan) if step.fused else (data, plan)
        state, losses = compiled(state, filled, tf.constant(len(plan[0])), *map(tf.convert_to_tensor, planned))
        return state, losses.numpy()

    return call


def _rounded_shapes(data: Arrays, plan: tuple[Any, ...]) -> tuple[Arrays, tuple[Any, ...]]:
    """Rows and steps filled up: XLA keeps what it compiled for a shape for ever, so there should be few."""
    import tensorflow as tf

    rows, steps = len(data["weight"]), len(plan[0])
    more, none = [0, _rounded(rows) - rows], [0, 0]
    data = {
        k: tf.pad(v, ([more, *([none] * v.ndim)] if k in SHARED else [none, more, *([none] * v.ndim)])[: v.ndim])
        for k, v in data.items()
    }
    filled = (np.pad(v, [(0, _rounded(steps) - steps)] + [(0, 0)] * (v.ndim - 1)) for v in plan[:-1])
    return data, (*filled, plan[-1])


def _rounded(count: int) -> int:
    """The next of the whole powers of the fourth root of 2."""
    return math.ceil(2 ** (math.ceil(4 * math.log2(count)) / 4))


def _graph(function: Callable[..., Any], shapes: list[Any], fused: bool) -> Callable[..., Any]:
    """The function traced once for all sizes, so that nothing warns about tracing again; by XLA where that knows all of it."""
    import tensorflow as tf

    def trace(fused: bool) -> Callable[..., Any]:
        return tf.function(function, autograph=False, jit_compile=fused or None).get_concrete_function(*shapes)

    found = [trace(fused)]
    if fused and not _count_devices("gpu") and 'op: "Conv2D"' in str(found[0].graph.as_graph_def()):  # by XLA 15 times slower
        found[0] = trace(False)

    def call(*arguments: Any) -> Any:
        try:
            return found[0](*arguments)
        except tf.errors.InvalidArgumentError as error:
            if "XLA" not in str(error):
                raise
            found[0] = trace(False)  # a user's own operation, or one of a GPU's library
            return found[0](*arguments)

    return call


def _tensorflow_shapes(step: Any, folds: tuple[int, ...]) -> list[Any]:
    """Shapes and types of what a compiled training takes."""
    import tensorflow as tf

    spec, copies = tf.TensorSpec, len(folds)
    state = tf.nest.map_structure(lambda v: spec(v.shape, v.dtype), step.initial_state(copies))
    inputs = {k: spec((max(folds) + 1, *v.shape), v.dtype) for k, v in step.model.input.items() if k not in SHARED}
    data = inputs | {"target": spec((None, None)), "weight": spec((None,))}
    order, keep = spec((None, copies, None), tf.int32), spec((None, copies, None))
    return [state, data, spec((), tf.int32), order, keep, spec((None,)), spec((None,)), spec((len(step.knobs),))]


def _tensorflow_forward(model: Any, head: Head, copies: int, fused: bool) -> tuple[Any, bool]:
    import tensorflow as tf

    split, kinds = len(model.trainable_variables), list(model.input)
    variables = [*model.trainable_variables, *model.non_trainable_variables]

    @cache
    def compiled(tables: int) -> Any:
        symbols = [*variables * copies, *list(model.input.values()) * tables]

        def run(*flat: Any) -> Any:
            outputs = []
            for c in range(copies):
                values = flat[c * len(variables) : (c + 1) * len(variables)]
                at = len(variables) * copies + len(kinds) * (c % tables)
                arrays = dict(zip(kinds, flat[at : at + len(kinds)], strict=True))
                logits, _ = model.stateless_call(values[:split], values[split:], arrays, training=False)
                outputs.append(links.predictions(logits, head))
            return outputs[0] if copies == 1 else tf.add_n(outputs) / copies

        return _graph(run, [tf.TensorSpec(s.shape, s.dtype) for s in symbols], fused)

    def call(values: Any, arrays: Any) -> np.ndarray:
        flat = [v for own in values for v in own]
        return compiled(len(arrays))(*flat, *(tf.convert_to_tensor(a[kind]) for a in arrays for kind in kinds)).numpy()

    compiled(1)
    return call, fused


def _jax_training(step: Any, folds: tuple[int, ...]) -> Callable[..., tuple[Any, np.ndarray]]:
    import jax

    copies, chosen = len(folds), np.array(folds)

    def total(flat: Any, fixed: Any, batch: Any, keep: Any, fade: Any) -> Any:
        if copies == 1:  # spares the batched matrix products
            first = jax.tree.map(lambda v: v[0], (flat, fixed, batch, keep))
            objective, value, fixed = jax.tree.map(lambda v: v[None], step.objective(*first, fade))
        else:
            objective, value, fixed = jax.vmap(step.objective, (0, 0, 0, 0, None))(flat, fixed, batch, keep, fade)
        return objective.sum(), (value, fixed)

    def update(state: Any, data: Any, now: Any, knobs: Any) -> Any:
        (flat, slots, fixed), (rows, kept, rate, fade) = state, now
        batch = {k: v[rows] if k in SHARED else v[chosen[:, None], rows] for k, v in data.items()}
        (_, (values, fixed)), gradient = jax.value_and_grad(total, has_aux=True)(flat, fixed, batch, kept, fade)
        flat, slots = step.update(flat, slots, gradient, rate, fade, knobs)
        return (flat, slots, fixed), values * kept.sum(axis=1)

    run = jax.jit(lambda state, data, knobs, *plan: jax.lax.scan(lambda s, now: update(s, data, now, knobs), state, plan))
    one_step, loops = jax.jit(update), []

    def call(state: Any, data: Any, order: Any, keep: Any, rates: Any, fades: Any, knobs: Any) -> tuple[Any, np.ndarray]:
        plan: Any = order, keep, rates, fades
        if not loops:  # in a loop of its own, XLA leaves convolutions to one slow thread of a CPU: 20 times the seconds
            convolves = "conv_general_dilated" in str(run.trace(state, data, knobs, *plan).jaxpr)
            loops.append(not convolves or jax.default_backend() != "cpu")
        if loops[0]:
            state, values = run(state, data, knobs, *plan)
        else:
            values = []
            for now in zip(*map(np.asarray, plan), strict=True):
                state, value = one_step(state, data, now, knobs)
                values.append(value)
        return state, np.asarray(values).sum(axis=0) / np.maximum(np.asarray(keep).sum(axis=(0, 2)), 1.0)

    return call


def _jax_forward(model: Any, head: Head, copies: int, fused: bool) -> tuple[Any, bool]:
    import jax

    split = len(model.trainable_variables)

    @jax.jit
    def run(values: Any, arrays: Any) -> Any:
        outputs = []
        for c, own in enumerate(values):
            logits, _ = model.stateless_call(own[:split], own[split:], arrays[c % len(arrays)], training=False)
            outputs.append(links.predictions(logits, head))
        return outputs[0] if copies == 1 else sum(outputs) / copies

    return lambda values, arrays: np.asarray(run(values, arrays)), True


def _torch_training(step: Any, folds: tuple[int, ...]) -> Callable[..., tuple[Any, np.ndarray]]:
    import torch

    def update(state: Any, data: Any, rows: Any, keep: Any, rate: float, fade: float, knobs: Any) -> Any:
        flat, slots, fixed = state
        flat = flat.detach().requires_grad_()
        each = [[v[c] for v in fixed] for c in range(len(folds))]
        done = []
        for c, fold in enumerate(folds):
            batch = _batch(data, lambda v, c=c: v[rows[c]], lambda v, fold=fold: v[fold])
            done.append(step.objective(flat[c], each[c], batch, keep[c], fade))
        (gradient,) = torch.autograd.grad(sum(d[0] for d in done), flat)
        with torch.no_grad():
            fixed = _restack([d[2] for d in done], each, fixed, lambda new: torch.stack([v.detach() for v in new]))
            flat, slots = step.update(flat.detach(), slots, gradient, rate, fade, knobs)
        return (flat, slots, fixed), torch.stack([d[1].detach() for d in done])

    def call(state: Any, data: Any, order: Any, keep: Any, rates: Any, fades: Any, knobs: Any) -> tuple[Any, np.ndarray]:
        device = data["target"].device
        rows = torch.as_tensor(order, dtype=torch.int64, device=device)
        kept, knobs = torch.as_tensor(keep, device=device), torch.as_tensor(knobs, device=device)
        total = 0.0
        for i, (rate, fade) in enumerate(zip(rates, fades, strict=True)):
            state, values = update(state, data, rows[i], kept[i], float(rate), float(fade), knobs)
            total = total + values * kept[i].sum(dim=1)
        return state, (total / kept.sum(dim=(0, 2)).clamp(min=1.0)).cpu().numpy()

    return call


def _torch_forward(model: Any, head: Head, copies: int, fused: bool) -> tuple[Any, bool]:
    import keras
    import torch

    split = len(model.trainable_variables)

    def run(values: Any, arrays: Any) -> Any:
        with torch.no_grad():
            outputs = []
            for c, own in enumerate(values):
                logits, _ = model.stateless_call(own[:split], own[split:], arrays[c % len(arrays)], training=False)
                outputs.append(links.predictions(logits, head))
            return keras.ops.convert_to_numpy(sum(outputs) / copies)

    return run, False
