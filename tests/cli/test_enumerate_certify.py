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
    "content", ["a,b\n1/3,1\n1,3\n", "a;b\n0,1;1\n1;10\n", "a,b\n9007199254740993,3\n3002399751580331,1\n"]
)
def test_exact_numbers(tmp_path, capsys, content):
    path = tmp_path / "points.csv"
    path.write_text(content)  # one line through the origin, which floats make two of, if they hold the numbers
    report = printed(capsys, "enumerate", path, "--exact", "--count", "--json")
    assert report["n_patterns"] == report["bound"] == 2
    assert printed(capsys, "enumerate", path, "--exact", "--bias", "--json")["n_patterns"] == 4
    if "0,1" in content:
        assert printed(capsys, "enumerate", path, "--count", "--json")["n_patterns"] == 4
    else:
        assert "line 2: column 'a' has" in complaint(capsys, "enumerate", path)
    path.write_text("a,b\n1/0,1\n")
    assert "line 2: column 'a' has '1/0', which is not a number" in complaint(capsys, "enumerate", path, "--exact")
