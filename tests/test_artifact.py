"""Saved models: the same predictions elsewhere, nothing of the rows inside, nothing executed, every attack refused."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
import zipfile
from importlib import metadata

import numpy as np
import pandas as pd
import pytest
from forging import damaged, forge, members
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from small import series_sizes

import tabdl
from tabdl import artifact
from tabdl.archive import read_archive, write_archive
from tabdl.errors import ArtifactError, ParameterError
from tabdl.testing import table_for

PLANTED = 5  # rows with values that occur nowhere else


class Mine(tabdl.MLPClassifier):
    """A user's own estimator, which tabdl cannot find by itself."""


def make_table(rows=200):
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "amount": rng.lognormal(3, 1, rows),
            "age": np.where(rng.random(rows) < 0.1, np.nan, rng.integers(18, 80, rows)),
            "channel": rng.choice(["web", "shop", "phone"], rows),
            "agent": rng.choice(["Anna Berg", "Jon Dahl", "Ida Ek"], rows),
            "salary": rng.normal(50_000, 9_000, rows),
            "client": [f"client-{i:05d}-{rng.integers(10**6)}" for i in range(rows)],
            "note": [" ".join(rng.choice(["call", "back", "later", "no", "reply", "yes"], 6)) for _ in range(rows)],
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**7, rows), unit="s"),
        }
    )
    for i in range(PLANTED):
        table.loc[i, "agent"] = f"Planted Agent {i}"
        table.loc[i, "salary"] = 51_234.5678 + i / 7
        table.loc[i, "amount"] = 21.87654321 + i / 7
        table.loc[i, "note"] = f"planted secret sentence number {i} of somebody who wrote to us"
    return table, (table["amount"] + rng.normal(0, 10, rows) > 20).to_numpy().astype(int)


def fit(cls, table, y, **params):
    with pytest.warns(UserWarning, match="client"):
        schema = tabdl.Schema.infer(table, private=["agent", "salary"])
    return cls(epochs=2, random_state=0, **params).fit(table, y, schema=schema)


@pytest.fixture(scope="module")
def table():
    return make_table()


@pytest.fixture(scope="module")
def model(table):
    return fit(tabdl.MLPClassifier, *table)


@pytest.fixture
def path(model, tmp_path):
    return tabdl.save(model, tmp_path / "model.tabdl")


def rewrite(path, change):
    """The saved model with manifest and arrays changed by `change(manifest, arrays)`, every checksum right."""
    manifest, arrays = read_archive(path)
    change(manifest, arrays)
    write_archive(path, manifest, arrays)


# ---- the same model elsewhere


def test_round_trip(model, table, path):
    loaded = tabdl.load(path)
    assert type(loaded) is type(model)
    assert str(loaded.get_params()) == str(model.get_params())
    assert loaded.schema_.to_json() == model.schema_.to_json()
    np.testing.assert_array_equal(loaded.classes_, model.classes_)
    np.testing.assert_array_equal(loaded.predict_proba(table[0]), model.predict_proba(table[0]))


def test_save_twice(path, tmp_path):
    """A loaded model is saved as it was loaded."""
    again = tabdl.save(tabdl.load(path), str(tmp_path / "again.tabdl"))
    first, second = members(path), members(again)
    assert {k: v for k, v in first.items() if k != "manifest.json"} == {k: v for k, v in second.items() if k != "manifest.json"}
    assert json.loads(first["manifest.json"])["state"] == json.loads(second["manifest.json"])["state"]


@pytest.mark.full
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
@pytest.mark.parametrize("name", tabdl.models.names("Classifier"))
def test_every_model_makes_the_round_trip(name, kind, table, tmp_path):
    cls, y = tabdl.models.find(name, kind), table[1]
    if getattr(cls, "reads_tables", True):
        X, model = table[0], fit(cls, *table)
    else:
        X = table_for(cls, len(y))
        model = cls(epochs=2, random_state=0, **series_sizes(cls.__name__)).fit(X, y)
    path = tabdl.save(model, tmp_path / "a")
    np.testing.assert_array_equal(tabdl.load(path).predict(X), model.predict(X))
    learned = [part.count_params() for part in model.models_]
    if not getattr(cls, "reads_tables", True):  # random kernels and the scales of thousands of features are parameters too
        learned += [a.size for entry, a in read_archive(path)[1].items() if entry.startswith("encoder/")]
    assert path.stat().st_size <= 4 * sum(learned) + 200_000


ELSEWHERE = """
import sys
import numpy as np
import pandas as pd
import tabdl
np.save(sys.argv[3], tabdl.load(sys.argv[1]).predict_proba(pd.read_pickle(sys.argv[2])))
"""


def predict_elsewhere(path, table, **env):
    files = str(path), str(path.with_name("table.pkl")), str(path.with_name("out.npy"))
    table.to_pickle(files[1])
    subprocess.run([sys.executable, "-c", ELSEWHERE, *files], env=os.environ | env, check=True, timeout=120)
    return np.load(files[2])


def test_a_new_process_predicts_the_same_bits(model, table, path):
    np.testing.assert_array_equal(predict_elsewhere(path, table[0]), model.predict_proba(table[0]))


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs jax")
def test_another_backend_predicts_the_same(model, table, path):
    expected = model.predict_proba(table[0])
    received = predict_elsewhere(path, table[0], KERAS_BACKEND="jax")
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-5 * expected.std())


# ---- what is inside


def test_size(model, path):
    assert path.stat().st_size <= 4 * model.model_.count_params() + 200_000


def spellings(value):
    if isinstance(value, str):
        return {value.encode(), value.encode("utf-16-le"), value.encode("utf-32-le"), value.lower().encode()}
    number = float(value)
    return {repr(number).encode(), f"{number:.9g}".encode(), np.float64(number).tobytes(), np.float32(number).tobytes()}


def everything(path):
    """The raw bytes, and those of every member after inflating."""
    with zipfile.ZipFile(path) as archive:
        return b"\n".join([path.read_bytes(), *(archive.read(name) for name in archive.namelist())])


def test_no_training_row_is_inside(table, path):
    content, rows = everything(path), table[0]
    assert b"amount" in content
    assert b"phone" in content  # a public vocabulary: the search works
    private = [rows["agent"].unique(), rows["salary"][:PLANTED], rows["client"], rows["note"][:PLANTED]]
    found = [value for values in private for value in values if any(text in content for text in spellings(value))]
    assert found == []
    assert not any(word in content for word in (b"Planted", b"planted", b"secret sentence", b"client-0"))
    pairs = [(np.float64(a).tobytes(), np.float64(b).tobytes()) for a, b in zip(rows["amount"], rows["salary"], strict=True)]
    assert not any(a + b in content for a, b in pairs)
    assert read_archive(path)[0]["contains_rows"] is False


def test_statistics_hold_a_few_public_numbers_at_most(table, path):
    """Quantiles are values of the table; a grid of them as fine as the table itself would be the column."""
    content, amounts = everything(path), table[0]["amount"]
    found = sum(np.float64(a).tobytes() in content or repr(float(a)).encode() in content for a in amounts)
    assert found <= len(amounts) / 4


def test_a_model_with_rows_says_so(model, tmp_path, monkeypatch):
    state, arrays = artifact.pack(model)
    monkeypatch.setattr(artifact, "pack", lambda estimator: (state | {"contains_rows": True}, arrays))
    with pytest.warns(UserWarning, match="contains rows of the training table; share it only with"):
        path = tabdl.save(model, tmp_path / "a")
    assert read_archive(path)[0]["contains_rows"] is True


# ---- saving


def test_unfitted(tmp_path):
    with pytest.raises(NotFittedError):
        tabdl.save(tabdl.MLPClassifier(), tmp_path / "a")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "wrap, received", [(make_pipeline, "Pipeline"), (type, "the class MLPClassifier"), (lambda model: None, "NoneType")]
)
def test_what_is_no_estimator_of_ours(model, tmp_path, wrap, received):
    with pytest.raises(ParameterError, match=f"expected a fitted tabdl estimator, received {received}; save the tabdl step"):
        tabdl.save(wrap(model), tmp_path / "a")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("place", ["folder", os.devnull])
def test_places_that_are_no_files(model, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    monkeypatch.setattr(artifact, "write_archive", None)  # nothing is written: /dev/null would be replaced
    with pytest.raises(ArtifactError, match=f"expected the name of a file, received '{place}', which is a folder or a device"):
        tabdl.save(model, place)
    assert os.listdir("folder") == []


def test_overwrite(model, path):
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="choose another name, or overwrite=True"):
        tabdl.save(model, path, overwrite=False)
    assert path.read_bytes() == before
    assert tabdl.save(model, path) == path


# ---- classes


def test_own_class(table, tmp_path):
    model = fit(Mine, *table)
    path = tabdl.save(model, tmp_path / "a")
    with pytest.raises(ArtifactError, match=r"expected a class among .*MLPClassifier.* received 'Mine'; give it as tabdl.load"):
        tabdl.load(path)
    loaded = tabdl.load(path, classes=[Mine])
    assert type(loaded) is Mine
    np.testing.assert_array_equal(loaded.predict(table[0]), model.predict(table[0]))


def test_class_of_an_installed_package(path, monkeypatch):
    entry = metadata.EntryPoint("Mine", f"{__name__}:Mine", "tabdl.models")
    entries = metadata.EntryPoints([entry])
    monkeypatch.setattr(metadata, "entry_points", lambda **wanted: entries.select(**wanted))
    rewrite(path, lambda manifest, arrays: manifest.update({"class": "Mine"}))
    assert type(tabdl.load(path)).__name__ == "Mine"


@pytest.mark.parametrize("name", ["os.system", "Schema", "__import__('os')", "Pipeline", "", None, 1, ["MLPClassifier"]])
def test_other_names_are_not_looked_up(path, name):
    rewrite(path, lambda manifest, arrays: manifest.update({"class": name}))
    with pytest.raises(ArtifactError, match="expected"):
        tabdl.load(path)


# ---- content that does not fit


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="check the path"):
        tabdl.load(tmp_path / "none.tabdl")


def test_newer_format(path):
    forge(path, lambda manifest, contents: manifest.update(format=2))
    with pytest.raises(ArtifactError, match="newer tabdl; upgrade to read it: pip install --upgrade tabdl"):
        tabdl.load(path)


def test_archive_of_something_else(tmp_path):
    write_archive(tmp_path / "a", {"class": "MLPClassifier"}, {})
    with pytest.raises(ArtifactError, match="an archive of something else"):
        tabdl.load(tmp_path / "a")


def test_changed_weights_do_not_pass_the_probe(path):
    def change(manifest, arrays):
        name = next(name for name in reversed(arrays) if name.startswith("weights/") and arrays[name].any())
        arrays[name] = arrays[name] + np.float32(0.5) * np.abs(arrays[name]).max()

    rewrite(path, change)
    with pytest.raises(ArtifactError, match=r"8 probe rows .* times the tolerance away; install the versions .*keras"):
        tabdl.load(path)


def test_not_a_number_does_not_pass_the_probe(path):
    def change(manifest, arrays):
        for name in arrays:
            if name.startswith("weights/"):
                arrays[name] = np.full_like(arrays[name], np.nan)

    rewrite(path, change)
    with pytest.raises(ArtifactError, match="probe rows"):
        tabdl.load(path)


def weights_missing(manifest, arrays):
    del arrays[next(name for name in arrays if name.startswith("weights/"))]


def weights_added(manifest, arrays):
    arrays["weights/more/kernel"] = np.zeros((2, 2), np.float32)


def weights_transposed(manifest, arrays):
    name = next(name for name, array in arrays.items() if name.startswith("weights/") and array.ndim == 2)
    arrays[name] = np.ascontiguousarray(arrays[name][:, :-1])


def parameter_out_of_range(manifest, arrays):
    manifest["state"]["params"]["dropout"] = 7


def probe_misshapen(manifest, arrays):
    arrays["probe/codes"] = arrays["probe/codes"][:, :-1]


def state_empty(manifest, arrays):
    manifest["state"] = {}


def state_other(manifest, arrays):
    manifest["state"] = {name: None for name in manifest["state"]}  # noqa: C420


@pytest.mark.parametrize(
    "change",
    [weights_missing, weights_added, weights_transposed, parameter_out_of_range, probe_misshapen, state_empty, state_other],
)
def test_state_that_does_not_fit(path, change):
    rewrite(path, change)
    with pytest.raises(ArtifactError, match=r"could not rebuild one \(.*\); install the versions it was saved with"):
        tabdl.load(path)


# ---- the whole attack

AUDIT = """
import sys
import tabdl
tabdl.load(sys.argv[1])  # imports and compiles what any model of this kind needs
seen, threat = [], sys.argv[3]
banned = ("pickle", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess", "socket", "ctypes.dlopen")
watched = ("exec", "compile", "import", "marshal", "code.__new__")

def text(value):
    return getattr(value, "co_filename", value) if not isinstance(value, bytes) else value.decode("utf-8", "replace")

def hook(event, values):
    if event.startswith(banned) or (event.startswith(watched) and threat in " ".join(str(text(value)) for value in values)):
        seen.append((event, str(values)[:300]))

sys.addaudithook(hook)
print(tabdl.load(sys.argv[2]).schema_.to_json())
print(seen)
"""


def test_loading_executes_nothing_from_the_file(table, path, tmp_path):
    """A model whose column names, categories and classes are programs, loaded under an audit hook."""
    threat = f"__import__('os').system('touch {tmp_path / 'pwned'}')"
    rows = table[0].rename(columns={"channel": threat})
    rows[threat] = rows[threat].replace("web", f"{threat}#web")
    y = np.where(table[1] == 1, threat, "\x80\x04cos\nsystem\n.")
    armed = tabdl.save(fit(tabdl.MLPClassifier, rows, y), tmp_path / "armed.tabdl")
    command = [sys.executable, "-c", AUDIT, str(path), str(armed), threat]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    *schema, seen = run.stdout.strip().split("\n")
    assert "touch" in "".join(schema)
    assert seen == "[]"
    assert not (tmp_path / "pwned").exists()


def attack(path, contents, table, expected):
    """Load every one of `contents`; the largest growth of the process in bytes."""
    import psutil

    process, growth = psutil.Process(), 0
    before = process.memory_info().rss
    for content in contents:
        path.write_bytes(content)
        start = time.perf_counter()
        with contextlib.suppress(ArtifactError):
            np.testing.assert_array_equal(tabdl.load(path).predict_proba(table), expected)
        assert time.perf_counter() - start < 1
        growth = max(growth, process.memory_info().rss - before)
    return growth


@pytest.mark.parametrize("cuts, flips", [(20, 60), pytest.param(300, 2000, marks=pytest.mark.full)])
def test_truncation_and_flips(model, table, path, cuts, flips):
    expected = model.predict_proba(table[0])
    assert attack(path, damaged(path.read_bytes(), cuts, flips), table[0], expected) <= 200e6
