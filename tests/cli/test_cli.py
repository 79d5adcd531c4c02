import csv
import json
import os
import re
import signal
import subprocess
import sys

import cvxrelu
import cvxrelu.cli.train
import numpy as np
import pytest
from cvxrelu.cli import main
from cvxrelu.cli._cells import Wanted
from cvxrelu.cli._model import TableModel
from cvxrelu.cli._tables import read_table

COMMANDS = ("train", "predict", "enumerate", "certify")
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


def column(path, name, kind="number"):
    return read_table(path).read({name: Wanted(kind)})[1][name]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cvxrelu", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


def complaint(capsys, *arguments, lines=1):
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cvxrelu: ") and captured.err[:-1].count("\n") == lines - 1
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
    model = tmp_path / "model.skops"
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
    truth = column(houses, "price")
    assert np.corrcoef(predictions, truth)[0, 1] > 0.99
    loaded = TableModel.load(model)
    np.testing.assert_array_equal(loaded.predict(loaded.features(read_table(houses))), predictions)

    out = tmp_path / "predictions.csv"
    assert main(["predict", str(model), str(houses), "--out", str(out)]) == 0
    assert list(csv.reader(out.read_text().splitlines())) == rows
    assert main(["predict", str(model), str(houses), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["predictions"] == predictions.tolist()


def test_train_and_predict_labels(houses, tmp_path, capsys):
    model = tmp_path / "model.skops"
    command = ["train", str(houses), "--target", "kind", "--ignore", "id", "--ignore", "price", "--out", str(model)]
    assert main([*command, *FAST]) == 0
    assert "classification of kind" in capsys.readouterr().out
    assert main(["predict", str(model), str(houses)]) == 0
    rows = list(csv.reader(capsys.readouterr().out.splitlines()))
    kinds = column(houses, "kind", "text")
    assert np.mean([a[0] == b for a, b in zip(rows[1:], kinds, strict=True)]) > 0.95


def test_numbers_may_be_classes(tmp_path, capsys):
    path = tmp_path / "three.csv"
    x = np.linspace(-1, 1, 60)
    path.write_text("x;label\n" + "\n".join(f"{v};{int(np.digitize(v, [-0.3, 0.3]))}" for v in x))
    assert main(["train", str(path), "--target", "label", "--task", "classification", "--json", *FAST]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["scores"]["measure"] == "accuracy" and report["scores"]["network"] > 0.8


def test_numbers_and_text_may_be_classes_where_that_is_asked_for(tmp_path, capsys):
    path = tmp_path / "grades.csv"
    path.write_text("x,grade\n" + "\n".join(f"{k},{'3+' if k > 30 else k // 16}" for k in range(60)))
    assert "line 33 and 28 more: column 'grade' has '3+'" in complaint(
        capsys, "train", path, "--target", "grade", *FAST
    )
    report = printed(capsys, "train", path, "--target", "grade", "--task", "classification", "--json", *FAST)
    assert report["task"] == "classification"


def test_ids_that_float64_rounds_are_refused_wherever_they_are(tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text("x,y\n1000000000000000000,2\n1000000000000000001,3\n,4\n")
    said = complaint(capsys, "train", path, "--target", "y", "--encode", *FAST)
    assert "line 3: column 'x' has '1000000000000000001', an integer that float64 rounds to 1000000000000000000" in said
    ids = np.array([[2**53, 1], [2**53 + 1, 2], [2**63 - 1, 4]])
    np.save(tmp_path / "ids.npy", ids)
    assert "row 1 and 1 more: column '0' has '9007199254740993'" in complaint(capsys, "enumerate", tmp_path / "ids.npy")
    np.save(tmp_path / "ids.npy", ids[:1])
    assert [column(tmp_path / "ids.npy", name)[0] for name in "01"] == ids[0].tolist()


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


def test_seeds_of_any_size(houses, capsys):
    command = ["train", str(houses), "--target", "price", "--ignore", "kind", "--seed", "9" * 20, "--json", *FAST]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["mlp"] is not None


def test_stopping_early_has_a_status_of_its_own(houses, capsys):
    command = ["train", str(houses), "--target", "price", "--ignore", "kind", "--max-iter", "1", "--tol", "1e-14"]
    assert main([*command, *FAST]) == 3
    captured = capsys.readouterr()
    assert "NOT CONVERGED" in captured.out
    assert re.fullmatch("cvxrelu: .*duality gap.*\n", captured.err)


def test_ctrl_c_ends_without_a_traceback(monkeypatch, capsys):
    network = cvxrelu.cli.train._network

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGINT)
        return network(*arguments)

    monkeypatch.setattr(cvxrelu.cli.train, "_network", interrupted)
    assert main(["--tol", "1e-14", *FAST]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("content", "target", "message"),
    [
        ("", "y", "is empty"),
        ("x,y\n", "y", "has a header and no rows"),
        ("1,2\n3,4\n", "y", "has no header: its first line has numbers only"),
        ("x,,y\n1,2,3\n", "y", "column 2 has no name in the header"),
        ("x,y,\n1,2,3\n", "y", "column 3 has no name in the header"),
        (
            'x,y\n"1,5",2\n',
            "y",
            "line 2: column 'x' has '1,5': the numbers of this table have a decimal point, unless",
        ),
        ("x;y;z\n1,5;2;3.5\n", "y", "has '1,5' and '3.5': say --decimal , or --decimal . for the mark"),
        ("x\ty\n1,500\t2\n", "y", "has '1,500', which may be a decimal comma or one between thousands"),
        ("x,x,y\n1,2,3\n", "y", "the header has 'x' twice"),
        ("x,y\n1,2\n3\n", "y", "line 3: 1 cells, but the header has 2"),
        ("x,z\n1,2\n", "y", "has no column 'y'; its columns are x, z"),
        ("y\n1\n2\n", "y", "has no columns beside the target"),
        (
            "x,city,y\n1,Oslo,2\n",
            "y",
            "line 2: column 'city' has 'Oslo', which is not a number; --encode .*, --ignore city leaves columns out$",
        ),
        ("x,y\n1,2\n,3\n", "y", "line 3: column 'x' is empty; --encode takes"),
        ("x,y\n1,2\nnan,3\n", "y", "line 3: column 'x' has 'nan': values must be finite"),
        ("x,y\n1,2\n2,inf\n", "y", "line 3: column 'y' has 'inf': values must be finite"),
        ("x,y\n1,a\n2,\n", "y", "line 3: column 'y' is empty"),
        ("x,y\n1,2.5\n2,3.5\n3,4.5x\n4,1\n", "y", "line 4: column 'y' has '4.5x', which is not a number"),
        ("x,y\n1,2.5\n2,3.5\n3,'4'\n", "y", "line 4: column 'y' has \"'4'\", which is not a number"),
        (
            "x,y\n1000000000000000000,2\n1000000000000000001,3\n",
            "y",
            "line 3: column 'x' has '1000000000000000001', an",
        ),
        ("x,y\n1,2\n2,-9007199254740993.0\n", "y", "line 3: column 'y' has '-9007199254740993.0', an integer that"),
        ("x,y\n1,a\n2,a\n3,a\n", "y", "column 'y' has one class only, 'a'"),
        ('x,y\n"1,2\n', "y", "unexpected end of data"),
        ("x,y\n1,2\n", "y", "1 rows with --test-size 0.2 leave 1 to train on: 2 are needed"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, capsys, content, target, message):
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
    nowhere = tmp_path / "none" / "model.skops"
    said = complaint(capsys, "train", houses, "--target", "price", "--ignore", "kind", "--out", nowhere, *FAST)
    assert "No such file" in said


def test_models_that_are_none(tmp_path, capsys, houses):
    assert "No such file" in complaint(capsys, "predict", tmp_path / "none.npz", houses)
    assert "is not a cvxrelu.model file, which `train --out` writes" in complaint(capsys, "predict", houses, houses)
    other = tmp_path / "network.npz"
    cvxrelu.Network(np.eye(2), np.ones(2)).save(other)
    assert "is not a cvxrelu.model file" in complaint(capsys, "predict", other, houses)
    model = tmp_path / "model.skops"
    main(["train", str(houses), "--target", "price", "--ignore", "kind", "--out", str(model), *FAST])
    capsys.readouterr()
    table = tmp_path / "table.csv"
    table.write_text("size\n1\n")
    assert "has no column 'id'" in complaint(capsys, "predict", model, table)


@pytest.fixture
def messy(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "messy.csv"
    lines = ["id,size,city,garage,price"]
    for k in range(120):
        size, city = rng.uniform(20, 200), ["Köln", "Bonn", "Essen"][k % 3]
        garage = ["yes", "no", "", "NA"][k % 4]
        price = 30 * size + {"Köln": 2000, "Bonn": 900, "Essen": 0}[city] + 300 * (garage == "yes")
        lines.append(f"x{k},{'' if k % 17 == 1 else f'{size:.3f}'},{city},{garage},{price:.2f}")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_text_and_missing_cells(messy, tmp_path, capsys):
    model = tmp_path / "model.skops"
    said = complaint(capsys, "train", messy, "--target", "price", "--ignore", "id", *FAST, lines=5)
    assert said.splitlines()[1:] == [
        "  line 3 and 6 more: column 'size' is empty",
        "  line 2 and 119 more: column 'city' has 'Köln', which is not a number",
        "  line 2 and 119 more: column 'garage' has 'yes', which is not a number",
        "  --encode takes text, dates and missing cells, --ignore size,city,garage leaves columns out",
    ]
    command = ("train", messy, "--target", "price", "--ignore", "id", "--encode", "--no-compare", "--json", *FAST)
    report = printed(capsys, *command, "--out", model)
    assert report["n_features"] == 1 + 3 + 3  # the size, three cities, and yes, no or nothing
    assert report["scores"]["network"] > 0.9
    predictions = printed(capsys, "predict", model, messy, "--json")["predictions"]
    prices = column(messy, "price")
    assert np.corrcoef(predictions, prices)[0, 1] > 0.95
    new = tmp_path / "new.csv"
    new.write_text("size,city,garage\n100,Bonn,no\n,Paris,maybe\n", encoding="utf-8")
    assert np.isfinite(printed(capsys, "predict", model, new, "--json")["predictions"]).all()
    new.write_text("size,city,garage\nlarge,Bonn,no\n", encoding="utf-8")
    said = complaint(capsys, "predict", model, new)
    assert said == f"{new}, line 2: column 'size' has 'large', which is not a number"


def test_text_that_cannot_be_encoded(messy, tmp_path, capsys):
    said = complaint(capsys, "train", messy, "--target", "price", "--encode", *FAST)
    assert "column 'id' has 120 different texts in 120 rows; --ignore id leaves columns out" in said
    empty = tmp_path / "empty.csv"
    empty.write_text("a,b,y\n,1,2\n?,2,3\n", encoding="utf-8")
    assert "column 'a' is empty" in complaint(capsys, "train", empty, "--target", "y", "--encode", *FAST)


def test_numbers_too_large_to_compute_with(tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text("a,y\n1e308,1\n-1e308,2\n1,3\n2,4\n3,5\n")
    assert "too large or too small" in complaint(capsys, "train", path, "--target", "y", *FAST)
    network = tmp_path / "network.npz"
    cvxrelu.Network(np.eye(1), np.ones(1)).save(network)
    assert "too small beside X and y" in complaint(capsys, "certify", network, path, "--target", "y", "--beta", "1")


def test_more_threads_than_a_system_can_start(houses, capsys):
    command = ("train", houses, "--target", "price", "--ignore", "kind", "--threads", "100000")
    assert "n_threads must be at most 4096" in complaint(capsys, *command)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--gates", "0"],
        ["--gates", "9" * 20],
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
        ["enumerate"],
        ["enumerate", "points.csv", "--max-patterns", "0"],
        ["enumerate", "points.csv", "--count", "--out", "patterns.npz"],
        ["certify", "network.npz", "points.csv", "--target", "y"],
        ["certify", "network.npz", "points.csv", "--target", "y", "--beta", "-1"],
    ],
)
def test_command_lines_that_cannot_be_understood(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_help_and_version(capsys):
    for arguments in (["--help"], *([name, "--help"] for name in COMMANDS), ["--version"]):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 0
    printed = capsys.readouterr().out
    assert "exit status:" in printed and "cvxrelu 0.1.0" in printed


@pytest.fixture
def points(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 2))
    table = np.column_stack([X, np.abs(X[:, 0])])
    np.savetxt(tmp_path / "points.csv", table, delimiter=",", header="a,b,y", comments="", fmt="%.17g")
    np.save(tmp_path / "points.npy", table)
    np.savez(tmp_path / "points.npz", X=X, y=table[:, 2], kind=np.where(table[:, 2] > 1, "far", "near"))
    return tmp_path


def printed(capsys, *arguments, status=0):
    assert main([str(argument) for argument in arguments]) == status
    return json.loads(capsys.readouterr().out)


def test_the_same_table_in_every_kind_of_file(points, capsys):
    reports = [
        printed(capsys, "train", points / name, "--target", target, "--json", "--no-compare", *ignore, *FAST)
        for name, target, ignore in (
            ("points.csv", "y", ()),
            ("points.npy", "-1", ()),
            ("points.npy", "2", ()),
            ("points.npz", "y", ("--ignore", "kind")),
        )
    ]
    assert {report["objective"] for report in reports} == {reports[0]["objective"]}
    assert reports[1]["target"] == "2"
    report = printed(capsys, "train", points / "points.npz", "--target", "kind", "--ignore", "y", "--json", *FAST)
    assert report["task"] == "classification"


def test_predictions_in_every_kind_of_file(points, capsys):
    model = points / "model.skops"
    assert (
        main(["train", str(points / "points.npz"), "--target", "y", "--ignore", "kind", "--out", str(model), *FAST])
        == 0
    )
    capsys.readouterr()
    expected = printed(capsys, "predict", model, points / "points.npz", "--json")["predictions"]
    for suffix in ("npy", "npz", "csv", "json"):
        out = points / f"out.{suffix}"
        flags = ["--json"] if suffix == "json" else []
        assert main(["predict", str(model), str(points / "points.npz"), "--out", str(out), *flags]) == 0
    assert np.load(points / "out.npy").tolist() == expected
    assert np.load(points / "out.npz")["y"].tolist() == expected
    assert np.loadtxt(points / "out.csv", skiprows=1).tolist() == expected
    assert json.loads((points / "out.json").read_text())["predictions"] == expected


@pytest.mark.parametrize("name", ["points.csv", "points.npy"])
def test_enumerate(points, capsys, name):
    X = np.load(points / "points.npz")["X"]
    last = "y" if name.endswith("csv") else "-1"
    out = points / "patterns.npz"
    report = printed(capsys, "enumerate", points / name, "--ignore", last, "--bias", "--out", out, "--json")
    cells = cvxrelu.enumerate_patterns(np.column_stack([X, np.ones(20)]))
    assert report["n_patterns"] == len(cells) == report["bound"] == cvxrelu.pattern_bound(20, 3)
    assert report["complete"] and report["rank"] == 3
    written = np.load(out)
    np.testing.assert_array_equal(written["words"], cells.words)
    np.testing.assert_array_equal(written["gates"], cells.gates)
    count = printed(capsys, "enumerate", points / name, "--ignore", last, "--bias", "--count", "--json")
    assert count["n_patterns"] == len(cells) and "complete" not in count
    assert main(["enumerate", str(points / name), "--ignore", last]) == 0
    assert "40, where 40 would be possible" in capsys.readouterr().out


def test_too_many_patterns_are_a_sentence(points, capsys):
    said = complaint(capsys, "enumerate", points / "points.csv", "--max-patterns", "5")
    assert "max_patterns is 5" in said
    wide = points / "wide.npy"
    np.save(wide, np.random.default_rng(0).standard_normal((200, 60)))
    assert "too many to count" in complaint(capsys, "enumerate", wide, "--count")
    np.save(wide, np.load(wide)[:, :8])
    assert "has at least 24832 and at most" in complaint(capsys, "enumerate", wide, "--max-patterns", "1000")


def test_certify(points, capsys):
    X, y = (np.load(points / "points.npz")[name] for name in ("X", "y"))
    design = np.column_stack([X, np.ones(20)])
    optimum = cvxrelu.train_relu(design, y, 0.1, random_state=0, n_threads=1).to_network()
    saved, plain = points / "saved.npz", points / "plain.npz"
    cvxrelu.Network(optimum.W1, optimum.w2, bias=True).save(saved)
    np.savez(plain, W1=optimum.W1, w2=optimum.w2)
    rest = [points / "points.csv", "--target", "y", "--beta", "0.1", "--threads", "1"]
    report = printed(capsys, "certify", saved, *rest, "--json")
    assert report["exact"] and report["scope"] == "all patterns" and 0 <= report["relative_gap"] < 3e-6
    assert report["upper_bound"] == pytest.approx(optimum.objective(design, y, 0.1))
    again = printed(capsys, "certify", plain, *rest, "--bias", "--json")
    assert again["upper_bound"] == report["upper_bound"]
    assert main(["certify", str(saved), *map(str, rest)]) == 0
    assert "no ReLU network of any width" in capsys.readouterr().out
    worse = points / "worse.npz"
    np.savez(worse, W1=np.eye(2), w2=np.ones(2))
    report = printed(capsys, "certify", worse, *rest, "--json", "--max-nodes", "1", status=3)
    assert not report["exact"] and report["lower_bound"] <= report["upper_bound"]


def test_networks_that_cannot_be_certified(points, capsys):
    rest = [points / "points.csv", "--target", "y", "--beta", "0.1"]
    other = points / "other.npz"
    assert "it needs arrays W1 and w2" in complaint(capsys, "certify", points / "points.npz", *rest)
    assert "holds no plain arrays" in complaint(capsys, "certify", points / "points.csv", *rest)
    np.savez(other, W1=np.ones((2, 3)), w2=np.ones(3))
    assert "W1 has 2 neurons, but w2 has 3" in complaint(capsys, "certify", other, *rest)
    np.savez(other, W1=np.ones((2, 3)), w2=np.ones(2))
    assert "takes 3 features, but" in complaint(capsys, "certify", other, *rest)
    np.savez(other, W1=np.full((2, 2), np.nan), w2=np.ones(2))
    assert "not finite" in complaint(capsys, "certify", other, *rest)
    np.savez(other, W1=np.ones((2, 2)), w2=np.ones(2), gates=np.ones((2, 2)))
    assert "gated" in complaint(capsys, "certify", other, *rest)
    np.savez(other, W1=np.ones((2, 2)), w2=np.ones((2, 2)))
    assert complaint(capsys, "certify", other, *rest)
    main(["train", str(points / "points.csv"), "--target", "y", "--out", str(other), *FAST])
    capsys.readouterr()
    said = complaint(capsys, "certify", other, *rest)
    assert "a gated network of standardised columns" in said and "certified already" in said and "train_relu" in said


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (np.ones(3), "shape \\(3,\\): a table has rows and columns"),
        (np.ones((0, 3)), "is empty"),
        (np.ones((4, 2)) * 1j, "row 0 and 3 more: column '0' has '1j', which is not a number"),
        (np.array([[1.0, 2.0, 1.0], [np.nan, 1.0, 2.0]]), "row 1: column '0' is empty"),
        (np.array([[{}, 1]], dtype=object), "holds no plain arrays"),
        ({"X": np.ones((4, 2)), "y": np.ones(3)}, "column 'X0' has 4 rows, but 'y' has 3"),
        ({"X": np.ones((4, 2, 2))}, "array 'X' has shape \\(4, 2, 2\\)"),
        ({}, "is empty"),
    ],
)
def test_arrays_that_are_no_tables(tmp_path, capsys, arrays, message):
    path = tmp_path / ("table.npz" if isinstance(arrays, dict) else "table.npy")
    if isinstance(arrays, dict):
        np.savez(path, **arrays)
    else:
        np.save(path, arrays)
    assert re.search(message, complaint(capsys, "train", path, "--target", "-1", *FAST))


def test_a_structured_array_is_a_table(tmp_path, capsys):
    path = tmp_path / "table.npy"
    np.save(path, np.array([(k, k % 3, 2.0 * k) for k in range(20)], dtype=[("a", int), ("b", int), ("y", float)]))
    assert printed(capsys, "train", path, "--target", "y", "--json", *FAST)["n_features"] == 2
    assert "no column '-4'" in complaint(capsys, "train", path, "--target", "-4")


def test_damaged_files_of_every_kind_and_command(points, capsys):
    """Cut, and with bytes overwritten: a sentence, or (rarely) a result; never a traceback."""
    network = points / "network.npz"
    cvxrelu.Network(np.eye(2), np.ones(2)).save(network)
    model = points / "model.skops"
    main(["train", str(points / "points.csv"), "--target", "y", "--out", str(model), *FAST])
    rng = np.random.default_rng(0)
    for good in (points / "points.csv", points / "points.npy", points / "points.npz", network, model):
        content = good.read_bytes()
        bad = points / f"bad{good.suffix}"
        for _ in range(12):
            damaged = bytearray(content[: rng.integers(len(content))])
            for k in rng.integers(len(damaged), size=3) if damaged else ():
                damaged[k] = rng.integers(256)
            bad.write_bytes(damaged)
            for arguments in (
                ["train", bad, "--target", "y", "--no-compare", *FAST],
                ["predict", bad, points / "points.csv"],
                ["predict", model, bad],
                ["enumerate", bad, "--max-patterns", "500"],
                ["certify", bad, points / "points.csv", "--target", "y", "--beta", "1", "--max-seconds", "0.1"],
                ["certify", network, bad, "--target", "y", "--beta", "1", "--max-seconds", "0.1"],
            ):
                status = main([str(argument) for argument in arguments])
                assert status in (0, 1, 3)
                if status == 1:
                    said = capsys.readouterr().err
                    assert re.fullmatch("cvxrelu: .*\n(  .*\n)*", said), said
