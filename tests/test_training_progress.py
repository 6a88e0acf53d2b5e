"""The progress bar: silent, a bar with ETA and score, or a line an epoch."""

from __future__ import annotations

from tabdl.training.progress import Progress

LOGS = {"loss": 0.51234, "val_auc": 0.8, "seconds": 0.1, "learning_rate": 0.001}


def run(verbose):
    with Progress("MLP", verbose, 20) as bar:
        bar.advance(10)
        bar.report(1, 2, 20, LOGS)
        bar.advance(5)


def test_zero_is_silent(capsys):
    run(0)
    assert capsys.readouterr() == ("", "")


def test_one_is_a_bar_on_stderr_that_ends_full(capsys):
    run(1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "MLP:  50%" in err or "MLP:   0%" in err
    last = err.strip().splitlines()[-1].split("\r")[-1]
    assert "100%" in last
    assert "15/15" in last
    assert "epoch=1/2, loss=0.5123, val_auc=0.8" in last
    assert "seconds" not in last


def test_two_is_a_line_an_epoch(capsys):
    run(2)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "MLP 1/2 loss=0.5123 val_auc=0.8\n")
