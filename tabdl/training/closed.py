"""Ridge regression in closed form; every row is predicted by the fit without it.

Leave-one-out by the leverage of a row, without refits: Cawley, Talbot, "Preventing Over-Fitting during Model Selection via
Bayesian Regularisation of the Hyper-Parameters", JMLR 2007, section 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

PENALTIES = np.logspace(-9, 3, 37)  # of the sum of squares of all features; the last leaves next to nothing but the intercept
BLOCK = 2_048  # rows or features made float64 at a time


@dataclass(frozen=True)
class Ridge:
    """coefficients (features, outputs), intercept (outputs,), penalty as a share of the sum of squares of the centred
    features, left_out (rows, outputs): what the fit without that row, and without equal rows, predicts for it."""

    coefficients: np.ndarray
    intercept: np.ndarray
    penalty: float
    left_out: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """float64 (rows, outputs)."""
        blocks = [features[start : start + BLOCK] @ self.coefficients for start in range(0, len(features), BLOCK)]
        return np.concatenate([np.zeros((0, len(self.intercept))), *blocks]) + self.intercept


def fit_ridge(
    features: np.ndarray,
    targets: np.ndarray,
    weight: np.ndarray | None = None,
    penalties: np.ndarray = PENALTIES,
) -> Ridge:
    """Ridge with an intercept, its penalty chosen by the squared error of what the fit without a row predicts for it.

    features: (rows, features), finite; targets: (rows, outputs), -1 and 1 for classes, of which the highest output wins; weight:
    (rows,), not negative; penalties: shares of the sum of squares of the centred features, so that no unit matters. Equal rows
    with equal targets are one row of their total weight: a weight of two is the same as a copy, and no copy of a left-out row
    helps to predict it.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(30, 50))
    >>> ridge = fit_ridge(x, x[:, :1])
    >>> ridge.predict(x).shape, ridge.left_out.shape
    ((30, 1), (30, 1))
    """
    weight = np.ones(len(features)) if weight is None else np.asarray(weight, dtype=np.float64)
    first, place = _distinct(features, targets, weight)
    if not len(first):
        raise ValueError(f"expected a row of positive weight, received {len(features)} without: give weights above 0")
    counted = place >= 0
    spread = Spread(features[first], np.asarray(targets, dtype=np.float64)[first], np.bincount(place[counted], weight[counted]))
    errors = np.zeros(len(penalties))
    for part, left_out in spread.left_out(penalties):
        errors += np.square(left_out - spread.y[part]).sum(axis=2) @ spread.mass[part]
    penalty = float(penalties[errors.argmin()])
    coefficients, intercept = spread.solve(penalty)
    inside = np.concatenate([left_out[0] for _, left_out in spread.left_out(np.array([penalty]))])
    ridge = Ridge(coefficients, intercept, penalty, np.empty((len(features), len(intercept))))
    ridge.left_out[counted] = inside[place[counted]]
    ridge.left_out[~counted] = ridge.predict(features[~counted])
    return ridge


def _distinct(features: np.ndarray, targets: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First of each set of equal rows, and the place of every row's set among them; -1 for a row without weight."""
    seen: dict[bytes, int] = {}
    first, place = [], np.full(len(features), -1)
    for row in np.flatnonzero(weight > 0):
        key = blake2b(features[row].tobytes() + targets[row].tobytes()).digest()
        if key not in seen:
            seen[key] = len(first)
            first.append(row)
        place[row] = seen[key]
    return np.array(first, dtype=np.intp), place


class Spread:
    """Principal axes of weighted rows: of the rows' products where there are fewer rows than features, else of the features'.

    x: (rows, features), y: (rows, outputs), mass: (rows,) above 0. With root = sqrt(mass), root (x - center) = u sqrt(s) axes'.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, mass: np.ndarray) -> None:
        self.x, self.y, self.mass = x, y, mass
        self.root = np.sqrt(mass)[:, None]
        self.center = x[0].astype(np.float64)  # sums start from a row, so that a constant feature has no spread at all
        self.center += sum(mass[part] @ (x[part] - self.center) for part in _parts(len(x))) / mass.sum()
        self.middle = mass @ y / mass.sum()
        self.by_rows = len(x) <= x.shape[1]
        self.spectrum, self.vectors = self._decompose_rows() if self.by_rows else self._decompose_features()
        self.shifted = self.root * (y - self.middle)
        self.answers = np.zeros((len(self.spectrum), y.shape[1]))
        for part in _parts(len(x)):
            self.answers += self._u(part).T @ self.shifted[part]

    def _decompose_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """s (rows - 1,) and u (rows, rows - 1)."""
        products = np.zeros((len(self.x), len(self.x)))
        for part in _parts(self.x.shape[1]):
            columns = self.root * (self.x[:, part] - self.center[part])
            products += columns @ columns.T
        # centred rows have no spread along `root`: made the longest axis, it can be left out
        self.total = np.trace(products) or 1.0
        products += 2 * self.total / self.mass.sum() * (self.root @ self.root.T)
        spectrum, u = np.linalg.eigh(products)
        return np.maximum(spectrum[:-1], 0), u[:, :-1]

    def _decompose_features(self) -> tuple[np.ndarray, np.ndarray]:
        """s (axes,) and axes (features, axes), those without spread left out."""
        products = np.zeros((self.x.shape[1], self.x.shape[1]))
        for part in _parts(len(self.x)):
            rows = self.root[part] * (self.x[part] - self.center)
            products += rows.T @ rows
        self.total = np.trace(products) or 1.0
        spectrum, axes = np.linalg.eigh(products)
        wide = spectrum > spectrum.max(initial=0) * 1e-13
        return spectrum[wide], axes[:, wide]

    def _u(self, part: slice) -> np.ndarray:
        """(rows of the part, axes), orthonormal columns over all rows."""
        if self.by_rows:
            return self.vectors[part]
        return self.root[part] * (self.x[part] - self.center) @ (self.vectors / np.sqrt(self.spectrum))

    def left_out(self, penalties: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Rows, and what fits without each predict for it, (penalties, rows, outputs)."""
        ridge = penalties[:, None] * self.total
        rest = ridge / (self.spectrum + ridge)  # (penalties, axes): share of an axis that is not fitted
        for part in _parts(len(self.x)):
            u = self._u(part)
            missed = self.shifted[part] - u @ self.answers + u @ (rest[:, :, None] * self.answers)
            free = np.maximum(1 - self.mass[part] / self.mass.sum() - np.square(u).sum(axis=1), 0) + rest @ np.square(u).T
            yield part, self.y[part] - missed / np.maximum(free, 1e-12)[:, :, None] / self.root[part]

    def solve(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (features, outputs) and intercept (outputs,)."""
        shrunk = self.answers / (self.spectrum + penalty * self.total)[:, None]
        if self.by_rows:
            weights = self.root * (self.vectors @ shrunk)  # (rows, outputs)
            parts = [(self.x[:, part] - self.center[part]).T @ weights for part in _parts(self.x.shape[1])]
            coefficients = np.concatenate([np.zeros((0, self.y.shape[1])), *parts])
        else:
            coefficients = self.vectors @ (np.sqrt(self.spectrum)[:, None] * shrunk)
        return coefficients, self.middle - self.center @ coefficients


def _parts(count: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]
