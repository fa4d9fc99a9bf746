"""Array libraries that are not ours: by an import name, by a class of one's own, by an installed plug-in."""

import ast
import pickle
import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import numpy as np
import pytest
import skops.io

import xpmlp
from xpmlp import (
    BACKENDS,
    SGD,
    Backend,
    BackendError,
    Constant,
    InputError,
    MLPClassifier,
    Network,
    Recipe,
    StandardBackend,
    XpmlpWarning,
    get_backend,
    initialize,
    train,
)
from xpmlp.backends import check_known, contract, device_for_rank, find_backend, registry, split_place, standard
from xpmlp.backends.base import DTYPES
from xpmlp.backends.contract import CALLS, try_calls

pytestmark = pytest.mark.torch_or_jax

LIBRARY = "array_api_compat.numpy"  # a namespace of the standard that is installed wherever xpmlp is
OWN = '''
from xpmlp import StandardBackend
from xpmlp.backends.elementwise import replacing

class Mine(StandardBackend):
    name = "mine"
    module = "array_api_strict"

class Wrong(Mine):
    """A library with faults of its own."""

    name = "wrong"

    @classmethod
    def namespace(cls):
        xp = super().namespace()

        def exp(x):
            return xp.exp(x) * (1.0 + 1e-10)

        def take(x, indices, /, *, axis):
            raise ValueError("a full permutation\\nis not for us")

        return replacing(xp, exp=exp, take=take, sum=lambda x, **options: xp.astype(xp.sum(x, **options), xp.float32))

number = 1
'''


@pytest.fixture(autouse=True)
def _nothing_stays_open():
    """What a test opens is forgotten."""
    before = dict(BACKENDS)
    yield
    BACKENDS.clear()
    BACKENDS.update(before)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module with a backend of the user's own, which can be imported."""
    (tmp_path / "own_library.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_library:Mine"
    sys.modules.pop("own_library", None)


@pytest.fixture
def plug_in(own, monkeypatch):
    """An entry point of that name, and what else is asked for by a group: one that cannot be imported."""
    points = [EntryPoint("mine", own, registry.GROUP), EntryPoint("broken", "nowhere:Backend", registry.GROUP)]
    monkeypatch.setattr(registry, "entry_points", lambda **given: EntryPoints(points).select(**given))
    return "mine"


def weights_of(backend):
    rng = np.random.default_rng(0)
    X, T = rng.normal(size=(40, 5)), np.eye(3)[rng.integers(0, 3, 40)]
    network = Network.build(5, (4,), 3, activation="gelu", dropout=(0.25,))
    recipe = Recipe(SGD(momentum=0.9), Constant(0.1), epochs=3, batch_size=8)
    records = train(backend, network, initialize(network, seed=1), backend.asarray(X), backend.asarray(T), recipe)
    *_, record = records
    return [backend.to_numpy(p) for layer in record.layers for p in layer]


def assert_same_weights(backend):
    for found, expected in zip(weights_of(backend), weights_of(get_backend(dtype="float64")), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_a_library_that_is_named_by_its_module_trains_to_the_weights_of_numpy():
    backend = get_backend(LIBRARY, dtype="float64")
    assert isinstance(backend, StandardBackend)
    assert repr(backend) == f"<xpmlp backend {LIBRARY} on cpu in float64>"
    assert type(backend).status().version == np.__version__
    assert_same_weights(backend)


def test_a_class_of_ones_own_is_found_by_its_module_and_keeps_the_name_that_it_was_asked_for(own):
    backend = get_backend(own, dtype="float64")
    assert (backend.name, backend.device_name) == (own, "CPU_DEVICE")
    assert backend == get_backend(own, dtype="float64")
    assert_same_weights(backend)


def test_a_plug_in_is_found_by_its_name_and_no_other_one_is_loaded(plug_in):
    backend = get_backend(plug_in, dtype="float64")
    assert type(backend) is sys.modules["own_library"].Mine
    assert_same_weights(backend)


def test_ours_come_before_plug_ins_and_these_before_modules(own, monkeypatch):
    points = [EntryPoint(name, own, registry.GROUP) for name in ("numpy", "own_library")]
    monkeypatch.setattr(registry, "entry_points", lambda **given: EntryPoints(points).select(**given))
    assert find_backend("numpy") is BACKENDS["numpy"]
    assert find_backend("own_library").module == "array_api_strict"


def test_an_estimator_computes_on_any_library_that_its_device_names(own):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), rng.integers(0, 2, 60)
    expected = MLPClassifier(max_iter=200, random_state=0, tol=1e-2).fit(X, y).predict_proba(X)
    for device in (LIBRARY, f"{LIBRARY}:cpu", own, f"{own}:CPU_DEVICE"):
        found = MLPClassifier(max_iter=200, random_state=0, tol=1e-2, device=device).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("torch:cuda:0", ("torch", "cuda:0")),
        ("dask.array", ("dask.array", None)),
        ("own_library:Mine", ("own_library:Mine", None)),
        ("own_library:Mine:gpu:0", ("own_library:Mine", "gpu:0")),
        ("own_library:gpu:0", ("own_library", "gpu:0")),
        ("no.such.module:gpu", ("no.such.module", "gpu")),
    ],
)
def test_a_device_stands_behind_the_name_of_a_backend(own, place, parts):
    assert split_place(place) == parts


def test_names_that_mean_nothing_list_what_does(plug_in):
    known = ", ".join([*BACKENDS, "broken", "mine", "auto"]) + "; or module:Class"
    for name in ("no_such_library", "numpy.no_such_module", "", ".numpy"):
        with pytest.raises(InputError, match=f"backend is '{name}', but must be one of: {known}"):
            get_backend(name)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("broken", BackendError, "the plug-in 'broken' .nowhere:Backend. cannot be imported: ModuleNotFoundError"),
        ("own_library:Other", InputError, "'own_library:Other' cannot be imported: AttributeError"),
        ("nowhere:Mine", InputError, "'nowhere:Mine' cannot be imported: ModuleNotFoundError"),
        ("own_library:number", BackendError, "is int 1, but must be a subclass of xpmlp.Backend"),
        (
            "json",
            BackendError,
            "json 2.* cannot be a backend: of the array API standard it lacks .* and .* more",
        ),
        ("own_library", BackendError, "own_library  ?cannot be a backend: of the array API standard it lacks"),
    ],
)
def test_what_is_no_backend_is_said(plug_in, name, error, message):
    with pytest.raises(error, match=message):
        get_backend(name)


def test_a_library_that_cannot_be_imported_is_said(tmp_path, monkeypatch):
    for name, text in (("needing", "import no_such_package"), ("failing", "raise RuntimeError('no driver')")):
        (tmp_path / f"{name}_library.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match="'needing_library' cannot be imported: No module named 'no_such_package'"):
        get_backend("needing_library")
    with pytest.raises(BackendError, match="'failing_library' cannot be imported: RuntimeError: no driver"):
        get_backend("failing_library")


def test_a_device_and_a_dtype_that_a_library_has_not_are_refused(own):
    with pytest.raises(BackendError, match=r"has no device 'gpu' here\. It has: CPU_DEVICE, device1"):
        get_backend(own, "gpu")
    with pytest.raises(BackendError, match="has no float64 on no_float64"):
        get_backend(own, "no_float64", "float64")


def test_an_error_of_a_library_becomes_ours_and_one_of_a_function_of_ones_own_does_not(own):
    backend = get_backend(own)
    said = f"{own} .* cannot do what it was asked for: .*info --backend {own}"
    with pytest.raises(BackendError, match=said), backend.computing():
        backend.xp.matmul(backend.asarray(1.0), backend.asarray(1.0))
    with pytest.raises(ZeroDivisionError), backend.computing():
        1 / 0  # noqa: B018 - it raises
    with pytest.raises(InputError, match="ours"), backend.computing():
        raise InputError("ours")


def test_a_lazy_library_settles_the_arrays_of_each_step():
    class Lazy(StandardBackend):
        name, module, settled = "lazy", LIBRARY, 0

        def settle(self, arrays):
            self.settled += 1
            return arrays

    backend = Lazy(dtype="float64")
    weights_of(backend)
    assert backend.settled == 3 * (5 + 1)  # steps of three epochs, and the weights that a record keeps


def test_dask_computes_after_each_step_what_it_was_asked_for():
    pytest.importorskip("dask.array", reason="this is about Dask's arrays")
    backend = get_backend("dask.array", dtype="float64")
    x = backend.asarray([1.0, 2.0])
    for _ in range(3):
        x, none, y = backend.settle((x + 1.0, None, [2.0 * x]))
        assert none is None
        assert len(x.dask) == len(y[0].dask) == 1
    np.testing.assert_array_equal(backend.to_numpy(x), [4.0, 5.0])


def test_of_what_a_file_names_nothing_is_imported_but_what_is_installed_for_it_or_was_named_before(plug_in, own):
    for name in ("numpy", "auto", plug_in):
        check_known(name, "the run")
    assert "own_library" not in sys.modules
    with pytest.raises(InputError, match=f"the run names the backend '{own}', .* give it again: --backend {own}"):
        check_known(own, "the run")
    assert "own_library" not in sys.modules
    get_backend(own)
    check_known(own, "the run")


def loaded_by_skops(estimator):
    content = skops.io.dumps(estimator)
    del BACKENDS["own_library:Mine"], sys.modules["own_library"]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", XpmlpWarning)
        return skops.io.loads(content, trusted=["xpmlp.estimators._mlp.MLPClassifier"]), [str(w.message) for w in told]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_of_what_a_file_of_skops_names_nothing_is_imported(own, monkeypatch):
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    model = MLPClassifier(max_iter=2, device=own).fit(X, y)
    expected = model.predict_proba(X)
    loaded, (told,) = loaded_by_skops(model)
    assert told.startswith(f"the file names the device '{own}', whose backend is neither ours")
    assert loaded.device is None
    np.testing.assert_allclose(loaded.predict_proba(X), expected, rtol=1e-10)
    assert "own_library" not in sys.modules
    loaded.set_params(device=own).predict_proba(X)
    assert "own_library" in sys.modules

    getstate = type(model).__getstate__
    doctored = {"_was_on": (own, "CPU_DEVICE", "float64", False), "device": None}
    monkeypatch.setattr(type(model), "__getstate__", lambda self: getstate(self) | doctored)
    loaded, (told,) = loaded_by_skops(model)
    assert f"fitted with {own} on CPU_DEVICE, which cannot be used here: it names the backend '{own}'" in told
    assert isinstance(loaded.coefs_[0], np.ndarray)
    assert "own_library" not in sys.modules


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_pickle_takes_the_device_along_to_other_processes(own):
    content = pickle.dumps(MLPClassifier(max_iter=2, device=own))
    sys.modules.pop("own_library", None)
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    assert pickle.loads(content).fit(X, y).device == own  # noqa: S301 - our own
    assert "own_library" in sys.modules


def test_every_call_that_the_maths_makes_gives_what_numpy_gives(backend_name):
    if backend_name not in BACKENDS:
        pytest.skip("this is NumPy with read-only inputs, for the tests of what is written to")
    verdicts = list(try_calls(find_backend(backend_name)))
    assert len(verdicts) == len(DTYPES) * len(CALLS) >= 100
    assert [verdict for verdict in verdicts if verdict.problem] == []


def test_the_tests_themselves_run_on_any_library():
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--backend", LIBRARY]
    test = f"{Path(__file__).parent}/test_schedules.py::test_a_constant_rate_is_a_python_number"
    done = subprocess.run([*command, test], capture_output=True, text=True, check=False)  # noqa: S603 - our own tests
    assert done.returncode == 0, done.stdout
    assert f"xpmlp backends: {LIBRARY}\n" in done.stdout


def test_every_name_that_a_library_is_asked_for_is_called():
    calls = ast.walk(ast.parse(Path(contract.__file__).read_text()))
    called = {node.attr for node in calls if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "xp"}
    assert set(standard.NAMES) - called == {"__array_namespace_info__", "zeros"}  # called when a backend is opened


def test_what_a_library_does_wrong_is_named_call_by_call(own):
    wrong = {(v.call, v.dtype): v.problem for v in try_calls(find_backend("own_library:Wrong")) if v.problem}
    assert wrong["exp", "float64"] == "is off by 1.0e-10, relatively"
    assert ("exp", "float32") not in wrong
    assert "raises ValueError: a full permutation is not for us" in wrong["take of a full permutation", "float32"]
    assert wrong["sum of all", "float64"] == "has dtype float32, but must have float64"
    assert ("sum of all", "float32") not in wrong
    assert not any(call.startswith("matmul of") for call, _ in wrong)


def test_a_dtype_that_a_device_has_not_is_a_verdict_of_its_own(own):
    *others, last = try_calls(find_backend(own), "no_float64")
    assert [v for v in others if v.problem] == []
    assert last == ("opening", "float64", f"backend {own} has no float64 on no_float64.")
    with pytest.raises(BackendError, match="has no device 'gpu' here"):
        list(try_calls(find_backend(own), "gpu"))


def test_info_tries_the_calls_of_a_backend_and_ends_in_an_error_where_one_is_wrong(own, cli):
    code, out, err = cli("info", "--backend", own)
    assert code == 0
    said = " ".join((out + err).split())
    assert f"{own} " in said
    assert f"{2 * len(CALLS)} of {2 * len(CALLS)} calls as the maths makes them give what NumPy gives." in said
    code, out, _ = cli("info", "--backend", "own_library:Wrong", "--device", "CPU_DEVICE")
    assert code == 1
    assert "take of a full" in out


def begun(cli, command, own, tmp_path):
    """Begin a run or a search on a backend of one's own, and forget that it was named."""
    options = ["--backend", own, "--epochs", "1", "--hidden", "4", "--quiet"]
    if command == "search":
        (tmp_path / "grid.toml").write_text("learning-rate = [0.1, 0.2]\n")
        options += ["--grid", tmp_path / "grid.toml", "--jobs", "1"]
    code, _, err = cli(command, *options, "--out", "folder")
    assert code == 0, err
    del BACKENDS[own], sys.modules["own_library"]


@pytest.mark.parametrize(("command", "what_comes_next"), [("train", "is complete"), ("search", "")])
def test_a_folder_is_resumed_on_a_backend_that_it_names_where_that_is_given_again(
    own, cli, tmp_path, command, what_comes_next
):
    begun(cli, command, own, tmp_path)
    code, _, err = cli(command, "--resume", "folder")
    assert code == 2
    assert f"give it again: --backend {own}" in " ".join(err.split())
    assert "own_library" not in sys.modules
    code, _, err = cli(command, "--resume", "folder", "--backend", "numpy")
    assert code == 2
    assert f"folder was begun with --backend {own}, but --backend numpy is given" in " ".join(err.split())
    _, _, err = cli(command, "--resume", "folder", "--backend", own)
    assert what_comes_next in err
    assert "give it again" not in err


def test_a_model_predicts_where_the_library_is_not_that_trained_it(own, cli, tmp_path):
    begun(cli, "train", own, tmp_path)
    for arguments in (["evaluate", "folder"], ["show", "folder"]):
        code, out, err = cli(*arguments)
        assert code == 0, err
    assert own in out
    assert "own_library" not in sys.modules


def test_processes_share_the_gpus_of_any_library(own):
    class Cards(StandardBackend):
        name, module = "cards", LIBRARY

        @classmethod
        def devices(cls):
            return ["cuda:0", "cuda:1"]

    BACKENDS["cards"] = Cards
    assert [device_for_rank("cards", None, rank) for rank in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert device_for_rank(own, None, 1) is None


def test_what_a_plug_in_needs_is_public():
    assert issubclass(StandardBackend, Backend)
    assert {"Backend", "StandardBackend", "Status"} <= set(sys.modules["xpmlp"].__all__)


def test_a_library_is_asked_for_every_name_that_is_used_and_for_no_other():
    root, ours = Path(xpmlp.__file__).parent, {"__dict__", "fused", "positives", "add_scaled", "subtract_scaled"}
    wings = ("nn", "training", "data", "models", "experiments", "estimators", "search", "distributed")
    files = [*(file for wing in wings for file in (root / wing).rglob("*.py")), root / "backends" / "base.py"]
    used = {
        node.attr
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", getattr(node.value, "attr", "")) == "xp"
    }
    dtypes = {name for name in used if getattr(np, name, None) in (np.int32, np.int64, np.float32, np.float64)}
    assert used - ours - dtypes - {"take_along_axis"} == set(standard.NAMES) - {"__array_namespace_info__", "zeros"}
