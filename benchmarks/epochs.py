"""What short epochs cost: a fit of 300 epochs of 4 steps beside one of a single epoch of 1,200 steps.

    [KERAS_BACKEND=jax] python benchmarks/epochs.py [--models rnn,cnn,tcn,lite]

128 series of 100 steps, 32 in a step, default networks; the single epoch has each series 300 times. Also with 40 further series
that judge each epoch. Seconds of a whole fit, in a process that has compiled the network before, less those of the steps of the
single epoch: reading the table counts as overhead too.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import tabdl
from tabdl import backends

ROWS, STEPS, BATCH, EPOCHS, JUDGED = 128, 100, 32, 300, 40


def make_series(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise around one of two waves."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    wave = np.sin(np.arange(STEPS) * np.where(y, 0.3, 0.35)[:, None])
    return (wave + rng.normal(size=(rows, STEPS)))[:, :, None], y


def fit(name: str, repeats: int, epochs: int, judged: bool) -> tuple[float, float]:
    """Seconds of a whole fit, and of its steps."""
    X, y = make_series(ROWS, 0)
    told = dict(zip(("X_val", "y_val"), make_series(JUDGED, 1), strict=True)) if judged else {}
    make = tabdl.models.find(name, "classifier")
    model = make(epochs=epochs, patience=epochs, batch_size=BATCH, validation_fraction=0.0, random_state=0)
    start = time.perf_counter()
    model.fit(np.tile(X, (repeats, 1, 1)), np.tile(y, repeats), **told)
    return time.perf_counter() - start, sum(model.history_["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="rnn,cnn,tcn,lite")
    warnings.simplefilter("ignore")
    for name in parser.parse_args().models.split(","):
        for judged in (False, True):
            fit(name, 1, 2, judged)
            fit(name, EPOCHS, 1, judged)
            short, long = fit(name, 1, EPOCHS, judged)[0], fit(name, EPOCHS, 1, judged)[1]
            print(
                f"{backends.name():10s} {name:5s} {'judged' if judged else 'alone':6s}  {EPOCHS} epochs {short:6.1f} s   "
                f"one {long:6.1f} s   overhead {short - long:5.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
