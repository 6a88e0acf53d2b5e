"""A progress bar with the time left and the validation score."""

from __future__ import annotations

import sys
from typing import Any


class Progress:
    """Bar over all compiled calls of a fit; `verbose=0` shows nothing, 2 prints a line an epoch."""

    def __init__(self, title: str, verbose: int, total: int):
        self.title, self.verbose, self.bar = title, verbose, None
        if verbose == 1:
            from tqdm import tqdm

            self.bar = tqdm(
                total=total, desc=title, unit="step", file=sys.stderr, mininterval=0.2, dynamic_ncols=True, leave=True
            )

    def advance(self, steps: int) -> None:
        if self.bar is not None:
            self.bar.update(steps)

    def report(self, epoch: int, epochs: int, total: int, logs: dict[str, float]) -> None:
        scores = {k: f"{v:.4g}" for k, v in logs.items() if k not in ("seconds", "learning_rate")}
        if self.bar is not None:
            self.bar.total = total
            self.bar.set_postfix({"epoch": f"{epoch}/{epochs}", **scores})
        elif self.verbose > 1:
            print(f"{self.title} {epoch}/{epochs} " + " ".join(f"{k}={v}" for k, v in scores.items()), file=sys.stderr)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.total = self.bar.n
            self.bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *failure: Any) -> None:
        self.close()
