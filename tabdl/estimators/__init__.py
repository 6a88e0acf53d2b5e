"""The scikit-learn glue: `fit` and `predict`, once."""
