"""SequenceEncoder: scales, gaps, text, masks."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from tabdl import Schema
from tabdl.encoding.sequence import SequenceEncoder, fill
from tabdl.encoding.table import TableEncoder
from tabdl.frames import read_frame
from tabdl.testing import mixed_series

HEAT = [[1.0, 2.0, 3.0], [5.0, np.nan, 7.0], [9.0], None]


def fitted(cells: dict[str, list], weight: np.ndarray | None = None, scale: str = "channel", **options) -> tuple:
    table = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in cells.items()})
    schema = Schema.infer(table, **options)
    frame = schema.read(table)
    return SequenceEncoder(schema.used, scale).fit(frame.columns, weight), frame


def arrays_of(encoder: SequenceEncoder, cells: dict, rows: int) -> tuple[np.ndarray, np.ndarray]:
    arrays = encoder.expand(cells, rows)
    return arrays["sequence"], arrays["mask"]


def test_numbers_are_scaled_and_gaps_filled_flagged_and_masked() -> None:
    encoder, frame = fitted({"heat": HEAT})
    sequence, mask = arrays_of(encoder, frame.columns, 4)
    values = np.array([1, 2, 3, 5, 7, 9])
    known = np.array([[1, 2, 3], [5, 6, 7], [9, 0, 0], [0, 0, 0]])
    inside = known > 0
    np.testing.assert_allclose(sequence[:, :, 0], np.where(inside, (known - values.mean()) / values.std(), 0), rtol=1e-6)
    assert mask.tolist() == [[1, 1, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert sequence[:, :, 1].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert (encoder.steps, encoder.channels) == (3, 2)


def test_a_row_of_weight_two_counts_as_two() -> None:
    twice, _ = fitted({"heat": [*HEAT[:3], HEAT[1]]})
    weighted, _ = fitted({"heat": HEAT[:3]}, np.array([1.0, 2.0, 1.0]))
    np.testing.assert_allclose(weighted.center, twice.center)
    np.testing.assert_allclose(weighted.spread, twice.spread)


def test_series_may_lose_their_own_level_and_spread() -> None:
    encoder, frame = fitted({"heat": [[1.0, 3.0], [100.0, 300.0], [7.0, 7.0]]}, scale="series")
    sequence, _ = arrays_of(encoder, frame.columns, 3)
    np.testing.assert_allclose(sequence[:, :, 0], [[-1, 1], [-1, 1], [0, 0]], atol=1e-5)


def test_channels_of_other_lengths_are_doubted() -> None:
    encoder, frame = fitted({"heat": HEAT, "wind": [[1.0, 2.0, 3.0], [4.0, 5.0], None, None]})
    with pytest.warns(UserWarning, match="'wind' and 'heat': series of 2 and 3 steps in row 1"):
        _, mask = arrays_of(encoder, frame.columns, 4)
    assert mask[1].tolist() == [1, 1, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        arrays_of(encoder, {"heat": frame.columns["heat"], "wind": np.full(4, None)}, 4)


def test_long_tails_are_tamed() -> None:
    steps = np.random.default_rng(0).normal(size=200)
    encoder, frame = fitted({"heat": [steps, np.append(steps, 1e6)]})
    sequence, _ = arrays_of(encoder, frame.columns, 2)
    assert encoder.tail.all()
    assert 10 < sequence.max() < 20


def test_text_is_one_hot_and_private_text_is_hashed() -> None:
    cells = {"state": [["on", "off", "on"], ["off", None, "broken"]]}
    for options in ({}, {"private": ["state"]}):
        encoder, frame = fitted(cells, **options)
        sequence, mask = arrays_of(encoder, frame.columns, 2)
        assert sequence.shape == (2, 3, 3)
        assert mask.tolist() == [[1, 1, 1], [1, 0, 1]]
        assert (sequence.sum(axis=2) == mask).all()
        assert ("on" in encoder.columns[0].values) == (not options)
        new = np.array([np.array(["asleep", "on"], dtype=object)], dtype=object).reshape(-1)
        one = np.empty(1, dtype=object)
        one[0] = new[0] if isinstance(new[0], np.ndarray) else np.array(["asleep", "on"], dtype=object)
        sequence, mask = arrays_of(encoder, {"state": one}, 1)
        assert sequence.sum(axis=2).tolist() == [[0, 1, 0]], "an unseen text is there, but is none of the known ones"
        assert mask.tolist() == [[1, 1, 0]]


def test_filling_follows_straight_lines_inside_a_series() -> None:
    values = np.array([[np.nan, 2.0, np.nan, 4.0, np.nan, np.nan]])
    filled = fill(values, np.isfinite(values), np.array([5]))
    assert filled.tolist() == [[2, 2, 3, 4, 4, 0]]


def test_one_step_is_encoded_as_in_a_series() -> None:
    heat = [[1.0, 2.0, 3e6], [5.0, np.nan, 7.0], [9.0, 4.0, 6.0]]
    encoder, frame = fitted({"heat": heat, "state": [["on", "off", None], ["on", "on", "odd"], ["off", "off", "on"]]})
    sequence, _ = arrays_of(encoder, frame.columns, 3)
    for row, step in ((0, 0), (0, 1), (0, 2), (1, 2)):
        cells = {name: frame.columns[name][row][[step]] for name in ("heat", "state")}
        found = encoder.encode_step(cells, cells["heat"])
        np.testing.assert_array_equal(found, sequence[row, step])
    gap = encoder.encode_step({"heat": np.array([np.nan]), "state": np.array([None])}, np.array([6.0]))
    assert gap[0] == sequence[1, 1, 0], "on the line between 5 and 7"
    assert gap[1:].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("scale", ["channel", "series"])
def test_kernels_see_a_series_from_its_first_value_on(scale: str) -> None:
    """Padding before a series is as little a part of it as padding behind it; networks see where it stands."""
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(20 - i % 3, 2)) for i in range(12)]
    rows[3][0, 1] = np.nan  # a gap in one channel is none in the other
    cells = {name: [row[:, j].tolist() for row in rows] for j, name in enumerate("ab")}
    padded = {name: [[np.nan] * 5 + row for row in column] for name, column in cells.items()}
    padded["state"] = [[None] * 5 + ["on"] * 3 for _ in rows]
    cells["state"] = [["on"] * 3 for _ in rows]
    frames = [Schema.infer(pd.DataFrame(table)).read(pd.DataFrame(table)) for table in (cells, padded)]
    used = Schema.infer(pd.DataFrame(cells)).used
    fits = [SequenceEncoder(used, scale, (84, 1, 0)).fit(frame.columns, None) for frame in frames]
    fits += [SequenceEncoder(used, scale).fit(frame.columns, None) for frame in frames]
    alone, late = (fits[0].expand(frame.columns, 12)["features"] for frame in frames)
    np.testing.assert_allclose(late, alone, atol=1e-6)
    np.testing.assert_allclose(fits[1].expand(frames[1].columns, 12)["features"], alone, atol=1e-6)
    assert fits[3].expand(frames[1].columns, 12)["mask"][:, :5].sum() == 0


def test_state_round_trip_and_damage() -> None:
    table = mixed_series(40)
    schema = Schema.infer(table)
    encoder = TableEncoder(schema, "series").fit(schema.read(table))
    state, arrays = encoder.state()
    again = TableEncoder.from_state(state, arrays)
    first, second = encoder.encode(table), again.encode(table)
    assert first.keys() == second.keys() == encoder.spec.shapes.keys()
    for kind, array in first.items():
        np.testing.assert_array_equal(array, second[kind])
        assert array.shape[1:] == encoder.spec.shapes[kind]
    with pytest.raises(ValueError, match="sequence/center"):
        TableEncoder.from_state(state, arrays | {"sequence/center": np.zeros(9)})


def test_series_and_numbers_are_told_apart() -> None:
    table = mixed_series(30)
    schema = Schema.infer(table)
    assert {c.name: c.dtype for c in schema.columns if c.kind == "series"} == {"speed": "float", "load": "float", "state": "str"}
    assert schema["load"].missing
    assert schema.json_schema()["properties"]["state"]["items"]["type"] == ["string", "null"]
    with pytest.raises(ValueError, match="'speed' should hold series of numbers, received series of text in row 0"):
        schema.read(table.assign(speed=table["state"]))
    with pytest.raises(ValueError, match="'speed' should hold series of numbers, received 3"):
        schema.read(table.assign(speed=3))
    assert read_frame(table).columns["speed"].dtype == object


def test_codes_alone_make_waves() -> None:
    """What a saved model is probed with: full length, every channel and row its own, the same wherever."""
    table = mixed_series(30)
    schema = Schema.infer(table)
    encoder = TableEncoder(schema, rocket=(84, 1, 0)).fit(schema.read(table))
    first, again = (encoder.expand(encoder.codes(schema.read(table))) for _ in range(2))
    assert first["mask"].all()
    waves = first["sequence"]
    assert len(np.unique(waves.round(4), axis=0)) == 30
    assert 0.5 < waves.std() < 1
    assert np.abs(first["features"]).max() > 0
    for kind, array in first.items():
        np.testing.assert_array_equal(array, again[kind])


def test_further_rows_tell_how_many_steps_there_are_and_nothing_else() -> None:
    encoder, frame = fitted({"heat": HEAT})
    alone = {name: array.copy() for name, array in encoder.state.items()}
    longer = np.empty(2, dtype=object)
    longer[:] = [np.array([np.nan, 900.0, np.nan, 5.0, 3.0, np.nan]), None]
    after = encoder.fit(frame.columns, None, beside={"heat": longer}).state
    assert (alone.pop("sequence/steps"), after.pop("sequence/steps")) == (3, 5), "a gap at the end is no step"
    for name, array in alone.items():
        np.testing.assert_array_equal(after[name], array)
