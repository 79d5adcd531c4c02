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
from cli.terminal import FAST, column, complaint, printed
from cvxrelu.cli import main
from cvxrelu.cli._model import TableModel
from cvxrelu.cli._tables import read_table

COMMANDS = ("train", "predict", "enumerate", "certify")


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "cvxrelu", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


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


def test_more_threads_than_a_system_can_start(houses, capsys):
    command = ("train", houses, "--target", "price", "--ignore", "kind", "--threads", "100000")
    assert "n_threads must be at most 4096" in complaint(capsys, *command)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--gates", "0"],
        ["--gates", "9" * 20],
        ["--gates", "many"],
        ["--draws", "0"],
        ["--beta", "-1"],
        ["--beta", "nan"],
        ["--tol", "0"],
        ["--test-size", "1"],
        ["--seed", "-1"],
        ["--beta", "1", "--beta-ratio", "1"],
        ["train", "file.csv"],
        ["unknown"],
        ["--gate-law", "uniform"],
        ["--gate-law", "balanced:2"],
        ["--gate-law", "gaussian:2"],
        ["enumerate"],
        ["enumerate", "points.csv", "--max-patterns", "0"],
        ["enumerate", "points.csv", "--count", "--out", "patterns.npz"],
        ["enumerate", "points.csv", "--exact", "--decimals", "2"],
        ["certify", "network.npz", "points.csv", "--target", "y"],
        ["certify", "network.npz", "points.csv", "--target", "y", "--beta", "-1"],
    ],
)
def test_command_lines_that_cannot_be_understood(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_every_law_of_gates(points, capsys):
    command = ("train", points / "points.npz", "--target", "y", "--ignore", "kind", "--json", *FAST)
    told = [printed(capsys, *command, "--gate-law", law) for law in ("mixed", "balanced:0.3", "sparse:1", "pairs")]
    assert len({report["objective"] for report in told}) == 4
    assert "images of 5x5x1 have 25 pixels" in complaint(capsys, *command, "--gate-law", "patches:5x5")


def test_help_and_version(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    for arguments in (["--help"], *([name, "--help"] for name in COMMANDS), ["--version"]):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 0
    said = capsys.readouterr().out
    assert "exit status:" in said and "cvxrelu 0.1.0" in said
    assert 78 <= max(map(len, said.splitlines())) <= 80


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


def test_the_penalty_by_cross_validation(houses, capsys):
    command = ("train", houses, "--target", "price", "--ignore", "kind,id", "--no-compare", *FAST)
    report = printed(capsys, *command, "--cv", "3", "--json")
    assert report["folds"] == 3 and 1e-3 <= report["beta"] / report["beta_max"] <= 1
    assert main([*map(str, command), "--cv", "3"]) == 0
    assert "of the largest useful one, chosen by 3-fold cross-validation" in capsys.readouterr().out


def test_an_intercept(houses, tmp_path, capsys):
    command = ("train", houses, "--target", "price", "--ignore", "kind,id", "--no-compare", *FAST)
    options = ([], ["--no-intercept"], ["--loss", "huber", "--intercept", "--cv", "3"])
    reports = [printed(capsys, *command, *more, "--json") for more in options]
    assert [report["intercept"] for report in reports] == [True, False, True]
    assert main([*map(str, command), "--out", str(tmp_path / "model.skops")]) == 0
    assert "squared, and an intercept outside the penalty" in capsys.readouterr().out
    intercept = TableModel.load(tmp_path / "model.skops").pipeline["network"].network_.output_bias
    assert intercept is not None and intercept != 0
    labels = printed(capsys, "train", houses, "--target", "kind", "--ignore", "id", "--no-compare", *FAST, "--json")
    assert not labels["intercept"]


def test_losses(houses, tmp_path, capsys):
    command = ("train", houses, "--target", "price", "--ignore", "kind,id", "--no-compare", "--json", *FAST)
    reports = [printed(capsys, *command, "--loss", loss) for loss in ("squared", "huber", "poisson")]
    assert len({report["objective"] for report in reports}) == 3
    assert all(report["scores"]["network"] > 0.9 for report in reports)
    assert "loss must be one of squared, huber, poisson, not 'logistic'" in complaint(
        capsys, *command, "--loss", "logistic"
    )


def test_a_weight_is_so_many_rows(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x, weights = rng.standard_normal((30, 2)), rng.integers(0, 4, 30)
    table = np.column_stack([x, x[:, 0] * abs(x[:, 1]), weights])
    reports = []
    for name, rows in (("weighted", table), ("copies", np.repeat(table, weights, axis=0))):
        np.savetxt(tmp_path / name, rows, delimiter=",", header="a,b,y,w", comments="", fmt="%.17g")
        use = ("--weight", "w") if name == "weighted" else ("--ignore", "w")
        command = (
            "train",
            tmp_path / name,
            "--target",
            "y",
            *use,
            "--test-size",
            "0",
            "--beta",
            "0.1",
            "--tol",
            "1e-9",
        )
        model = tmp_path / f"{name}.skops"
        reports.append(printed(capsys, *command, "--gate-law", "gaussian", "--out", model, "--json", *FAST))
        reports[-1]["predictions"] = printed(capsys, "predict", model, tmp_path / "weighted", "--json")["predictions"]
    assert reports[0]["n_train"] == np.count_nonzero(weights) and reports[1]["n_train"] == weights.sum()
    assert reports[0]["objective"] == pytest.approx(reports[1]["objective"], rel=1e-7)
    np.testing.assert_allclose(*(report["predictions"] for report in reports), atol=1e-3)
    assert "'w' is the weight" in complaint(capsys, *command[:4], "--weight", "w", "--ignore", "w")


def test_probabilities(houses, tmp_path, capsys):
    model = tmp_path / "model.skops"
    command = (
        "train",
        houses,
        "--target",
        "kind",
        "--ignore",
        "id,price",
        "--no-compare",
        "--out",
        model,
        "--json",
        *FAST,
    )
    printed(capsys, *command, "--loss", "squared")
    assert "trained without --loss squared" in complaint(capsys, "predict", model, houses, "--proba")
    assert printed(capsys, *command)["loss"] == "log_loss"
    report = printed(capsys, "predict", model, houses, "--proba", "--json")
    shares = np.array(report["probabilities"])
    assert report["classes"] == ["big", "small"] and np.allclose(shares.sum(axis=1), 1)
    assert report["predictions"] == np.take(report["classes"], shares.argmax(axis=1)).tolist()
    for suffix in ("csv", "npy", "npz"):
        assert main(["predict", str(model), str(houses), "--proba", "--out", str(tmp_path / f"out.{suffix}")]) == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "kind,kind=big,kind=small"
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), shares)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["kind=small"], shares[:, 1])


def test_a_target_called_as_a_parameter_of_numpy(tmp_path):
    table, out = tmp_path / "table.csv", tmp_path / "out.npz"
    table.write_text("a,file\n" + "\n".join(f"{k},{k % 7}" for k in range(30)))
    model = tmp_path / "model.skops"
    assert main(["train", str(table), "--target", "file", "--no-compare", "--out", str(model), *FAST]) == 0
    assert main(["predict", str(model), str(table), "--out", str(out)]) == 0
    assert np.load(out)["file"].shape == (30,)


def test_models_hold_no_code(houses, tmp_path, capsys):
    skops = pytest.importorskip("skops.io")
    skops.dump({"format": "cvxrelu.model", "pipeline": subprocess.Popen}, tmp_path / "model.skops")
    assert "Untrusted types" in complaint(capsys, "predict", tmp_path / "model.skops", houses)
    skops.dump([1], tmp_path / "model.skops")
    assert "is damaged, or no file of `train --out`" in complaint(capsys, "predict", tmp_path / "model.skops", houses)


def test_several_draws_of_gates_are_averaged(capsys):
    assert main(["--draws", "3", "--no-compare", *FAST]) == 0
    told = capsys.readouterr().out
    assert "from 180 gates in 3 draws, which are averaged" in told and "have a lower mean objective" in told
    assert printed(capsys, "--draws", "2", "--cv", "2", "--no-compare", "--json", *FAST)["n_draws"] == 2
