"""The user's own tables at the command line: how they are read, and what is said of them."""

import csv
import gzip
import io
from pathlib import Path

import pytest

from xpmlp.experiments.runs import RunFolder

FILES = Path(__file__).with_name("tables")
FAST = ("--epochs", "1", "--out", "run", "--overwrite")


@pytest.fixture
def trained(cli):
    """Train on a file, and give the run's folder."""

    def train(file, *options):
        code, out, err = cli("train", FILES / file, *FAST, *options)
        assert code == 0, err
        return "run", out, err

    return train


def test_a_header_of_positions_is_no_example(cli, trained):
    run, *_ = trained("named-train.csv")
    code, out, err = cli("predict", run, FILES / "numeric-header-features.csv")
    assert (code, len(out.split())) == (0, 4)
    assert "has '0', '1' as its header; --no-header" in err
    _, out, err = cli("predict", run, FILES / "numeric-header-features.csv", "--no-header")
    assert len(out.split()) == 5
    trained("numeric-header-train.csv")
    assert len(cli("predict", run, FILES / "numeric-header-features.csv")[1].split()) == 4


def test_a_target_in_the_first_line_makes_it_a_header(trained):
    _, out, _ = trained("wavelength-header.csv", "--target", "class")
    assert "400.5" in out


def test_predict_says_where_the_first_line_is_an_example(cli, trained, write):
    run, *_ = trained("named-train.csv")
    code, out, err = cli("predict", run, write(".1,.2\n.3,.4\n"))
    assert (code, len(out.split())) == (0, 3)
    assert "has no header: its first line is taken as an example ('.1', '.2'); --header" in err


@pytest.mark.parametrize("file", ["whole-float-labels", "unknown-label"])
def test_labels_are_read_by_the_classes_that_the_model_knows(file, cli, trained):
    run, *_ = trained(f"{file}-train.csv")
    code, out, err = cli("evaluate", run, FILES / f"{file}-evaluate.csv")
    assert code == 0, err
    assert "20 examples" in out


def test_mixed_numbers_are_two_classes_and_zero_padded_codes_three(trained, cli):
    import json

    for file, classes in (("mixed-number-labels.csv", [0, 1]), ("zero-padded-codes.csv", ["002", "01", "1"])):
        run, *_ = trained(file)
        assert json.loads(cli("show", run, "--json")[1])["classes"] == classes


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("label-first-no-header.csv", "the last column, 'column 4', as no --target is given (1 to 4), holds one class"),
    ],
)
def test_a_message_names_the_column_that_was_taken_and_the_others(file, message, cli):
    code, _, err = cli("train", FILES / file, *FAST)
    assert code == 2
    assert message in err


@pytest.mark.parametrize(
    ("file", "note"),
    [
        ("label-first-binary.csv", "The label is the last column, 'column 4', as no --target is given (1 to 4)."),
        (
            "label-first-header.csv",
            "The label is the last column, 'p2', as no --target is given ('label', 'p1', 'p2').",
        ),
    ],
)
def test_a_note_names_the_column_that_was_taken(file, note, trained):
    assert note in trained(file)[2]


def test_a_target_may_be_a_number(trained, cli):
    run, out, _ = trained("label-first-no-header.csv", "--target", "1")
    assert "column 1" in out
    code, out, _ = cli("evaluate", run, FILES / "label-first-no-header.csv")
    assert (code, "60 examples" in out) == (0, True)
    trained("label-first-header.csv", "--target", "1")


def test_an_identifier_is_named_and_can_be_dropped(trained, cli, write):
    _, out, _ = trained("people.csv", "--target", "income")
    assert "identifier" in out
    trained("people.csv", "--target", "income", "--drop", "id")
    assert "identifier" not in cli("show", "run")[1]
    numbers = write("id,a,y\n" + "".join(f"{1000 + n},{n % 7},{'no' if n % 2 else 'yes'}\n" for n in range(40)))
    _, _, err = trained(numbers)
    assert "Column 'id' tells the rows apart, and may say nothing else: --drop id leaves it out." in err
    assert "no column 'idd': it has 'id'" in cli("train", FILES / "people.csv", *FAST, "--drop", "idd")[2]


@pytest.mark.parametrize(
    "file",
    [
        "semicolons-quoted.csv",
        "semicolons-decimal-comma.csv",
        "tabs.tsv",
        "comment-lines.csv",
        "row-names.csv",
        "infinity-named-column.csv",
    ],
)
def test_tables_of_numbers_are_trained_on_however_they_are_written(file, trained):
    trained(file, "--test", "0", "--validation", "0")


def test_compressed_files_and_standard_input_are_trained_on(cli, tmp_path, monkeypatch, capsys):
    content = (FILES / "tabs.tsv").read_bytes()
    (tmp_path / "tabs.tsv.gz").write_bytes(gzip.compress(content))
    assert cli("train", tmp_path / "tabs.tsv.gz", *FAST)[0] == 0
    expected = cli("evaluate", "run", tmp_path / "tabs.tsv.gz")[1].splitlines()[1:]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert cli("train", "-", *FAST)[0] == 0
    assert cli("evaluate", "run", tmp_path / "tabs.tsv.gz")[1].splitlines()[1:] == expected
    assert "came from standard input, and are gone: give data as DATASET" in cli("evaluate", "run")[2]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert len(cli("predict", "run", "-")[1].split()) == 61


def test_how_a_table_is_read_can_be_told(cli, write):
    path = write("größe b y\n1,5 2 a\n-99 3 b\n2,5 4 a\n3,5 5 b\n".encode("latin-1"))
    told = ("--separator", " ", "--decimal", ",", "--encoding", "latin-1")
    options = (*told, "--test", "0", "--validation", "0")
    code, out, err = cli("train", path, *FAST, *options)
    assert code == 0, err
    assert "größe" in out
    assert cli("train", path, *FAST, *options, "--missing", "-99")[0] == 0
    assert "größe missing" in RunFolder(Path("run")).load().preparation.feature_names_out
    assert cli("train", path, *FAST, *options)[0] == 0
    code, out, _ = cli("predict", "run", path, *told)
    assert (code, len(out.split())) == (0, 5)
    assert cli("evaluate", "run", path, *told)[0] == 0
    assert "--separator goes with DATASET" in cli("evaluate", "run", "--separator", " ")[2]


def test_kinds_can_be_told(cli):
    told = ("--drop", "id,job,married,joined", "--kinds")
    code, _, err = cli("train", FILES / "people.csv", *FAST, *told, "age=category")
    assert code == 0, err
    assert "age=37" in RunFolder(Path("run")).load().preparation.feature_names_out
    for kinds, message in (
        ("age", "must be like age=category"),
        ("age=colour", "'colour', but must be one of: number"),
    ):
        code, _, err = cli("train", FILES / "people.csv", *FAST, *told, kinds)
        assert (code, message in err) == (2, True)


@pytest.mark.parametrize("data", ["digits", "stream"])
def test_options_of_tables_are_refused_for_other_data(data, cli, tmp_path):
    import numpy as np

    (tmp_path / "stream").mkdir()
    np.save(tmp_path / "stream" / "X.npy", np.eye(4))
    np.save(tmp_path / "stream" / "y.npy", np.arange(4) % 2)
    code, _, err = cli("train", data, *FAST, "--no-header", "--drop", "a")
    assert code == 2
    assert "--header, --drop is for the reading of a table, but the data are " in err


def test_columns_are_put_beside_the_predictions(cli, trained, write):
    run, *_ = trained("named-train.csv")
    path = write('id,p2,p1,name\n007,0.1,0.2,"Ada, L."\n008,0.3,0.4,\n')
    _, out, _ = cli("predict", run, path, "--keep", "id,name", "--proba")
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["id", "name", "prediction", "probability a", "probability b"]
    assert [row[:2] for row in rows[1:]] == [["007", "Ada, L."], ["008", ""]]
    code, _, err = cli("predict", run, path, "--keep", "idd")
    assert (code, "has no column 'idd': it has 'id', 'p2'" in err) == (2, True)


def test_the_kinds_of_columns_are_shown_at_the_start_and_afterwards(cli, trained):
    run, out, _ = trained("named-train.csv")
    for text in (out, cli("show", run)[1]):
        assert "columns of the table: 3" in text
        assert ["label", "category", "2", "0", "a"] in [line.replace("│", " ").split() for line in text.splitlines()]
    assert "columns of the table" not in trained("named-train.csv", "-q")[1]
    assert "columns of the table" not in cli("train", "circles", *FAST)[1]


def test_the_help_does_not_import_the_reader():
    import subprocess
    import sys

    code = "import sys, typer; from xpmlp.cli import app; typer.main.get_command(app); print('duckdb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - ours
    assert done.stdout.strip() == "False"
