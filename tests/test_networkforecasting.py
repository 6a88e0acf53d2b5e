"""Forecasters with a network: it learns what the linear forecast leaves, and never counts where it does not help."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

import tabdl
from tabdl.errors import ParameterError, SchemaError
from tabdl.estimators.horizons import Judged, add_residual, encode_windows, residuals, seen_steps, window_limit, window_units
from tabdl.training.forecasts import Forecasts, Windows

ROLES = {"horizon": 4, "time": "t", "id": "id", "target": "y"}


def asymmetric(seed: int = 0) -> pd.DataFrame:
    """Steps that tell the next by their size, whatever their sign: what no linear kernel knows."""
    rng, parts = np.random.default_rng(seed), []
    for name in "ab":
        y = np.zeros(400)
        for t in range(1, 400):
            y[t] = 1 - 1.2 * abs(y[t - 1]) + 0.1 * rng.normal()
        parts.append(pd.DataFrame({"id": name, "t": np.arange(400), "y": y}))
    return pd.concat(parts, ignore_index=True)


def model(log: bool = False, lookback: int = 6, horizon: int = 2) -> Forecasts:
    kernel = np.zeros((1, horizon))
    return Forecasts(kernel, (1,), lookback, np.zeros((1, 0)), log, 0.5)


def windows() -> Windows:
    seen = np.array([[1.0, 2, 3, 4, 5, 6], [4, 4, 4, 4, 4, 4]])
    known = np.ones((2, 6), bool)
    known[1, :3] = False
    return Windows(seen, known, np.array([[7.0, np.nan], [4, 5]]), np.array([0, -1]), np.array([6, 6]))


@pytest.fixture(scope="module")
def fitted():
    return tabdl.RNNForecaster(width=16, epochs=8, random_state=0, lookback=4, **ROLES).fit(asymmetric())


def test_a_network_counts_where_a_linear_kernel_does_not_know(fitted):
    assert fitted.share_ > 0
    ridge = tabdl.RidgeForecaster(lookback=4, **ROLES).fit(asymmetric())
    assert fitted.score_ < 0.98 * ridge.score_


def test_bands_are_as_much_narrower_as_the_network_helps(fitted):
    ridge = tabdl.RidgeForecaster(lookback=4, **ROLES).fit(asymmetric())
    own, linear = fitted.predict(), ridge.predict()
    for low, high in (("q0.1", "q0.9"), ("q0.025", "q0.975")):
        gained = (own[high] - own[low]) / (linear[high] - linear[low])
        np.testing.assert_allclose(gained, fitted.score_ / ridge.score_, rtol=0.02)


def test_a_network_that_has_learned_nothing_counts_nothing():
    days = pd.date_range("2024-01-01", periods=120)
    table = pd.DataFrame({"date": days, "sales": np.resize([20.0, 21, 22, 21, 20, 30, 28], 120)})
    found = tabdl.SegRNNForecaster(horizon=7, width=4, epochs=1, random_state=0, time="date", target="sales").fit(table)
    ridge = tabdl.RidgeForecaster(horizon=7, time="date", target="sales").fit(table)
    assert found.share_ == 0
    pd.testing.assert_frame_equal(found.predict(), ridge.predict())


def test_too_few_steps_leave_the_network_out(tmp_path):
    table = pd.DataFrame({"t": np.arange(12), "y": np.arange(12.0)})
    found = tabdl.RNNForecaster(horizon=5, width=4, epochs=1, random_state=0, time="t", target="y").fit(table)
    assert found.share_ == 0
    assert found.history_ == {}
    with pytest.raises(SchemaError, match="too short"):
        found.model_.summary()
    loaded = tabdl.load(tabdl.save(found, tmp_path / "model.tabdl"))
    np.testing.assert_allclose(loaded.predict(table)["mean"], found.predict()["mean"])


def test_a_network_is_kept(fitted, tmp_path):
    expected = fitted.predict()
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(fitted)).predict(), expected)
    loaded = tabdl.load(tabdl.save(fitted, tmp_path / "model.tabdl"))
    assert (loaded.share_, loaded.best_epoch_, loaded.score_) == (fitted.share_, fitted.best_epoch_, fitted.score_)
    assert loaded.history_.keys() == {*fitted.history_}
    np.testing.assert_allclose(loaded.predict(asymmetric())["mean"], expected["mean"], rtol=1e-5)
    assert loaded.model_.count_params() == fitted.model_.count_params()


def test_the_network_can_be_looked_at(fitted, tmp_path):
    assert {"epoch", "loss", "val_error"} <= {*fitted.history_}
    assert 1 <= fitted.best_epoch_ <= 8
    fitted.plot_history(tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 1000
    assert "RNNForecaster" in fitted._repr_html_()


def test_parameters_are_those_that_mean_something():
    fields = tabdl.RNNForecaster.fields
    assert {"horizon", "epochs", "width", "loss", "members"} <= {*fields}
    assert not {"scale", "channels_first", "bagging", "warm_start", "validation_fraction"} & {*fields}
    assert fields["epochs"].default == "auto"
    assert fields["id"].doc == tabdl.RidgeForecaster.fields["id"].doc
    with pytest.raises(ParameterError, match="checkpoint"):
        tabdl.RNNForecaster(checkpoint="state", **ROLES).fit(asymmetric())
    with pytest.raises(ParameterError, match="loss"):
        tabdl.RNNForecaster(loss="poisson", **ROLES).fit(asymmetric())


def test_static_columns_alone_are_encoded():
    table = asymmetric().assign(city=lambda t: t["id"].map({"a": "Oslo", "b": "Rome"}))
    table = pd.concat([table, table.assign(id=table["id"] + "2")], ignore_index=True)
    found = tabdl.SegRNNForecaster(width=4, epochs=1, random_state=0, lookback=4, static="city", **ROLES).fit(table)
    assert found.static_["categories"][:, 0].tolist() == [2, 3, 2, 3, 1]
    assert {*found.static_} == {"categories"}
    assert np.isfinite(found.predict(table[table["id"] == "a"].assign(id="new").drop(columns="city"))["mean"]).all()


def test_copies_are_averaged():
    found = tabdl.SegRNNForecaster(width=4, epochs=1, members=2, random_state=0, lookback=4, **ROLES).fit(asymmetric())
    assert len(found.models_) == 2
    assert len(next(iter(found.weights_.values()))) == 2


@pytest.mark.parametrize("log", [False, True])
def test_what_a_network_should_find_brings_back_what_came(log):
    one, cut = model(log), windows()
    forecast, unit = one(cut.seen, cut.series), np.array([2.0, 0.5])
    found = residuals(one, forecast, cut, unit)
    assert found[0, 1] == 0  # a gap
    back = add_residual(one, forecast, unit[:, None] * found)
    known = ~np.isnan(cut.after)
    np.testing.assert_allclose(back[known], cut.after[known], rtol=1e-5)


def test_windows_are_told_as_changes_from_the_last_value():
    one, cut = model(), windows()
    features = np.arange(2 * 5 * 3, dtype=np.float64).reshape(2, 5, 3)  # 3 steps seen, 2 ahead; known, past, calendar
    past = np.array([False, True, False])
    arrays = encode_windows(one, cut, np.full((2, 2), 8.0), np.array([2.0, 0.0]), features, 2, past)
    np.testing.assert_allclose(arrays["sequence"][0, :, 0], [-1, -0.5, 0])
    np.testing.assert_allclose(arrays["sequence"][:, :, 1:], features[:, :3, :2])
    np.testing.assert_allclose(arrays["mask"], [[1, 1, 1], [1, 1, 1]])
    np.testing.assert_allclose(arrays["future"][0, :, 0], [1, 1])
    np.testing.assert_allclose(arrays["future"][:, :, 1:], features[:, 3:, ::2])
    moved = Windows(cut.seen + 50, cut.known, cut.after, cut.series, cut.begin)
    again = encode_windows(one, moved, np.full((2, 2), 58.0), np.array([2.0, 0.0]), features, 2, past)
    np.testing.assert_allclose(again["sequence"], arrays["sequence"], atol=1e-6)


def test_units_are_those_of_the_window_and_never_far_below_the_usual_ones():
    np.testing.assert_allclose(window_units(model(), windows(), np.array([3.0, 3.0])), [1.0, 0.3])
    assert seen_steps(model()) == 6
    assert seen_steps(model(lookback=60)) == 8
    assert seen_steps(model(lookback=3)) == 3
    assert window_limit(100, 50, 0) == 20_000 > window_limit(700, 700, 50) >= 600


def test_shares_move_the_error():
    one, cut = model(), windows()
    plain = one(cut.seen, np.zeros(2, int))
    judged = Judged(one, cut, plain, np.ones(2), np.ones(1))
    right = residuals(one, plain, cut, np.ones(2)).astype(np.float64)
    errors = [judged.error(right, share) for share in (0.0, 0.5, 1.0)]
    assert errors[0] > errors[1] > errors[2] == pytest.approx(0, abs=1e-6)
    assert judged.validation({}).score(lambda _: right) == pytest.approx(errors[2])


def test_a_network_has_to_help_in_each_span_of_the_held_out_time():
    """Two series that end at other steps; residuals of 1 are found in all spans but the last of the second."""
    one, series = model(), np.repeat([0, 1], [30, 60])
    begin = np.concatenate([np.arange(30), 100 + np.arange(60)])
    order = np.random.default_rng(0).permutation(90)
    cut = Windows(np.zeros((90, 6)), np.ones((90, 6), bool), np.ones((90, 2)), series, begin).take(order)
    judged = Judged(one, cut, np.zeros((90, 2)), np.ones(90), np.ones(2))
    found, last = np.ones((90, 2)), np.where(cut.series == 1, cut.begin >= 140, cut.begin >= 20)
    assert judged.worst(found, 0.5) == pytest.approx(judged.error(found, 0.5) / judged.error(found, 0.0))
    found[last] = -1.0
    index = np.flatnonzero(last)
    part = Judged(one, cut.take(index), judged.plain[index], judged.unit[index], judged.scale)
    assert judged.worst(found, 0.5) == pytest.approx(part.error(found[index], 0.5) / part.error(found[index], 0.0))
    assert judged.worst(found, 0.5) > 1 > judged.error(found, 0.5) / judged.error(found, 0.0)
    gaps = Windows(cut.seen, cut.known, np.full((90, 2), np.nan), cut.series, cut.begin)
    assert Judged(one, gaps, judged.plain, judged.unit, judged.scale).worst(found, 0.5) == 1.0


def test_windows_that_overlap_remove_no_doubt():
    """Windows of horizon 2: 200 that begin with every step, and those of them that share no step."""
    rng, one = np.random.default_rng(0), model()
    seen, after = rng.normal(size=(200, 6)), 0.3 + rng.normal(size=(200, 2))

    def judge(every: int) -> float:
        index = np.arange(0, 200, every)
        cut = Windows(seen, seen < np.inf, after, np.zeros(200, int), np.arange(200)).take(index)
        judged = Judged(one, cut, np.zeros((len(index), 2)), np.ones(len(index)), np.ones(1))
        assert judged.doubt(np.full((len(index), 2), -0.3), 1.0) > 0.5
        return judged.doubt(np.full((len(index), 2), 0.3), 1.0)

    assert 1e-6 < judge(1) < 0.05
    assert 1e-6 < judge(2) < 0.05
    assert judge(150) > 0.05
    assert judge(200) == 1


@pytest.mark.parametrize(
    "name, told",
    [
        ("SegRNN", {"piece": 2}),
        ("SegRNN", {"width": 8}),
        ("TSMixer", {"width": 8}),
        ("TSMixer", {"blocks": 1}),
        ("PatchTST", {"patch": 2}),
        ("PatchTST", {"blocks": 1}),
        ("PatchTST", {"width": 8}),
        ("RNN", {"layers": 2}),
    ],
)
def test_sizes_change_the_number_of_weights(name, told):
    from tabdl.models import load_class
    from tabdl.network import build
    from tabdl.spec import Head, Spec

    spec, head = Spec(1, 0, (4,), 8, 2, horizon=4, future=3), Head(4, "identity", "mae")
    cls = load_class(f"{name}Forecaster")
    counts = []
    for given in ({"width": 4}, {"width": 4} | told):
        forecaster = cls(horizon=4, **given)
        network = next(base for base in cls.__mro__ if base.__name__ == name)(**forecaster.network_params())
        model = build(network, spec, head, 0)
        assert model.output.shape == (None, 4)
        counts.append(model.count_params())
    assert counts[0] != counts[1]
