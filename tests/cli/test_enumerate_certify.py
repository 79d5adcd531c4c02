import re

import cvxrelu
import numpy as np
import pytest
from cli.terminal import FAST, complaint, printed
from cvxrelu.cli import main


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


def test_an_output_bias_is_outside_the_penalty(points, capsys):
    X, y = (np.load(points / "points.npz")[name] for name in ("X", "y"))
    solution = cvxrelu.train_relu(X, y, 0.1, unpenalised="intercept", random_state=0, n_threads=1)
    optimum, plain, saved = solution.to_network(), points / "plain.npz", points / "saved.npz"
    np.savez(plain, W1=optimum.W1, w2=optimum.w2, output_bias=optimum.output_bias)
    optimum.save(saved)
    rest = [points / "points.csv", "--target", "y", "--beta", "0.1", "--threads", "1"]
    for network in (plain, saved):
        report = printed(capsys, "certify", network, *rest, "--json")
        assert report["exact"] and report["relative_gap"] < 1e-4
        assert report["upper_bound"] == pytest.approx(solution.objective)
    np.savez(plain, W1=optimum.W1, w2=optimum.w2, b2=optimum.output_bias)
    said = complaint(capsys, "certify", plain, *rest)
    assert "an array 'b2', which is none of W1, w2, gates, skip and output_bias" in said


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


def test_regions_of_affine_hyperplanes(tmp_path, capsys):
    path = tmp_path / "lines.csv"
    path.write_text("a,b,at\n1,0,0\n0,1,0\n1,1,1\n")
    count = printed(capsys, "enumerate", path, "--offsets", "at", "--count", "--json")
    assert (count["n_patterns"], count["n_bounded"], count["bound"]) == (7, 1, 7)
    assert count["characteristic_polynomial"] == [1, -3, 3] and count["rank"] == 2 and count["n_hyperplanes"] == 3
    assert main(["enumerate", str(path), "--offsets", "at", "--count"]) == 0
    assert re.search(r"bounded +1\n  polynomial +t\^2 - 3 t \+ 3\n", capsys.readouterr().out)
    out = tmp_path / "regions.npz"
    report = printed(capsys, "enumerate", path, "--offsets", "at", "--out", out, "--json")
    assert report["complete"] and report["n_bounded"] == 1 and report["n_patterns"] == report["bound"] == 7
    written = np.load(out)
    (inside,) = written["points"][written["bounded"]]
    assert inside.min() > 0 and inside.sum() < 1 and written["words"].shape == (7, 1)
    assert main(["enumerate", str(path), "--offsets", "at"]) == 0
    assert "every point lies inside its region" in capsys.readouterr().out
    assert "is the column of the offsets" in complaint(capsys, "enumerate", path, "--offsets", "at", "--ignore", "at")
    assert "--offsets: " in complaint(capsys, "enumerate", path, "--offsets", "c")
    np.save(tmp_path / "lines.npy", np.array([[1.0, 0, 0.5], [2, 0, 1], [0, 1, 3]]))
    central = printed(capsys, "enumerate", tmp_path / "lines.npy", "--offsets", "-1", "--count", "--json")
    assert (central["n_patterns"], central["n_bounded"], central["n_hyperplanes"]) == (4, 0, 2)


def test_numbers_as_they_are_written(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    path.write_text("a,b,c\n1/3,1/7,2/5\n2/3,3/7,1/11\n1,4/7,27/55\n0,0,1\n")
    assert complaint(capsys, "enumerate", path, lines=5).count("only `enumerate --exact` takes fractions") == 3
    report = printed(capsys, "enumerate", path, "--exact", "--json")
    assert report["n_patterns"] == 12 and report["complete"]
    count = printed(capsys, "enumerate", path, "--exact", "--count", "--json", "--bias")
    assert count["rank"] == 4 and count["characteristic_polynomial"] == [1, -4, 6, -4, 1]
    affine = printed(capsys, "enumerate", path, "--exact", "--count", "--json", "--offsets", "c")
    assert affine["characteristic_polynomial"] == [1, -3, 2] and affine["n_hyperplanes"] == 3
    path.write_text("a,b\n0.1,0.3\n0.3,0.9\n9007199254740993,1\n")
    assert printed(capsys, "enumerate", path, "--exact", "--count", "--json")["n_patterns"] == 4
    path.write_text("a,b\n1/2,x\n")
    assert "line 2: column 'b' has 'x', which is not a rational number" in complaint(
        capsys, "enumerate", path, "--exact"
    )
    np.save(tmp_path / "ids.npy", np.array([[2**53 + 1, 1], [2**53, 1]]))
    assert printed(capsys, "enumerate", tmp_path / "ids.npy", "--exact", "--count", "--json")["n_patterns"] == 4
    np.savez(tmp_path / "mixed.npz", a=np.array(["1/3", "2/3"]), b=np.array([0.5, 1.0]))
    assert printed(capsys, "enumerate", tmp_path / "mixed.npz", "--exact", "--count", "--json")["n_patterns"] == 2
