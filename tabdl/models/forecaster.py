"""Forecaster: recurrent, mixing and attending networks side by side, their mean beside the linear forecast. The default.

Networks of different kinds err differently, and their mean errs less: of 60 methods in the M4 competition all of the best but one
average several (Makridakis, Spiliotis, Assimakopoulos, The M4 Competition, International Journal of Forecasting 36, 2020).
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.networkforecasting import NetworkForecaster
from tabdl.models import find
from tabdl.network import HorizonNetwork
from tabdl.params import param
from tabdl.spec import Inputs

PARTS = ("segrnn", "tsmixer", "patchtst")


class Blend(HorizonNetwork):
    """The mean of SegRNN, TSMixer and PatchTST, which learn together."""

    width: int = param(64, "size of the state, the channels and the tokens", low=4, high=512)
    dropout: float = param(0.1, "share of hidden units switched off", low=0, high=0.9, weight=True)
    defaults = {"learning_rate": 1e-3}

    def forward(self, inputs: Inputs) -> Any:
        parts = [find(name, "forecaster")(width=self.width, dropout=self.dropout) for name in PARTS]
        return layers.horizon.average(*(part.forward(inputs) for part in parts))  # (rows, horizon)


class Forecaster(NetworkForecaster, Blend):
    """The default: the forecast of `RidgeForecaster`, and what several networks add to it where that helps.

    What they count is chosen on held-out steps (`share_`), 0 where they do not help: it is never worse there than
    `RidgeForecaster`, and as fast to train as three small networks.

    Examples
    --------
    >>> from tabdl import Forecaster
    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=3, days=120, random_state=0)
    >>> roles = {"time": "date", "id": "store", "target": "sales", "known": "promo"}
    >>> model = Forecaster(horizon=7, width=8, epochs=2, random_state=0, **roles).fit(table[table["date"] < "2024-04-20"])
    >>> model.predict(future=table).columns.tolist()
    ['store', 'date', 'mean', 'q0.025', 'q0.1', 'q0.9', 'q0.975']
    """
