"""What the command line makes of files, good and bad."""

import datetime
import importlib.util
import re
from fractions import Fraction

import cvxrelu
import numpy as np
import pandas
import pytest
from cli.terminal import FAST, column, complaint, printed
from cvxrelu.cli import main
from cvxrelu.cli._cells import BadColumn, Reading, Wanted, read_column
from cvxrelu.cli._tables import read_table
from hypothesis import given
from hypothesis import strategies as st


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
    assert reports[1]["targets"] == ["2"]
    report = printed(capsys, "train", points / "points.npz", "--target", "kind", "--ignore", "y", "--json", *FAST)
    assert report["task"] == "classification"


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


def test_the_same_columns_in_every_kind_of_table(tmp_path):
    size, day, town = [1.5, 2.0, -0.25], ["2024-12-31", "2023-01-02", "2024-02-29"], ["Köln", "Bonn", 'a "b", c']
    quoted = [cell.replace('"', '""') for cell in town]
    rows = list(zip(size, day, quoted, strict=True))
    german = [(str(a).replace(".", ","), ".".join(reversed(b.split("-"))), c) for a, b, c in rows]
    texts = {
        "points.csv": ("utf-8", ",", rows),
        "commas.csv": ("utf-8-sig", ";", german),
        "tabs.tsv": ("utf-16", "\t", german),
    }
    for name, (encoding, sep, cells) in texts.items():
        content = "".join(f'{sep.join(map(str, row[:2]))}{sep}"{row[2]}"\r\n' for row in cells)
        (tmp_path / name).write_text(f"size{sep}day{sep}town\r\n\r\n{content}", encoding=encoding, newline="")
    frame = pandas.DataFrame({"size": size, "day": pandas.to_datetime(day), "town": town})
    if importlib.util.find_spec("openpyxl"):
        frame.to_excel(tmp_path / "table.xlsx", index=False)
    if importlib.util.find_spec("pyarrow"):
        frame.to_parquet(tmp_path / "table.parquet")
    for path in tmp_path.iterdir():
        kinds, values = read_table(path).read(dict.fromkeys(frame, Wanted(None)))
        assert kinds["size"] == "number" and kinds["town"] == "text", path
        np.testing.assert_array_equal(values["size"], size)
        assert values["day"].tolist() == [datetime.date.fromisoformat(text).toordinal() - 719163 for text in day]
        assert values["town"].tolist() == town


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.sampled_from([".", ","]))
def test_numbers_are_those_that_are_written(numbers, mark):
    texts = [repr(number).replace(".", mark) for number in numbers]
    cells = pandas.Series(texts, name="x", index=pandas.Index(range(len(texts)), name="line"))
    kind, values = read_column(cells, Wanted(None), Reading(mark))
    assert kind == "number" and values.tolist() == numbers
    _, exact = read_column(cells, Wanted("exact"), Reading(mark))
    assert exact.tolist() == [Fraction(text.replace(",", ".")) for text in texts]


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["2024-01-02", "2024-01-03 12:00"], [19724, 19725.5]),
        (["2.1.2024", "31.12.2023"], [19724, 19722]),
        (["03.02.2024", ""], [19756, None]),  # never the second of March
        (["1/2/2024", "13/2/2024"], [19754, 19766]),
        (["1/2/2024 6:00", "2/13/2024"], [19724.25, 19766]),
        (["1/2/2024", "2/3/2024"], "which may begin with the day or the month: say --dates dmy or --dates mdy"),
        (["1.2.3", "1.2.4"], None),
        (["2024-02-30", "2024-02-01"], None),
        (["30/30/2024"], None),
        (["May", "June"], None),
    ],
)
def test_dates_are_told_apart(cells, found):
    column = pandas.Series(cells, name="day", index=pandas.Index(range(len(cells)), name="line"))
    if isinstance(found, str):
        with pytest.raises(BadColumn, match=found):
            read_column(column, Wanted(None, gaps=True), Reading())
        assert read_column(column, Wanted(None), Reading(dates="mdy"))[1].tolist() == [19724, 19756]
        return
    kind, values = read_column(column, Wanted(None, gaps=True), Reading())
    assert (kind == "text") == (found is None)
    if found:
        np.testing.assert_array_equal(values, np.array(found, dtype=float))
        # Whatever the order was, a year of four digits may come first in tables that are predicted.
        assert read_column(pandas.Series(["2024-01-02"]), Wanted(kind), Reading())[1] == 19724


def test_all_bad_columns_are_named_at_once(tmp_path, capsys):
    path = tmp_path / "table.csv"
    path.write_text('a,b,c,d,y,w\n\n1,"x\nx",,2024-01-01,1,1\n2,3,1,2024-01-02,2,-2\n3,4,2,no,z,1\n4,5,inf,7,4,0\n')
    command = ("train", path, "--target", "y", "--weight", "w", *FAST)
    assert complaint(capsys, *command, lines=7).splitlines() == [
        f"{path} has 5 columns that cannot be used:",
        "  line 3: column 'b' has 'x\\nx', which is not a number",
        "  line 3: column 'c' is empty",
        "  line 3 and 2 more: column 'd' has '2024-01-01', which is not a number",
        "  line 6: column 'y' has 'z', which is not a number, but others read as numbers: mend the cell, or ask for "
        "--task classification",
        "  line 5: column 'w' has '-2': values must be at least 0",
        "  --encode takes text, dates and missing cells, --ignore b,c,d leaves columns out",
    ]
    said = complaint(capsys, *command, "--encode", lines=7).splitlines()
    assert "mend the cell, or say --text b" in said[1] and "'inf': values must be finite" in said[2]
    assert said[3].startswith("  line 3 and 2 more: column 'd' has '2024-01-01', which is not a number, but others")


def test_spreadsheet_habits(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes('\ufeffx\t y \t\t\r\n1\t2\t\t\r\n\r\n" 3"\t4\t\t \r\n'.encode())
    table = read_table(path)
    assert table.names == ("x", "y") and table.frame.index.tolist() == [2, 4]
    assert [values.tolist() for values in table.read({"y": Wanted(), "x": Wanted()})[1].values()] == [[2, 4], [1, 3]]
    with pytest.raises(ValueError, match="has no column 'z', 'w'; its columns are x, y"):
        table.require(["z", "x", "w"])


def test_the_decimal_mark_may_be_told(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("x;version;y\n1,5;1.2;1,500\n")
    _, values = read_table(path, ",").read({"x": Wanted(), "y": Wanted(), "version": Wanted("text")})
    assert (values["x"], values["y"]) == (1.5, 1.5)
    with pytest.raises(ValueError, match=r"'1\.2': the numbers of this table have a decimal comma, unless you say"):
        read_table(path, ",").read({"version": Wanted()})
    path.write_text('x,y\n"1,5",2\n')
    assert read_table(path, ",").read({"x": Wanted()})[1]["x"] == 1.5


def test_ids_of_parquet_stay_exact_beside_gaps(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    path = tmp_path / "table.parquet"
    pandas.DataFrame({"id": pandas.array([None, 10**18, 10**18 + 1], dtype="Int64"), "y": [1, 2, 3]}).to_parquet(path)
    said = complaint(capsys, "train", path, "--target", "y", "--encode", *FAST)
    assert "row 2: column 'id' has '1000000000000000001', an integer that float64 rounds" in said


def test_many_levels_codes_and_levels_never_seen(tmp_path, capsys):
    path, model = tmp_path / "table.csv", tmp_path / "model.skops"
    lines = [f"{k % 60},{'rare' if k == 7 else f't{k % 70}'},1,{k % 60 % 2}" for k in range(280)]
    path.write_text("\n".join(["code,town,constant,y", *lines]))
    options = ("--target", "y", "--encode", "--text", "code", "--test-size", "0", "--out", model, "--json", *FAST)
    assert printed(capsys, "train", path, *options)["n_features"] == 50 + 50 + 1
    path.write_text("code,town,constant\n3,t3,1\n77,never,1\n,,\n")
    assert np.isfinite(printed(capsys, "predict", model, path, "--json")["predictions"]).all()
