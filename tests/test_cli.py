import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from cvxrelu._baselines import fit_ridge
from cvxrelu._table_model import TableModel
from cvxrelu._tables import TableError, read_table
from cvxrelu.cli import main

FAST = ["--gates", "60", "--threads", "1"]


@pytest.fixture
def houses(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "houses.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "size", "age", "price", "kind"])
        for k in range(80):
            size, age = rng.uniform(20, 200), rng.uniform(0, 90)
            price = 3000 * size - 1000 * abs(age - 40) + 50000
            writer.writerow([k, size, age, price, "big" if size > 100 else "small"])
    return path


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cvxrelu", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


def complaint(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cvxrelu: ") and captured.err.count("\n") == 1
    return captured.err[9:-1]


def test_the_main_job():
    result = run("--threads", 1, "--no-compare")
    assert result.returncode == 0 and result.stderr == ""
    for words in ("Yacht Hydrodynamics", "246 to train on, 62 held out", "certified gap", "active neurons", "test R2"):
        assert words in result.stdout


def test_the_main_job_as_json(capsys):
    assert main(["--threads", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["converged"] and 0 <= report["relative_gap"] <= 1e-6
    assert report["scores"]["network"] > 0.98
    assert report["scores"]["network"] > report["scores"]["ridge"] > 0.5
    assert report["scores"]["mlp"] > 0.8
    assert report["n_train"] + report["n_test"] == 308


def test_train_and_predict_numbers(houses, tmp_path, capsys):
    model = tmp_path / "model.npz"
    command = ["train", str(houses), "--target", "price", "--ignore", "id,kind", "--out", str(model), "--json", *FAST]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["task"] == "regression" and report["n_features"] == 2
    assert report["scores"]["network"] > 0.95
    assert report["model"] == str(model)

    assert main(["predict", str(model), str(houses)]) == 0
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    assert rows[0] == ["price"] and len(rows) == 81
    predictions = np.array(rows[1:], dtype=float)[:, 0]
    truth = read_table(houses).numbers(["price"])[:, 0]
    assert np.corrcoef(predictions, truth)[0, 1] > 0.99
    loaded = TableModel.load(model)
    np.testing.assert_array_equal(loaded.predict(read_table(houses).numbers(["size", "age"])), predictions)

    out = tmp_path / "predictions.csv"
    assert main(["predict", str(model), str(houses), "--out", str(out)]) == 0
    assert list(csv.reader(out.read_text().splitlines())) == rows
    assert main(["predict", str(model), str(houses), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["predictions"] == predictions.tolist()


def test_train_and_predict_labels(houses, tmp_path, capsys):
    model = tmp_path / "model.npz"
    command = ["train", str(houses), "--target", "kind", "--ignore", "id", "--ignore", "price", "--out", str(model)]
    assert main([*command, *FAST]) == 0
    assert "classification of kind" in capsys.readouterr().out
    assert main(["predict", str(model), str(houses)]) == 0
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    kinds = read_table(houses).text("kind")
    assert np.mean([a[0] == b for a, b in zip(rows[1:], kinds, strict=True)]) > 0.95


def test_numbers_may_be_classes(tmp_path, capsys):
    path = tmp_path / "three.csv"
    x = np.linspace(-1, 1, 60)
    path.write_text("x;label\n" + "\n".join(f"{v};{int(np.digitize(v, [-0.3, 0.3]))}" for v in x))
    assert main(["train", str(path), "--target", "label", "--task", "classification", "--json", *FAST]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["scores"]["measure"] == "accuracy" and report["scores"]["network"] > 0.8


def test_all_rows_for_training(houses, capsys):
    command = ["train", str(houses), "--target", "price", "--ignore", "kind", "--test-size", "0", "--json", *FAST]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n_train"] == 80 and "scores" not in report


def test_the_same_seed_gives_the_same_report(houses, capsys):
    reports = []
    for _ in range(2):
        main(["train", str(houses), "--target", "price", "--ignore", "kind", "--no-compare", "--json", *FAST])
        reports.append(json.loads(capsys.readouterr().out))
        del reports[-1]["seconds"]
    assert reports[0] == reports[1]


def test_stopping_early_has_a_status_of_its_own(houses, capsys):
    command = ["train", str(houses), "--target", "price", "--ignore", "kind", "--max-iter", "1", "--tol", "1e-14"]
    with pytest.warns(UserWarning, match="duality gap"):
        assert main([*command, *FAST]) == 3
    assert "NOT CONVERGED" in capsys.readouterr().out


def test_ctrl_c_ends_without_a_traceback(monkeypatch, capsys):
    from cvxrelu import cli

    train = cli.train_gated

    def interrupted(*arguments, **settings):
        return train(*arguments, **settings | {"callback": lambda state: os.kill(os.getpid(), signal.SIGINT)})

    monkeypatch.setattr(cli, "train_gated", interrupted)
    assert main(["--tol", "1e-14", *FAST]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        ("", "y", "is empty"),
        ("x,y\n", "y", "has a header and no rows"),
        ("1,2\n3,4\n", "y", "has no header: its first line has numbers only"),
        ("x,,y\n1,2,3\n", "y", "column 2 has no name in the header"),
        ("x,x,y\n1,2,3\n", "y", "the header has 'x' twice"),
        ("x,y\n1,2\n3\n", "y", "line 3: 1 cells, but the header has 2"),
        ("x,z\n1,2\n", "y", "has no column 'y'; its columns are x, z"),
        ("y\n1\n2\n", "y", "has no columns beside the target"),
        ("x,city,y\n1,Oslo,2\n", "y", "line 2: column 'city' has 'Oslo', which is not a number: .* --ignore city"),
        ("x,y\n1,2\n,3\n", "y", "line 3: column 'x' is empty: fill missing values"),
        ("x,y\n1,2\nnan,3\n", "y", "line 3: column 'x' has 'nan': values must be finite"),
        ("x,y\n1,2\n2,inf\n", "y", "line 3: column 'y' has 'inf': values must be finite"),
        ("x,y\n1,a\n2,\n", "y", "line 3: column 'y' is empty"),
        ("x,y\n1,a\n2,a\n3,a\n", "y", "column 'y' has one class only, 'a'"),
        ('x,y\n"1,2\n', "y", "line 2: "),
        ("x,y\n1,2\n", "y", "1 rows with --test-size 0.2 leave 1 to train on: 2 are needed"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, capsys, content, target, message):
    import re

    path = tmp_path / "table.csv"
    path.write_text(content)
    said = complaint(capsys, "train", path, "--target", target, *FAST)
    assert "table.csv" in said or "--test-size" in said
    assert re.search(message, said), said


def test_files_that_are_no_tables(tmp_path, capsys, houses):
    assert "No such file" in complaint(capsys, "train", tmp_path / "none.csv", "--target", "y")
    assert "Is a directory" in complaint(capsys, "train", tmp_path, "--target", "y")
    binary = tmp_path / "binary"
    binary.write_bytes(bytes(range(256)))
    assert "is not a text file" in complaint(capsys, "train", binary, "--target", "y")
    binary.write_bytes(b"x,y\n1,\0\n")
    assert "is not a text file" in complaint(capsys, "train", binary, "--target", "y")
    assert "--ignore" in complaint(capsys, "train", houses, "--target", "price", "--ignore", "nothing")
    assert "is the target" in complaint(capsys, "train", houses, "--target", "price", "--ignore", "price")
    nowhere = tmp_path / "none" / "model.npz"
    said = complaint(capsys, "train", houses, "--target", "price", "--ignore", "kind", "--out", nowhere, *FAST)
    assert "No such file" in said


def test_models_that_are_none(tmp_path, capsys, houses):
    assert "No such file" in complaint(capsys, "predict", tmp_path / "none.npz", houses)
    assert "not a cvxrelu.model file" in complaint(capsys, "predict", houses, houses)
    other = tmp_path / "network.npz"
    from cvxrelu import Network

    Network(np.eye(2), np.ones(2)).save(other)
    assert "it says that it is a cvxrelu.network file" in complaint(capsys, "predict", other, houses)
    model = tmp_path / "model.npz"
    main(["train", str(houses), "--target", "price", "--ignore", "kind", "--out", str(model), *FAST])
    capsys.readouterr()
    table = tmp_path / "table.csv"
    table.write_text("size\n1\n")
    assert "has no column 'id'" in complaint(capsys, "predict", model, table)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--gates", "0"],
        ["--gates", "many"],
        ["--beta", "-1"],
        ["--beta", "nan"],
        ["--tol", "0"],
        ["--test-size", "1"],
        ["--seed", "-1"],
        ["--beta", "1", "--beta-ratio", "1"],
        ["train", "file.csv"],
        ["unknown"],
        ["--gate-law", "uniform"],
    ],
)
def test_command_lines_that_cannot_be_understood(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_help_and_version(capsys):
    for arguments in (["--help"], ["train", "--help"], ["predict", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert "exit status:" in printed and "cvxrelu 0.1.0" in printed


def test_spreadsheet_habits(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes('\ufeffx\t y \r\n1\t2\r\n\r\n" 3"\t4\r\n'.encode())
    table = read_table(path)
    assert table.names == ("x", "y")
    np.testing.assert_array_equal(table.numbers(["y", "x"]), [[2, 1], [4, 3]])
    assert table.lines == [2, 4]
    with pytest.raises(TableError, match="has no column 'z'"):
        table.text("z")


def test_ridge_is_ridge():
    rng = np.random.default_rng(0)
    X, Z = rng.standard_normal((60, 4)), rng.standard_normal((10, 4))
    w = np.arange(4.0)
    np.testing.assert_allclose(fit_ridge(X, X @ w + 2, Z), Z @ w + 2, atol=1e-5)
    noise = rng.standard_normal(60)
    assert np.abs(fit_ridge(X, noise, Z) - noise.mean()).max() < 1
    both = fit_ridge(X, np.stack([X @ w, X @ -w], axis=1), Z)
    np.testing.assert_allclose(both, np.stack([Z @ w, Z @ -w], axis=1), atol=1e-5)
