"""PatchTST: patches of a window are tokens that talk through attention, and all of them tell the steps ahead.

Nie, Nguyen, Sinthong, Kalagnanam, A Time Series is Worth 64 Words, ICLR 2023, arXiv 2211.14730.
NOTE[DIFF]: patches do not overlap; covariates are channels of a patch, and patches of what is known ahead are tokens as well.
"""

from __future__ import annotations

from typing import Any

from tabdl import layers
from tabdl.estimators.networkforecasting import NetworkForecaster
from tabdl.network import HorizonNetwork
from tabdl.params import param
from tabdl.spec import Inputs


class PatchTST(HorizonNetwork):
    """Attention over patches of what is seen and of what is known ahead."""

    patch: int | str = param(
        "auto", "steps in a patch; 'auto': a quarter of the horizon, 1 to 16", low=1, high=512, options=("auto",)
    )
    blocks: int = param(2, "transformer blocks", low=1, high=12)
    width: int = param(64, "size of a token", low=4, high=512)
    heads: int = param(4, "attention heads", low=1, high=16)
    dropout: float = param(0.1, "dropout inside a block", low=0, high=0.9, weight=True)
    defaults = {"learning_rate": 1e-3}

    def forward(self, inputs: Inputs) -> Any:
        horizon, blocks, ahead = layers.horizon, layers.blocks, inputs.spec.horizon
        patch = min(16, max(1, ahead // 4)) if isinstance(self.patch, str) else min(self.patch, ahead)
        past = blocks.dense(horizon.past_pieces(inputs.sequence, inputs.mask, patch), self.width)
        future = blocks.dense(horizon.future_pieces(inputs.future, patch), self.width)
        x = layers.tokens.Places()(horizon.along_steps(past, future))  # (rows, patches, width)
        for _ in range(self.blocks):
            x = layers.tokens.attention_block(x, self.heads, 2 * self.width, attention_dropout=self.dropout, dropout=self.dropout)
        x = horizon.flatten(blocks.normalize(x, "layer"))
        known = horizon.known_of_series(inputs)
        return blocks.dense(x if known is None else blocks.join(x, known), ahead)  # (rows, horizon)


class PatchTSTForecaster(NetworkForecaster, PatchTST):
    """Attention over patches of a series, beside the linear forecast.

    Examples
    --------
    >>> from tabdl import PatchTSTForecaster
    >>> from tabdl.datasets import make_sales
    >>> table = make_sales(stores=3, days=120, random_state=0)
    >>> roles = {"time": "date", "id": "store", "target": "sales"}
    >>> PatchTSTForecaster(horizon=7, width=8, epochs=2, random_state=0, **roles).fit(table).predict().shape
    (21, 7)
    """
