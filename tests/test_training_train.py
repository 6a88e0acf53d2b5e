"""The training loop: best weights, early stopping, callbacks, time limit, resume."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from trainings import DATA, SETTINGS, Killed, X, make_program, run, same, scripted

from tabdl.errors import ArtifactError, ParameterError
from tabdl.network import get_weights, set_weights
from tabdl.training import clock
from tabdl.training import train as training
from tabdl.training.checkpoint import Checkpoint
from tabdl.training.order import Plan
from tabdl.training.train import Copy, train


@pytest.fixture(scope="module")
def program():
    return make_program()


class Calls(keras.callbacks.Callback):
    """Notes every event; the list is shared by all copies."""

    log: list = []

    def __init__(self):
        super().__init__()
        self.epochs_seen = 0

    def on_train_begin(self, logs=None):
        self.log.append("train begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.log.append(f"epoch {epoch}")

    def on_train_batch_begin(self, batch, logs=None):
        self.log.append(f"batch {batch}")

    def on_train_batch_end(self, batch, logs=None):
        self.log.append(f"batch end {batch} {sorted(logs)}")

    def on_epoch_end(self, epoch, logs=None):
        self.epochs_seen += 1
        self.log.append(f"epoch end {epoch} {sorted(logs)} {self.epochs_seen} of {self.params['epochs']}")

    def on_train_end(self, logs=None):
        self.log.append("train end")


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epochs):
        super().__init__()
        self.left = epochs

    def on_epoch_end(self, epoch, logs=None):
        self.left -= 1
        self.model.stop_training = self.left == 0


def test_loss_falls_and_history_has_one_entry_an_epoch(program):
    state, _ = run(program, epochs=10)
    assert state.history.keys() == {"epoch", "loss", "learning_rate", "seconds"}
    assert all(len(v) == 10 for v in state.history.values())
    assert state.history["epoch"] == list(range(1, 11))
    assert state.history["loss"][-1] < 0.8 * state.history["loss"][0]
    np.testing.assert_allclose(state.history["learning_rate"], 0.01, rtol=1e-6)
    assert state.best_epoch == [10]


def test_the_same_seeds_give_the_same_weights_to_the_bit_also_after_other_fits(program):
    _, first = run(program)
    run(program, seed=6, learning_rate=0.1, optimizer="sgd")
    _, again = run(program)
    assert same(first, again)
    assert not same(first, run(program, seed=6)[1]), "the seed decides the order"


@pytest.mark.parametrize("larger, scores", [(False, [3.0, 1.0, 2.0, 5.0]), (True, [0.1, 0.9, 0.5, 0.2])])
def test_the_best_epochs_weights_are_restored(program, larger, scores):
    validation, seen = scripted(scores, larger)
    state, weights = run(program, validation)
    assert state.best_epoch == [2]
    assert state.history["val_made_up"] == scores
    shared, _ = program
    np.testing.assert_array_equal(shared.forward(shared.values(weights), [{"numbers": X}]), seen[1])
    assert (seen[1] != seen[3]).any()
    assert not same(weights, run(program)[1])


def test_patience_counts_epochs_since_the_best(program):
    validation, seen = scripted([5.0, 1.0, 2.0, 1.0, 3.0, 0.5])
    state, _ = run(program, validation, epochs=6, patience=3)
    assert state.history["epoch"] == [1, 2, 3, 4, 5], "a tie is no improvement"
    assert state.best_epoch == [2]
    assert len(seen) == 5


def test_callbacks_hear_every_event_in_order_and_are_copied(program, monkeypatch):
    monkeypatch.setattr(Calls, "log", [])
    mine = Calls()
    validation, _ = scripted([2.0, 1.0])
    run(program, validation, [mine], epochs=2)
    logs = ["learning_rate", "loss", "seconds", "val_loss", "val_made_up"]
    expected = ["train begin"]
    for epoch in range(2):
        expected += [f"epoch {epoch}", "batch 0", "batch end 2 ['loss']", f"epoch end {epoch} {logs} {epoch + 1} of 2"]
    assert [*expected, "train end"] == Calls.log
    assert mine.epochs_seen == 0
    assert not hasattr(mine, "_model") or mine.model is None, "the user's own object never saw a model"


def test_val_loss_is_the_score_with_smaller_better(program):
    got = []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: got.append(logs["val_loss"]))
    run(program, scripted([0.5, 0.7], larger=True)[0], [keep], epochs=2)
    run(program, scripted([0.5, 0.7])[0], [keep], epochs=2)
    assert got == [-0.5, -0.7, 0.5, 0.7]


def test_early_stopping_of_keras_stops_with_its_default_monitor(program):
    state, _ = run(program, scripted([3.0, 1.0, 2.0, 2.0, 0.1])[0], [keras.callbacks.EarlyStopping(patience=2)], epochs=5)
    assert state.history["epoch"] == [1, 2, 3, 4]
    assert state.best_epoch == [2]


def test_early_stopping_of_keras_restores_its_best_weights_without_validation(program):
    _, first = run(program, epochs=1)
    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=1, restore_best_weights=True)
    state, weights = run(program, None, [stop], epochs=4)
    assert state.history["epoch"] == [1, 2], "the loss falls, so that its maximum is the first epoch"
    assert same(weights, first)


class SetWeights(keras.callbacks.Callback):
    """Sets all weights to a constant when one epoch begins."""

    def __init__(self, epoch, value):
        super().__init__()
        self.when, self.value = epoch, value

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.when:
            for weight in self.model.trainable_weights:
                weight.assign(np.full(weight.shape, self.value))


def test_training_goes_on_from_weights_that_a_callback_has_set(program):
    shared, network = program
    model = shared.fresh_model(network, 1)
    for weight in model.trainable_weights:
        weight.assign(np.full(weight.shape, 0.3))
    expected = train(shared, [Copy(model, 5)], DATA, SETTINGS).weights()
    assert same(run(program, None, [SetWeights(0, 0.3)])[1], expected)
    assert not same(run(program)[1], expected)
    frozen = {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 1e-6}
    for weight in (w for k, w in run(program, None, [SetWeights(3, 0.3)], **frozen)[1].items() if not k.endswith("rate")):
        np.testing.assert_allclose(weight, 0.3, atol=1e-3, err_msg="epochs before it are forgotten")


def test_stop_training_ends_the_fit_after_the_epoch(program):
    state, weights = run(program, None, [StopAfter(2)])
    assert state.history["epoch"] == [1, 2]
    assert same(weights, run(program, epochs=2)[1])


def test_reduce_on_plateau_scales_the_rate_from_then_on(program):
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.1, patience=2)
    state, _ = run(program, scripted([1.0] * 7)[0], [plateau], epochs=7)
    np.testing.assert_allclose(state.history["learning_rate"], [0.01] * 3 + [0.001] * 2 + [0.0001] * 2, rtol=1e-4)


def test_rate_scheduler_sets_the_rate_of_each_epoch(program):
    rates = [0.01, 0.003, 0.02, 0.0007]
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rates[epoch])
    state, weights = run(program, None, [scheduler])
    np.testing.assert_allclose(state.history["learning_rate"], rates, rtol=1e-4)
    assert not same(weights, run(program)[1])
    halving = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    np.testing.assert_allclose(
        run(program, None, [halving])[0].history["learning_rate"], 0.01 * 0.5 ** np.arange(1, 5), rtol=1e-4
    )


def test_a_callback_that_watches_only_changes_nothing(program, monkeypatch):
    monkeypatch.setattr(Calls, "log", [])
    assert same(run(program, None, [Calls()])[1], run(program)[1])


@pytest.mark.parametrize(
    "schedule, last", [("constant", 1), ("linear", 1 / 24), ("step", 0.01), ("exponential", 0.01 ** (23 / 24))]
)
def test_schedule_runs_over_the_whole_training(program, schedule, last):
    state, _ = run(program, schedule=schedule)
    assert state.history["learning_rate"][-1] == pytest.approx(0.01 * last, rel=1e-3)


def test_time_limit_is_kept_and_shortens_the_schedule(program, monkeypatch):
    run(program, epochs=1)  # compiled before the clock runs
    clock = iter(np.arange(0, 10_000, 0.25))
    monkeypatch.setattr(training.time, "monotonic", lambda: float(next(clock)))
    state, _ = run(program, epochs=1_000, time_limit=20.0, schedule="linear")
    assert 5 <= len(state.history["epoch"]) <= 20
    assert state.history["learning_rate"][-1] < 0.2 * 0.01, "the schedule ends where the time ends"


@pytest.mark.parametrize(("chunks", "rows_before"), [(1, None), (2, None), (1, 59)])
def test_what_the_first_call_compiles_is_not_the_price_of_an_epoch(program, monkeypatch, chunks, rows_before):
    """A first call of 10 s, others of 1 s, in 30 s."""
    shared, now, calls = program[0], [0.0], []
    step, compiled = shared.training("adam", (0,), 1)

    def call(*arguments):
        now[0] += 1.0 if calls else 10.0
        calls.append(1)
        return compiled(*arguments)

    monkeypatch.setattr(shared, "training", lambda *_: (step, call))
    plan = Plan(60, 10, 6 // chunks, chunks)
    monkeypatch.setattr(step, "ran", rows_before and (plan, rows_before))
    for module in (training, clock):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    state, _ = run(program, plan=plan, epochs=1_000, time_limit=30.0, schedule="linear")
    assert 27 <= now[0] <= 30
    assert abs(state.epoch - 20 / chunks) <= 1
    assert state.progress == pytest.approx(1)
    rates = state.history["learning_rate"]
    assert rates[1] > 0.8 * rates[0], "the second epoch does not take the whole schedule"


def test_time_limit_holds_on_the_clock_on_the_wall(program):
    run(program, epochs=1)
    begun = time.monotonic()
    state, _ = run(program, epochs=10**6, time_limit=0.5)
    assert time.monotonic() - begun < 1.5
    assert 1 <= len(state.history["epoch"]) < 10**6


def test_copies_have_their_own_order_validation_best_epoch_and_rows(program):
    """Two copies side by side end as two that are alone, each at the best epoch of its own."""
    shared, network = program
    scores = {5: [3.0, 1.0, 2.0, 4.0], 6: [4.0, 3.0, 2.0, 1.5]}
    rows = {5: np.arange(0, 40), 6: np.arange(20, 60)}
    settings = replace(SETTINGS, plan=Plan.of(40, 20), clip_norm=0.5, weight_decay=0.1)

    def copy(seed):
        return Copy(shared.fresh_model(network, seed), seed, rows[seed], 0, scripted(scores[seed])[0])

    both = train(shared, [copy(5), copy(6)], DATA, settings)
    assert both.best_epoch == [2, 4]
    assert both.history["val_made_up"] == [3.5, 2.0, 2.0, 2.75]
    for c, seed in enumerate((5, 6)):
        alone = train(shared, [copy(seed)], DATA, settings)
        assert alone.best_epoch == [both.best_epoch[c]]
        for name, weight in alone.weights().items():
            np.testing.assert_allclose(both.weights()[name][c], weight, rtol=1e-5, atol=1e-6, err_msg=f"{seed} {name}")


def test_a_diverging_training_says_so(program):
    huge = DATA | {"target": np.full((60, 1), 1e30, np.float32)}
    with pytest.raises(ParameterError, match=r"finite training loss, received (inf|nan) in epoch 1: .* lower learning_rate"):
        run(program, data=huge)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_resume_gives_the_same_weights_and_history_to_the_bit(program, tmp_path, monkeypatch, schedule):
    settings = dict(epochs=5, schedule=schedule, optimizer="adam", clip_norm=1.0)
    whole, expected = run(program, scripted([5.0, 4.0, 2.0, 3.0, 2.5])[0], **settings)
    monkeypatch.setattr("tabdl.training.checkpoint.BUDGET", np.inf)  # write every epoch

    def killed_after_three(epoch, logs):
        if epoch == 3:
            raise Killed

    kill = keras.callbacks.LambdaCallback(on_epoch_end=killed_after_three)
    path = tmp_path / "fit.npz"
    with pytest.raises(Killed):
        run(program, scripted([5.0, 4.0, 2.0, 3.0])[0], [kill], Checkpoint(path, "mark"), **settings)
    assert path.exists()
    run(program, seed=77)  # another fit in between
    state, weights = run(program, scripted([3.0, 2.5])[0], (), Checkpoint(path, "mark"), **settings)
    assert same(weights, expected)
    assert state.best_epoch == whole.best_epoch == [3]
    for key in ("epoch", "loss", "learning_rate", "val_made_up"):
        assert state.history[key] == whole.history[key], key


def test_a_finished_training_is_not_prolonged(program, tmp_path):
    """However often it was allowed to write before."""
    checkpoint = Checkpoint(tmp_path / "fit.npz", "mark")
    _, expected = run(program, scripted([1.0, 2.0, 3.0])[0], (), checkpoint, patience=2)
    state, weights = run(program, scripted([])[0], (), checkpoint, patience=2)
    assert state.history["epoch"] == [1, 2, 3]
    assert same(weights, expected)


def test_a_foreign_checkpoint_stops_the_fit(program, tmp_path):
    path = tmp_path / "fit.npz"
    Checkpoint(path, "other").write({}, {})
    with pytest.raises(ArtifactError, match="other data or parameters"):
        run(program, checkpoint=Checkpoint(path, "mark"))


def test_training_starts_from_the_weights_of_the_model_and_leaves_it_alone(program):
    shared, network = program
    model = shared.fresh_model(network, 1)
    start = {k: v * 0 + np.float32(0.01) for k, v in get_weights(model).items()}
    set_weights(model, start)
    state = train(shared, [Copy(model, 5)], DATA, replace(SETTINGS, epochs=1, learning_rate=1e-6))
    ended = state.weights()
    assert all(np.abs(v - start[k]).max() < 1e-4 for k, v in ended.items())
    assert not same(ended, start)
    assert same(get_weights(model), start)
