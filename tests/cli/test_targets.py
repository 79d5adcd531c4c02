"""Several targets, and the score that a penalty is chosen by."""

import csv

import cvxrelu
import numpy as np
import pytest
from cli.terminal import FAST, complaint, printed
from cvxrelu.cli import main
from cvxrelu.cli._model import TableModel
from cvxrelu.cli._tables import read_table
from cvxrelu.estimators import GatedReLURegressorCV
from sklearn.metrics import mean_absolute_percentage_error


@pytest.fixture
def weather(tmp_path):
    """Two numbers, of different sizes, and two labels, as 0 and 1, of the same two features."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (90, 2))
    rain, wind = 1000 + 100 * np.abs(x[:, 0]), 3 * np.maximum(x[:, 1], 0) - x[:, 0]
    table = np.column_stack([x, rain, wind, x[:, 0] > 0, x[:, 0] + x[:, 1] > 0])
    path = tmp_path / "weather.csv"
    np.savetxt(path, table, delimiter=",", header='a,b,"rain, mm",wind,warm,clear', comments="", fmt="%.12g")
    return path


def numbers(path):
    return np.loadtxt(path, delimiter=",", skiprows=1)


@pytest.mark.parametrize("targets", [["--target", "wind,warm"], ["--target", "wind", "--target", "warm"]])
def test_several_targets_are_listed_with_commas_or_repeated(weather, capsys, targets):
    report = printed(capsys, "train", weather, *targets, "--ignore", "clear,a", "--json", *FAST)
    assert report["targets"] == ["wind", "warm"] and report["n_features"] == 2


def test_several_numbers_are_predicted_in_their_own_units(weather, tmp_path, capsys):
    model = tmp_path / "model.skops"
    command = ["train", weather, "--target", "rain, mm", "--target", "wind", "--ignore", "warm", "--ignore", "clear"]
    report = printed(capsys, *command, "--out", model, "--json", *FAST)
    assert report["targets"] == ["rain, mm", "wind"] and report["task"] == "regression" and report["n_features"] == 2
    assert report["scores"]["measure"] == "mean R2" and report["scores"]["network"] > 0.9
    assert {"ridge", "mlp"} <= report["scores"].keys()

    assert main(["predict", str(model), str(weather)]) == 0
    header, *rows = csv.reader(capsys.readouterr().out.splitlines())
    predictions, truth = np.array(rows, dtype=float), numbers(weather)[:, 2:4]
    assert header == ["rain, mm", "wind"] and predictions.shape == (90, 2)
    assert (np.abs(predictions - truth).mean(axis=0) < 0.1 * truth.std(axis=0)).all()

    report = printed(capsys, "predict", model, weather, "--json")
    assert report["targets"] == header
    np.testing.assert_array_equal(report["predictions"], predictions)
    for suffix in ("npy", "npz"):
        assert main(["predict", str(model), str(weather), "--out", str(tmp_path / f"out.{suffix}")]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), predictions)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["wind"], predictions[:, 1])


def test_several_labels_and_their_probabilities(weather, tmp_path, capsys):
    model = tmp_path / "model.skops"
    command = ["train", weather, "--target", "warm,clear", "--task", "classification"]
    command += ["--ignore", "wind", "--ignore", "rain, mm", "--out", model, *FAST]
    assert main([*map(str, command)]) == 0
    assert "classification of warm, clear" in capsys.readouterr().out
    report = printed(capsys, "predict", model, weather, "--proba", "--json")
    predictions, shares = np.array(report["predictions"]), np.array(report["probabilities"])
    assert np.mean(predictions == numbers(weather)[:, 4:]) > 0.9
    np.testing.assert_array_equal(predictions, shares > 0.5)
    assert main(["predict", str(model), str(weather), "--proba"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "warm,clear,warm=1,clear=1"


def test_targets_that_cannot_be_used(weather, capsys):
    def of(*arguments):
        return complaint(capsys, "train", weather, *arguments, *FAST)

    assert "--target: 'wind' is named twice" in of("--target", "wind,wind")
    assert "column 'wind' has -" in of("--target", "wind,warm", "--task", "classification")
    assert "takes 0 and 1" in of("--target", "warm,wind", "--task", "classification")
    assert "--ignore: 'warm' is the target" in of("--target", "wind,warm", "--ignore", "warm")
    assert "--weight: 'warm' is the target" in of("--target", "wind,warm", "--weight", "warm")
    assert "has no column 'snow'" in of("--target", "wind,snow")


def test_the_penalty_is_chosen_by_a_score_of_the_target_in_its_own_units(weather, tmp_path, capsys):
    """The relative error of a standardised target is another one: its zero is the mean."""
    scoring, model = "neg_mean_absolute_percentage_error", tmp_path / "model.skops"
    command = ["train", weather, "--target", "wind", "--ignore", "rain, mm", "--ignore", "warm,clear", "--cv", "3"]
    command += ["--scoring", scoring, "--test-size", "0", "--out", model, *FAST]
    report = printed(capsys, *command, "--json")
    assert report["scoring"] == scoring and report["folds"] == 3
    assert main([*map(str, command)]) == 0
    assert f"3-fold cross-validation of {scoring}" in capsys.readouterr().out

    loaded = TableModel.load(model)
    chosen = loaded.pipeline["network"]
    assert isinstance(chosen, GatedReLURegressorCV) and chosen.scoring == scoring
    order = np.random.default_rng(0).permutation(90)
    X = loaded.pipeline[:-1].transform(loaded.features(read_table(weather)))[order]
    wind = numbers(weather)[order, 3]
    units = loaded.units

    def score(fitted, Z, y):
        predicted = units.mean_ + units.scale_ * fitted.predict(Z)
        return -mean_absolute_percentage_error(units.mean_ + units.scale_ * y, predicted)

    own = GatedReLURegressorCV(n_gates=60, gates="mixed", cv=3, random_state=0, scoring=score)
    own.fit(X, (wind - wind.mean()) / wind.std())
    np.testing.assert_allclose(chosen.score_path_, own.score_path_, rtol=1e-3)
    assert chosen.beta_ == pytest.approx(own.beta_)


def test_scores_of_labels(weather, capsys):
    command = ["train", weather, "--target", "warm", "--task", "classification", "--ignore", "clear", "--cv", "3"]
    report = printed(capsys, *command, "--scoring", "balanced_accuracy", "--json", *FAST)
    assert report["scoring"] == "balanced_accuracy"


def test_scores_that_cannot_be_used(weather, capsys):
    command = ["train", str(weather), "--target", "wind", *FAST]
    unknown = ["--cv", "3", "--scoring", "mean_absolute_error"]
    for options, said in ((["--scoring", "r2"], "say --cv K, too"), (unknown, "close are neg_mean_absolute_error")):
        with pytest.raises(SystemExit) as stopped:
            main([*command, *options])
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err
    assert "--scoring does not fit the numbers of wind: continuous is not supported" in complaint(
        capsys, *command, "--cv", "3", "--scoring", "accuracy"
    )
    labels = ["train", weather, "--target", "warm", "--task", "classification", "--cv", "3", "--loss", "squared", *FAST]
    assert "set loss to one of log_loss, logistic" in complaint(capsys, *labels, "--scoring", "neg_log_loss")


def test_certify_takes_a_target_for_each_output(weather, tmp_path, capsys):
    table = numbers(weather)
    X, Y = table[:12, :2], table[:12, 3:5]
    small = tmp_path / "small.csv"
    np.savetxt(small, np.column_stack([Y[:, 1], X, Y[:, 0]]), delimiter=",", header="warm,a,b,wind", comments="")
    solution = cvxrelu.train_relu(X, Y, 0.5, tol=1e-5)
    solution.to_network().save(tmp_path / "network.npz")
    command = ["certify", tmp_path / "network.npz", small, "--beta", "0.5", "--tol", "1e-4", "--json"]
    report = printed(capsys, *command, "--target", "wind,warm")
    assert report["upper_bound"] == pytest.approx(solution.objective)
    assert report["relative_gap"] < 1e-3
    assert "has 2 outputs, but --target names 1" in complaint(capsys, *command, "--target", "wind", "--ignore", "warm")
