"""From arrays to weights: row order, schedules, losses, early stopping, checkpoints, history."""
