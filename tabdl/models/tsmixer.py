"""TSMixer: dense layers by turns along the steps and across the channels of a window.

Chen et al., TSMixer: An All-MLP Architecture for Time Series Forecasting, TMLR 2023, arXiv 2303.06053 (TSMixer-Ext).
NOTE[DIFF]: layer norm over the channels instead of batch norm over steps and channels: one window is forecast as many are.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.networkforecasting import NetworkForecaster
from tabdl.network import HorizonNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class TSMixer(HorizonNetwork):
    """Mixing along steps, then across channels."""

    blocks: int = param(2, "blocks of mixing, over what is seen and what is known ahead", low=1, high=12)
    width: int = param(64, "channels", low=1, high=512)
    dropout: float = param(0.1, "share of hidden units switched off", low=0, high=0.9, weight=True)
    defaults = {"learning_rate": 1e-3}

    def forward(self, inputs: Inputs) -> Any:
        horizon, blocks, ahead = layers.horizon, layers.blocks, inputs.spec.horizon
        seen = blocks.join(inputs.sequence, horizon.as_channel(inputs.mask))
        seen = horizon.transpose(blocks.dense(horizon.transpose(seen), ahead))  # (rows, horizon, channels)
        x = blocks.join(blocks.dense(seen, self.width), blocks.dense(inputs.future, self.width))
        known = horizon.known_of_series(inputs)
        x = x if known is None else blocks.join(x, horizon.repeat(known, ahead))
        x = blocks.dense(x, self.width)  # (rows, horizon, width)
        for _ in range(self.blocks):
            mixed = horizon.transpose(blocks.normalize(x, "layer"))
            x = x + horizon.transpose(blocks.dense_block(mixed, ahead, dropout=self.dropout))
            x = blocks.residual_block(x, 2 * self.width, dropout=self.dropout, norm="layer")
        return horizon.flatten(blocks.dense(x, 1))  # (rows, horizon)


class TSMixerForecaster(NetworkForecaster, TSMixer):
    """Dense layers along steps and across channels, beside the linear forecast.

    Examples
    --------
    >>> from tabdl import TSMixerForecaster
    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=3, days=120, random_state=0)
    >>> roles = {"time": "date", "id": "store", "target": "sales", "past": "visitors"}
    >>> TSMixerForecaster(horizon=7, width=8, epochs=2, random_state=0, **roles).fit(table).predict().shape
    (21, 7)
    """
