"""What the tests of the command line share."""

import json

from cvxrelu.cli import main
from cvxrelu.cli._cells import Wanted
from cvxrelu.cli._tables import read_table

FAST = ["--gates", "60", "--threads", "1"]


def column(path, name, kind="number"):
    return read_table(path).read({name: Wanted(kind)})[1][name]


def complaint(capsys, *arguments, lines=1):
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cvxrelu: ") and captured.err[:-1].count("\n") == lines - 1
    return captured.err[9:-1]


def printed(capsys, *arguments, status=0):
    assert main([str(argument) for argument in arguments]) == status
    return json.loads(capsys.readouterr().out)
