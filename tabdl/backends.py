"""The one place that knows TensorFlow, JAX and torch: compiled training steps and compiled predictions.

A training call runs many steps at once, with the whole table on the device and the row numbers, learning rates and
weight decay of each step as arrays. Nothing of a schedule is compiled in, so that one compiled function serves every
fit of the same network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tabdl.errors import MissingDependency, ParameterError
from tabdl.layers import links
from tabdl.spec import Head

Arrays = dict[str, Any]
DECAYED = ("kernel", "recurrent_kernel", "embeddings", "table")  # first part of the names of weights that decay
CHUNK_ROWS = 8_192  # rows in one compiled prediction
SMALL = 32  # fewer rows are filled up: a row's prediction must not depend on how many come with it
PADDED = (SMALL, 256, CHUNK_ROWS)  # compiled batch sizes where a compiled function has one shape


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


def decays(model: Any) -> list[bool]:
    """Which trainable weights decay: kernels and embedding tables, no biases, norms or scales."""
    return [v.name.split("_")[0] in DECAYED or v.name in DECAYED for v in model.trainable_variables]


def compile_training(model: Any, optimizer: Any, loss: Callable[[Any, Any], Any]) -> Callable[..., float]:
    """Function (data, order, keep, rates, decay) -> mean loss that updates model and optimizer in place.

    data: device arrays by name, with "target" (rows, columns) and "weight" (rows,). order int32 (steps, batch): row
    numbers. keep (steps, batch): 0 for rows that only fill a batch. rates (steps,): learning rates. decay: a number.
    """
    return _backend("training")(model, optimizer, loss)


def compile_forward(model: Any, head: Head) -> Callable[[list[Any], Arrays], np.ndarray]:
    """Function (values, arrays) -> predictions (rows, head.outputs); values as `forward_values` orders them."""
    run, padded = _backend("forward")(model, head)

    def forward(values: list[Any], arrays: Arrays) -> np.ndarray:
        rows = len(next(iter(arrays.values())))
        parts = []
        for start in range(0, rows, CHUNK_ROWS):
            part = {k: v[start : start + CHUNK_ROWS] for k, v in arrays.items()} if rows > CHUNK_ROWS else arrays
            size = min(rows - start, CHUNK_ROWS)
            full = next(n for n in PADDED if n >= size) if padded else max(size, SMALL)
            if full > size:
                part = {k: np.concatenate([v, np.zeros((full - size, *v.shape[1:]), v.dtype)]) for k, v in part.items()}
            parts.append(run(values, part)[:size])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    return forward


def forward_values(model: Any) -> list[Any]:
    """Current values of all variables, trainable first: what a compiled forward takes."""
    return [copy_array(v.value) for v in (*model.trainable_variables, *model.non_trainable_variables)]


def copy_array(value: Any) -> Any:
    """An array on the device that later updates of its variable do not change."""
    import keras

    return keras.ops.copy(value)


def to_device(arrays: dict[str, np.ndarray]) -> Arrays:
    """Arrays as tensors of the backend."""
    import keras

    return {k: keras.ops.convert_to_tensor(v) for k, v in arrays.items()}


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


def _split(data: Arrays) -> tuple[Arrays, Any, Any]:
    return {k: v for k, v in data.items() if k not in ("target", "weight")}, data["target"], data["weight"]


def _tensorflow_step(model: Any, optimizer: Any, loss: Any) -> Callable[..., Any]:
    """One update of all weights, to be traced."""
    import tensorflow as tf

    trainable = model.trainable_variables
    decaying = [v for v, decayed in zip(trainable, decays(model), strict=True) if decayed]

    def step(data: Any, rows: Any, keep: Any, rate: Any, decay: Any) -> Any:
        batch, y, w = _split({k: tf.gather(v, rows) for k, v in data.items()})
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(loss(y, model(batch, training=True)) * w * keep) / tf.maximum(tf.reduce_sum(keep), 1.0)
            objective = tf.add_n([value, *model.losses])
        gradients = tape.gradient(objective, [v.value for v in trainable])
        optimizer.learning_rate.assign(rate)
        for variable in decaying:
            variable.assign(variable * (1 - rate * decay))
        optimizer.apply(gradients, trainable)
        return value

    return step


def _tensorflow_training(model: Any, optimizer: Any, loss: Any) -> Callable[..., float]:
    import tensorflow as tf

    step = _tensorflow_step(model, optimizer, loss)
    inputs = {k: tf.TensorSpec(v.shape, v.dtype) for k, v in model.input.items()}
    signature = [
        inputs | {"target": tf.TensorSpec((None, None)), "weight": tf.TensorSpec((None,))},
        tf.TensorSpec((None, None), tf.int32),
        tf.TensorSpec((None, None)),
        tf.TensorSpec((None,)),
        tf.TensorSpec(()),
    ]

    @tf.function(input_signature=signature, autograph=False)
    def run(data: Any, order: Any, keep: Any, rates: Any, decay: Any) -> Any:
        def body(i: Any, total: Any) -> Any:
            return i + 1, total + step(data, order[i], keep[i], rates[i], decay) * tf.reduce_sum(keep[i])

        steps = tf.shape(order)[0]
        _, total = tf.while_loop(lambda i, _: i < steps, body, (0, 0.0), parallel_iterations=1)
        return total / tf.maximum(tf.reduce_sum(keep), 1.0)

    compiled = run.get_concrete_function()  # never traced again, so that TensorFlow has nothing to warn about

    def call(data: Any, order: Any, keep: Any, rates: Any, decay: float) -> float:
        arguments = (tf.convert_to_tensor(v) for v in (order, keep, rates, np.float32(decay)))
        return float(compiled(data, *arguments))

    return call


def _tensorflow_forward(model: Any, head: Head) -> tuple[Any, bool]:
    import tensorflow as tf

    split, kinds = len(model.trainable_variables), list(model.input)
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    symbols = [*variables, *model.input.values()]

    @tf.function(input_signature=[tf.TensorSpec(s.shape, s.dtype) for s in symbols], autograph=False)
    def run(*flat: Any) -> Any:
        values, arrays = flat[: len(variables)], dict(zip(kinds, flat[len(variables) :], strict=True))
        logits, _ = model.stateless_call(values[:split], values[split:], arrays, training=False)
        return links.predictions(logits, head)

    compiled = run.get_concrete_function()

    def call(values: Any, arrays: Any) -> np.ndarray:
        return compiled(*values, *(tf.convert_to_tensor(arrays[kind]) for kind in kinds)).numpy()

    return call, False


def _jax_training(model: Any, optimizer: Any, loss: Any) -> Callable[..., float]:
    import jax
    import jax.numpy as jnp

    decayed = decays(model)
    groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    rate_place = next(i for i, v in enumerate(optimizer.variables) if v is optimizer.learning_rate)

    def objective(trainable: Any, fixed: Any, batch: Any, y: Any, w: Any, keep: Any) -> Any:
        logits, fixed, penalties = model.stateless_call(trainable, fixed, batch, training=True, return_losses=True)
        value = jnp.sum(loss(y, logits) * w * keep) / jnp.maximum(keep.sum(), 1.0)
        return value + sum(penalties), (value, fixed)

    def step(data: Any, decay: Any, state: Any, now: Any) -> Any:
        trainable, fixed, slots = state
        rows, keep, rate = now
        batch, y, w = _split({k: v[rows] for k, v in data.items()})
        (_, (value, fixed)), gradients = jax.value_and_grad(objective, has_aux=True)(trainable, fixed, batch, y, w, keep)
        slots = [rate if i == rate_place else s for i, s in enumerate(slots)]
        trainable = [v * (1 - rate * decay) if d else v for v, d in zip(trainable, decayed, strict=True)]
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return (trainable, fixed, list(slots)), value

    @jax.jit
    def run(state: Any, data: Any, order: Any, keep: Any, rates: Any, decay: Any) -> Any:
        return jax.lax.scan(lambda s, now: step(data, decay, s, now), state, (order, keep, rates))

    def call(data: Any, order: Any, keep: Any, rates: Any, decay: float) -> float:
        state = tuple([v.value for v in group] for group in groups)
        state, values = run(state, data, order, keep, rates, np.float32(decay))
        for group, new in zip(groups, state, strict=True):
            for variable, value in zip(group, new, strict=True):
                variable.assign(value)
        counted = keep.sum(axis=1)
        return float((np.asarray(values) * counted).sum() / max(counted.sum(), 1.0))

    return call


def _jax_forward(model: Any, head: Head) -> tuple[Any, bool]:
    import jax

    split = len(model.trainable_variables)

    @jax.jit
    def run(values: Any, arrays: Any) -> Any:
        logits, _ = model.stateless_call(values[:split], values[split:], arrays, training=False)
        return links.predictions(logits, head)

    return lambda values, arrays: np.asarray(run(values, arrays)), True


def _torch_training(model: Any, optimizer: Any, loss: Any) -> Callable[..., float]:
    import torch

    trainable = model.trainable_variables
    decaying = [v for v, decayed in zip(trainable, decays(model), strict=True) if decayed]

    def step(data: Any, rows: Any, keep: Any, rate: float, decay: float) -> float:
        batch, y, w = _split({k: v[rows] for k, v in data.items()})
        value = (loss(y, model(batch, training=True)) * w * keep).sum() / keep.sum().clamp(min=1.0)
        model.zero_grad()
        (value + sum(model.losses)).backward()
        gradients = [v.value.grad for v in trainable]
        optimizer.learning_rate.assign(rate)
        with torch.no_grad():
            for variable in decaying:
                variable.assign(variable.value * (1 - rate * decay))
            optimizer.apply(gradients, trainable)
        return float(value.detach())

    def call(data: Any, order: Any, keep: Any, rates: Any, decay: float) -> float:
        device = data["target"].device
        rows = torch.as_tensor(order, dtype=torch.int64, device=device)
        kept = torch.as_tensor(keep, device=device)
        values = [step(data, r, k, float(rate), decay) for r, k, rate in zip(rows, kept, rates, strict=True)]
        return float(np.average(values, weights=np.maximum(keep.sum(axis=1), 1e-9)))

    return call


def _torch_forward(model: Any, head: Head) -> tuple[Any, bool]:
    import keras
    import torch

    split = len(model.trainable_variables)

    def run(values: Any, arrays: Any) -> Any:
        with torch.no_grad():
            logits, _ = model.stateless_call(values[:split], values[split:], arrays, training=False)
            return keras.ops.convert_to_numpy(links.predictions(logits, head))

    return run, False
