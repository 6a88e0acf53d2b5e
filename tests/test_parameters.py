"""Every documented parameter has the effect that its documentation says; a parameter without such a test fails here.

This file has the parameters of training; those of losses and networks have files of their own.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from effects import EFFECTS, STEP, X, c, classifier, declared, effect, moved, regressor, start, y

from tabdl import MLPRegressor, models
from tabdl.errors import ParameterError
from tabdl.training.order import automatic_batch_size, automatic_epochs


def test_every_parameter_has_a_test() -> None:
    for file in Path(__file__).parent.glob("test_*.py"):
        if "@effect(" in file.read_text(encoding="utf-8"):
            importlib.import_module(file.stem)  # registers what it tests

    assert declared() - set(EFFECTS) == set(), "parameters without a test of their effect"
    assert set(EFFECTS) - declared() == set(), "tests of parameters that no longer exist"


@pytest.mark.parametrize("name", models.catalogue())
def test_values_outside_the_documented_range_are_refused(name: str) -> None:
    cls = models.load_class(name)
    roles = {"time": "t", "target": "y"} if name.endswith("Forecaster") else {}
    table = {"t": range(20), "y": range(20)} if roles else [[0.0], [1.0]]
    for parameter, field in cls.fields.items():
        wrong = ["no such option"] if field.options else []
        wrong += [field.low - 1] if field.low is not None else []
        wrong += [field.high + 1] if field.high is not None else []
        for value in wrong:
            with pytest.raises(ParameterError, match=parameter):
                cls(**roles | {parameter: value}).fit(table, None if roles else [0, 1])


class Witness(keras.callbacks.Callback):
    """Writes down what it sees; fits use copies, so the notes belong to the class."""

    notes: list[dict[str, Any]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        Witness.notes = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        Witness.notes.append({"epoch": epoch, "steps": self.params["steps"], **logs})


def steps_of_an_epoch(model: Any, X: np.ndarray, y: np.ndarray) -> int:
    model.set_params(epochs=1, callbacks=[Witness()]).fit(X, y)
    return Witness.notes[0]["steps"]


@effect("Trainable.epochs")
def test_epochs() -> None:
    assert regressor(epochs=3).fit(X, y).history_["epoch"] == [1, 2, 3]
    assert len(regressor(epochs="auto", patience=1000).fit(X, y).history_["epoch"]) == 100
    assert [automatic_epochs(steps) for steps in (4, 20, 50, 100, 10_000)] == [100, 100, 40, 20, 12]


@effect("Trainable.batch_size")
def test_batch_size() -> None:
    for size, steps in {1: 100, 10: 10, 30: 4, 1000: 1, "full": 1, "auto": 4}.items():
        assert steps_of_an_epoch(regressor(batch_size=size, validation_fraction=0), X, y) == steps
    documented = {999: 32, 2_000: 64, 9_000: 128, 90_000: 256, 200_000: 1024}
    assert {rows: automatic_batch_size(rows) for rows in documented} == documented


@effect("Trainable.learning_rate")
def test_learning_rate() -> None:
    origin = start(regressor, X, y)
    slow, fast = (regressor(**STEP, learning_rate=rate).fit(X, y) for rate in (0.01, 0.02))
    np.testing.assert_allclose(moved(fast, origin), 2 * moved(slow, origin), atol=1e-5)
    assert slow.history_["learning_rate"] == pytest.approx([0.01])


@effect("Trainable.optimizer")
@pytest.mark.parametrize("name", MLPRegressor.fields["optimizer"].options)
def test_optimizer(name: str) -> None:
    """The first step goes downhill, by as much as the rule says."""
    origin = start(regressor, X, y)
    gradient = -moved(regressor(**STEP, learning_rate=0.01).fit(X, y), origin)
    gradient /= 0.01
    options = STEP | {"optimizer": name, "learning_rate": 1e-3, "momentum": 0.6, "second_moment": 0.96}
    step = moved(regressor(**options).fit(X, y), origin) / 1e-3
    steep = np.abs(gradient) > 0.02
    assert steep.mean() > 0.5
    sizes = {
        "sgd": np.abs(gradient),
        "nesterov": 1.6 * np.abs(gradient),
        "nadam": 1 + 0.6 * 0.4 / (1 - 0.6**2),
        "rmsprop": 1 / (1 - 0.96) ** 0.5,
        "adagrad": np.abs(gradient) / (0.1 + gradient**2) ** 0.5,
    }
    expected = np.broadcast_to(-np.sign(gradient) * sizes.get(name, 1.0), gradient.shape)
    np.testing.assert_allclose(step[steep], expected[steep], rtol=0.05)


@effect("Trainable.momentum")
def test_momentum() -> None:
    losses = [
        regressor(**STEP | {"momentum": m, "epochs": 10, "learning_rate": 0.01}).fit(X, y).history_["loss"] for m in (0, 0.9)
    ]
    assert losses[0][0] == losses[1][0]
    assert losses[1][-1] < losses[0][-1]  # many small steps in one direction add up
    origin = start(regressor, X, y)
    first, two = (regressor(**STEP | {"momentum": 0.7, "epochs": n, "learning_rate": 1e-5}).fit(X, y) for n in (1, 2))
    steep = np.abs(moved(first, origin)) > 1e-6
    ratio = moved(two, origin)[steep] / moved(first, origin)[steep]
    np.testing.assert_allclose(ratio, 1 + 1.7, rtol=0.1)  # the second step is 1.7 times the first, where the slope stays
    rates = {m: moved(regressor(**STEP | {"optimizer": "adam", "momentum": m, "epochs": 3}).fit(X, y), origin) for m in (0, 0.9)}
    assert not np.allclose(rates[0], rates[0.9], atol=1e-4)


@effect("Trainable.second_moment")
def test_second_moment() -> None:
    """Of RMSprop the first step is as long as one over the root of what is not kept."""
    origin = start(regressor, X, y)
    sizes = {}
    for share in (0.0, 0.75, 0.99):
        options = STEP | {"optimizer": "rmsprop", "learning_rate": 1e-3, "second_moment": share}
        sizes[share] = np.median(np.abs(moved(regressor(**options).fit(X, y), origin)))
    assert list(sizes.values()) == pytest.approx([1e-3, 2e-3, 1e-2], rel=0.02)
    for name in ("adam", "nadam", "adamax", "lion"):
        ends = [
            regressor(**STEP | {"optimizer": name, "epochs": 5, "learning_rate": 0.02, "second_moment": share, "momentum": 0.5})
            .fit(X, y)
            .history_["loss"]
            for share in (0.1, 0.99)
        ]
        assert ends[0][0] == ends[1][0]
        assert ends[0][-1] != ends[1][-1], name


@effect("Trainable.fade")
def test_fade() -> None:
    """In the second half of the training the decay of the kernels falls to nothing, and so does dropout."""
    steps = STEP | {"epochs": 8, "learning_rate": 0.01, "weight_decay": 10.0, "clip_norm": 1e-3}  # next to no gradient
    origin = start(regressor, X, y)
    places = (np.arange(8) + 0.5) / 8
    factor = np.where(places < 0.5, 1, np.cos(np.pi * (places - 0.5)) ** 2)
    for fade, each in {"none": np.ones(8), "flat_cosine": factor}.items():
        model = regressor(**steps, fade=fade).fit(X, y)
        (name,) = [k for k in model.weights_ if k == "dense_0/kernel"]
        expected = np.prod(1 - 0.1 * each) * origin.weights_[name]
        np.testing.assert_allclose(model.weights_[name], expected, atol=1e-3)

    def spread(fade: str, epochs: int) -> float:
        """How much the losses of late epochs differ, where nothing is random but dropout."""
        losses = regressor(**STEP | {"epochs": epochs, "learning_rate": 1e-6}, dropout=0.5, fade=fade).fit(X, y).history_["loss"]
        return float(np.std(losses[-epochs // 8 :]))

    assert spread("flat_cosine", 80) < 0.4 * spread("none", 80)


@effect("Estimator.bagging")
def test_bagging() -> None:
    """Each fold has a model, its predictions are averaged; a row's out-of-fold prediction is by the one that has not seen it."""
    model = regressor(bagging=4, epochs=3, validation_fraction=0.5).fit(X, y)
    assert len(model.models_) == len(model.encoders_) == 4
    each = np.array(
        [np.ravel(keras.ops.convert_to_numpy(m(e.encode(X)))) for m, e in zip(model.models_, model.encoders_, strict=True)]
    )
    decoded = model.target_.decode(each.reshape(-1, 1).astype(float)).reshape(4, -1)
    np.testing.assert_allclose(model.predict(X), decoded.mean(axis=0), rtol=1e-4, atol=1e-4)
    gaps = np.abs(decoded - model.out_of_fold_)
    assert (gaps.min(axis=0) < 1e-4).all()
    assert np.bincount(gaps.argmin(axis=0)).tolist() == [25] * 4, "validation_fraction holds nothing out here"
    single = regressor(epochs=3).fit(X, y)
    assert not hasattr(single, "out_of_fold_")
    assert hasattr(model, "out_of_fold_")
    assert not hasattr(model.set_params(bagging=1).fit(X, y), "out_of_fold_")


@effect("Trainable.schedule")
def test_schedule() -> None:
    options = {"warmup": 0, "epochs": 12, "learning_rate": 0.01, "batch_size": "full", "patience": 100}
    courses = {
        name: np.array(regressor(**options, schedule=name).fit(X, y).history_["learning_rate"]) / 0.01
        for name in MLPRegressor.fields["schedule"].options
    }
    place = (np.arange(12) + 0.5) / 12
    np.testing.assert_allclose(courses["constant"], 1, rtol=1e-5)
    np.testing.assert_allclose(courses["cosine"], np.cos(np.pi * place / 2) ** 2, rtol=1e-4)
    np.testing.assert_allclose(courses["linear"], 1 - place, rtol=1e-4)
    np.testing.assert_allclose(courses["exponential"], 0.01**place, rtol=1e-4)
    np.testing.assert_allclose(courses["step"], np.repeat([1, 0.1, 0.01], 4), rtol=1e-4)
    np.testing.assert_allclose(courses["coslog4"], np.sin(np.pi * np.log2(1 + 15 * place)) ** 2, rtol=1e-4, atol=1e-6)


@effect("Trainable.warmup")
def test_warmup() -> None:
    options = {"schedule": "constant", "epochs": 10, "learning_rate": 0.01, "batch_size": "full", "patience": 100}
    rates = regressor(**options, warmup=0.5).fit(X, y).history_["learning_rate"]
    np.testing.assert_allclose(rates, 0.01 * np.minimum(1, (np.arange(10) + 0.5) / 5), rtol=1e-4)
    assert regressor(**options, warmup=0).fit(X, y).history_["learning_rate"] == pytest.approx([0.01] * 10)


@effect("Trainable.weight_decay")
def test_weight_decay() -> None:
    origin = start(regressor, X, y)
    plain, decayed = (regressor(**STEP, learning_rate=0.1) for _ in range(2))
    plain.fit(X, y)
    decayed.set_params(weight_decay=0.5).fit(X, y)
    for name, weight in decayed.weights_.items():
        share = 0.1 * 0.5 if name.endswith("kernel") else 0.0
        np.testing.assert_allclose(weight - plain.weights_[name], -share * origin.weights_[name], atol=1e-5)


@effect("Trainable.clip_norm")
def test_clip_norm() -> None:
    origin = start(regressor, X, y)
    lengths = [
        np.linalg.norm(moved(regressor(**STEP | {"clip_norm": norm, "learning_rate": 0.1}).fit(X, y), origin))
        for norm in (None, 0.01, 0.02, 1e6)
    ]
    assert lengths[1:3] == pytest.approx([0.001, 0.002], rel=1e-2)
    assert lengths[0] == pytest.approx(lengths[3])
    assert lengths[0] > 0.002


@effect("Estimator.validation_fraction")
def test_validation_fraction() -> None:
    for share, trained in {0: 100, 0.2: 80, 0.5: 50}.items():
        model = regressor(validation_fraction=share, batch_size=1)
        assert steps_of_an_epoch(model, X, y) == trained
        assert ("val_rmse" in model.history_) == (share > 0)


@effect("Trainable.patience")
def test_patience() -> None:
    """At a rate of one millionth the accuracy of the first epoch stays: nothing better comes."""
    for patience in (1, 4):
        model = classifier(metric="accuracy", learning_rate=1e-6, epochs=20, patience=patience).fit(X, c)
        assert len(model.history_["epoch"]) == 1 + patience
        assert model.best_epoch_ == 1


@effect("Trainable.time_limit")
def test_time_limit() -> None:
    regressor().fit(X, y)  # compiled already
    options = {"epochs": 10_000, "patience": 10_000, "warmup": 0}
    model = regressor(**options, time_limit=1.0).fit(X, y)
    assert sum(model.history_["seconds"]) < 1.5
    rates = model.history_["learning_rate"]
    assert 1 < len(rates) < 10_000
    assert rates[-1] < 0.2 * rates[0]  # the cosine came to its end within the second
    assert len(regressor(**options, time_limit=0).fit(X, y).history_["epoch"]) == 1


@effect("Trainable.callbacks")
def test_callbacks() -> None:
    stop = keras.callbacks.EarlyStopping(monitor="loss", min_delta=1e9, patience=2)
    model = regressor(epochs=20, callbacks=[Witness(), stop]).fit(X, y)
    assert len(model.history_["epoch"]) == len(Witness.notes) == 3
    assert [note["loss"] for note in Witness.notes] == model.history_["loss"]
    assert stop.model is None  # fits use copies
    classifier(metric="auc", callbacks=[Witness()], epochs=2).fit(X, c)
    assert all(note["val_loss"] == -note["val_auc"] for note in Witness.notes)
    halve = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    rates = (
        regressor(epochs=3, schedule="constant", warmup=0, callbacks=[halve], learning_rate=0.08)
        .fit(X, y)
        .history_["learning_rate"]
    )
    assert rates == pytest.approx([0.04, 0.02, 0.01])


class Killed(Exception):
    pass


class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 4:
            raise Killed


@effect("Trainable.checkpoint")
def test_checkpoint(tmp_path: Any) -> None:
    file = tmp_path / "running.npz"
    whole = regressor(epochs=6).fit(X, y)
    model = regressor(epochs=6, checkpoint=file, callbacks=[Kill()])
    with pytest.raises(Killed):
        model.fit(X, y)
    assert file.exists()
    model.set_params(callbacks=[Witness()]).fit(X, y)
    assert 0 < len(Witness.notes) < 6  # went on instead of starting anew
    np.testing.assert_array_equal(model.predict(X), whole.predict(X))
    assert model.history_["loss"] == whole.history_["loss"]
    assert not file.exists()


@effect("Estimator.warm_start")
def test_warm_start() -> None:
    losses = {}
    for warm in (False, True):
        model = regressor(warm_start=warm, epochs=8, learning_rate=0.02)
        losses[warm] = [model.fit(X, y).history_["loss"][0] for _ in range(2)]
    assert losses[False][0] == losses[False][1] == losses[True][0]
    assert losses[True][1] < 0.9 * losses[True][0]


@effect("Trainable.device")
def test_device() -> None:
    model = regressor(device="cpu").fit(X, y)
    assert all("cpu" in str(value.device).lower() for own in model._live.ready[1] for value in own)
    np.testing.assert_allclose(model.predict(X), regressor(device="cpu:0").fit(X, y).predict(X))
    for absent in ("cpu:7", "gpu:99", "cpu:0:1"):
        with pytest.raises(ParameterError, match=f"device='{absent}'"):
            regressor(device=absent).fit(X, y)


@effect("Trainable.random_state")
def test_random_state() -> None:
    predict = {
        key: regressor(random_state=state, dropout=0.2).fit(X, y).predict(X)
        for key, state in {"0": 0, "again 0": 0, "1": 1, "any": None, "other": None}.items()
    }
    np.testing.assert_array_equal(predict["0"], predict["again 0"])
    different = [predict[key] for key in ("0", "1", "any", "other")]
    assert len({array.tobytes() for array in different}) == 4
    drawing = np.random.RandomState(3)  # moves on from fit to fit, as scikit-learn has it
    first, second = (regressor(random_state=drawing).fit(X, y).predict(X) for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(regressor(random_state=np.random.RandomState(3)).fit(X, y).predict(X), first)


@effect("Trainable.verbose")
def test_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {}
    for verbose in (0, 1, 2):
        regressor(verbose=verbose, epochs=3).fit(X, y)
        shown[verbose] = "".join(capsys.readouterr())
    assert shown[0] == ""
    assert "val_rmse=" in shown[1]
    assert "epoch=3/3" in shown[1]
    assert "<" in shown[1]
    assert len(shown[2].splitlines()) == 3
    assert "MLPRegressor 3/3" in shown[2]
