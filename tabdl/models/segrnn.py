"""SegRNN: a recurrent network that reads a series piece by piece, and forecasts all pieces ahead at once.

Lin et al., SegRNN: Segment Recurrent Neural Network for Long-Term Time Series Forecasting, 2023, arXiv 2308.11200.
NOTE[DIFF]: what is known of the steps ahead stands beside the place of a piece; the network learns what a linear kernel leaves.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.networkforecasting import NetworkForecaster
from tabdl.network import HorizonNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class SegRNN(HorizonNetwork):
    """A GRU over pieces of the past, which goes on from its last state to each piece ahead."""

    piece: int | str = param(
        "auto", "steps in a piece; 'auto': a quarter of the horizon, 1 to 24", low=1, high=512, options=("auto",)
    )
    width: int = param(256, "size of the state", low=1, high=1024)
    dropout: float = param(0.1, "share of the states switched off before the last layer", low=0, high=0.9, weight=True)
    defaults = {"learning_rate": 1e-3}

    def forward(self, inputs: Inputs) -> Any:
        horizon = layers.horizon
        ahead = inputs.spec.horizon
        size = min(24, max(1, ahead // 4)) if isinstance(self.piece, str) else min(self.piece, ahead)
        x = horizon.dense_relu(horizon.past_pieces(inputs.sequence, inputs.mask, size), self.width)  # (rows, pieces, width)
        state = layers.temporal.recurrent(x, self.width, "gru", every_step=False)  # (rows, width)
        future = horizon.dense_relu(horizon.future_pieces(inputs.future, size), self.width)
        future = layers.tokens.Places()(future)  # (rows, pieces ahead, width)
        known = horizon.known_of_series(inputs)
        state = state if known is None else layers.blocks.join(state, known)
        x = layers.blocks.join(horizon.repeat(state, future.shape[1]), future)
        x = layers.blocks.dense_block(x, self.width, dropout=self.dropout)
        return horizon.unfold(layers.blocks.dense(x, size), ahead)  # (rows, horizon)


class SegRNNForecaster(NetworkForecaster, SegRNN):
    """Recurrent network over pieces of a series, beside the linear forecast.

    Examples
    --------
    >>> from tabdl import SegRNNForecaster
    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=3, days=120, random_state=0)
    >>> roles = {"time": "date", "id": "store", "target": "sales"}
    >>> model = SegRNNForecaster(horizon=7, width=16, epochs=2, random_state=0, **roles).fit(table)
    >>> model.predict().shape
    (21, 7)
    """
