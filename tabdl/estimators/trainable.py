"""How networks are trained: the parameters that every estimator with a network has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.random import RandomState

from tabdl.errors import ParameterError
from tabdl.params import Parameters, param
from tabdl.training.optimizers import OPTIMIZERS
from tabdl.training.schedules import FADES, SCHEDULES


class Trainable(Parameters):
    """Base of estimators that train a network."""

    epochs: int | str = param(
        "auto",
        "passes over the training rows; 'auto': about 2,000 steps in 12 to 100 epochs, 800 in 2 to 100 for `Neighbors`, 1,000 "
        "in 12 to 1,000 for `Inception`, `TCN`, `SequenceTransformer` and `LITE`, but 200 epochs of few rows for `LITE`, up to "
        "5,000 steps, and 600 steps in each fold of `Series`; of a `tabdl.Parquet` file that stays on disk as many steps in "
        "one pass or more, so fewer epochs than 12 of a long one",
        low=1,
        options=("auto",),
    )
    batch_size: int | str = param(
        "auto",
        "most rows in a step; 'auto': 32 below 1,000 rows (16 of LITE), then 64, 128, 256 up to 100,000 and 1,024 above; "
        "'full': all rows; at least 8 with batch norm, which learns nothing of two rows",
        low=1,
        options=("auto", "full"),
    )
    learning_rate: float = param(3e-3, "peak learning rate", low=1e-6, high=10, log=True)
    optimizer: str = param("adam", "kind of update", options=tuple(OPTIMIZERS))
    momentum: float = param(0.9, "momentum of SGD and RMSprop, first moment of the Adam family", low=0, high=0.999)
    second_moment: float = param(0.99, "second moment of the Adam family, of RMSprop and of Lion", low=0, high=0.9999)
    schedule: str = param("cosine", "course of the learning rate", options=SCHEDULES)
    warmup: float = param(
        0.05, "share of the training in which the learning rate rises from zero; 'coslog4' rises by itself", low=0, high=0.5
    )
    fade: str = param("none", "course of dropout and weight decay; 'flat_cosine' falls to zero in the second half", options=FADES)
    weight_decay: float = param(1e-4, "decoupled decay of kernels and embeddings, times the learning rate", low=0, high=10)
    clip_norm: float | None = param(1.0, "largest norm of the gradient of all weights; None: no limit", low=1e-3)
    patience: int = param(
        16, "epochs without a better validation score before training stops; schedules with cycles stop at the end of one", low=1
    )
    time_limit: float | None = param(
        None,
        "seconds of training and of what it compiles, up to the end of a call of up to 128 steps; the schedule is shortened to "
        "fit. Folds that are trained one after the other share what the first one's compilation leaves",
        low=0,
    )
    callbacks: tuple | list | None = param(
        None,
        "Keras callbacks, copied for each fit; 'val_loss' is the validation score, its sign turned where larger is better; "
        "batch events come every up to 128 steps. Folds of `TabM`, `Neighbors` and `Tabular` are trained one after the other, "
        "each a fit of its own for which the callbacks are copied anew, and so are the parts of `Tabular`",
    )
    checkpoint: str | Path | None = param(
        None,
        "file that keeps the state of a running fit; the same fit goes on from there; needs an int as random_state. Folds that "
        "are trained one after the other have a file each, with '.fold0', '.fold1' ... behind the name, and so have the parts of "
        "`Tabular`, with '.tabm0', '.neighbors' ...; all are removed when the fit ends",
    )
    device: str | None = param(None, "'cpu', 'gpu' or 'gpu:1'; None: the backend's own choice")
    random_state: int | RandomState | None = param(None, "seed of weights, order and split: an int gives the same model again")
    verbose: int = param(0, "0: silent, 1: a progress bar with validation score and time left, 2: a line an epoch", low=0)

    def check_params(self) -> None:
        """Raise `ParameterError` for the first parameter outside its documented range."""
        super().check_params()
        if self.checkpoint is not None and not isinstance(self.random_state, (int, np.integer)):
            raise ParameterError(
                f"checkpoint={str(self.checkpoint)!r} expects an int as random_state, received {self.random_state!r}: "
                "only a fit with the same seed can go on"
            )

    def _remove_checkpoints(self, folds: int) -> None:
        from tabdl.training.fitting import checkpoint_files

        for path in checkpoint_files(self, folds):
            path.unlink(missing_ok=True)
