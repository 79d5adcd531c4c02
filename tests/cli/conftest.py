"""Tables that the tests of the command line share."""

import csv

import numpy as np
import pytest


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


@pytest.fixture
def points(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 2))
    table = np.column_stack([X, np.abs(X[:, 0])])
    np.savetxt(tmp_path / "points.csv", table, delimiter=",", header="a,b,y", comments="", fmt="%.17g")
    np.save(tmp_path / "points.npy", table)
    np.savez(tmp_path / "points.npz", X=X, y=table[:, 2], kind=np.where(table[:, 2] > 1, "far", "near"))
    return tmp_path
