"""Does the optimal mixture of masking kernels predict better than the neural tangent kernel?

    python -m bench.paper uci --data DIRECTORY [--quick] [--out DIRECTORY] [--largest N]

DIRECTORY holds a table NAME.csv for each binary set (features, and a last column `label`), MANIFEST.csv, whose column
`notes` marks the sets of the experiment, and splits/NAME_tune.dat (indices for training, then for validation) and
splits/NAME_kfold.dat (four pairs of training and test). These are the splits of Fernandez-Delgado et al. (Do we need
hundreds of classifiers, 2014) that Arora et al. (Harnessing the power of infinitely wide deep nets on small-data tasks,
2020) and Dwaraknath et al. (Fixing the NTK, 2023) used.

Settings are chosen on the first split, by square loss for the kernels and networks and by accuracy for the rest, and
the accuracies of the four folds are averaged. "auto" takes on each set the kernel of the least validation loss.
Differences from the tuned NTK are paired by fold; two standard errors are printed, over the sets (would it hold on
other sets?) and over the folds of these sets (would it hold on other splits?).

Sets are done in the order of their sizes. With --out every result is kept in DIRECTORY/accuracies.csv as soon as it is
there, and a later call goes on from it: with the models and sets that are missing.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np

from bench.paper.models import AUTO, models

MARK = "INFERRED PAPER-33"
FEW = 30  # in smaller sets a fold has two or four samples to test: a table without them is printed beside that of all
QUICK = ("acute-nephritis", "fertility", "haberman-survival", "hepatitis")


def read_set(folder, name):
    """Features, labels of -1 and 1, the split for tuning and the folds."""
    with (folder / f"{name}.csv").open() as file:
        rows = np.array(list(csv.reader(file))[1:], dtype=float)
    X, labels = rows[:, :-1], rows[:, -1]
    y = np.where(labels == labels.max(), 1.0, -1.0)
    lines = {}
    for kind in ("tune", "kfold"):
        text = (folder / "splits" / f"{name}_{kind}.dat").read_text().splitlines()
        lines[kind] = [np.array(line.split(), dtype=int) for line in text if line.strip()]
    return X, y, lines["tune"][:2], list(zip(lines["kfold"][::2], lines["kfold"][1::2], strict=True))


def accuracy(values, y):
    """Share of right signs."""
    return float(((values > 0) == (y > 0)).mean())


def tune(model, X, y, split, seed):
    """The best candidate on the validation samples, and its square loss there."""
    train, test = split
    values = model.values(X[train], y[train], X[test], model.candidates, seed)
    losses = ((values - y[test]) ** 2).mean(axis=1)
    criterion = losses if model.by_loss else np.array([-accuracy(row, y[test]) for row in values])
    best = int(criterion.argmin())
    return model.candidates[best], float(losses[best])


def run_model(data, label, model, seed):
    """Rows of results for a set that was read, one for each fold."""
    X, y, split, folds = data
    candidate, loss = tune(model, X, y, split, seed)
    rows = []
    for k, (train, test) in enumerate(folds):
        values = model.values(X[train], y[train], X[test], (candidate,), seed + k + 1)[0]
        rows.append(
            {"model": label, "fold": k, "accuracy": accuracy(values, y[test]), "loss": loss, "setting": str(candidate)}
        )
    return rows


class Results:
    """Rows of results, kept in a file if there is one; rows are found again by set, model, gates and seed."""

    fields = ("set", "model", "fold", "accuracy", "loss", "setting", "gates", "seed")

    def __init__(self, path, gates, seed):
        self.path, self.key, self.rows = path, {"gates": gates, "seed": seed}, {}
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(",".join(self.fields) + "\n")
        with path.open() as file:
            for row in csv.DictReader(file):
                row |= {"fold": int(row["fold"]), "accuracy": float(row["accuracy"]), "loss": float(row["loss"])}
                if all(row[name] == str(value) for name, value in self.key.items()):
                    self.rows.setdefault((row["set"], row["model"]), []).append(row)

    def add(self, name, label, rows):
        """Keep the rows of a set and a model."""
        rows = [{"set": name, **row, **self.key} for row in rows]
        self.rows[name, label] = rows
        if self.path is not None:
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, self.fields).writerows(rows)

    def run(self, folder, name, chosen, seed):
        """Do what is missing of a set."""
        data = read_set(folder, name)
        print(f"{name} (n = {data[0].shape[0]}, d = {data[0].shape[1]})", flush=True)
        for label, model in chosen.items():
            if (name, label) in self.rows:
                continue
            start = time.process_time()
            self.add(name, label, run_model(data, label, model, seed))
            mean = np.mean([row["accuracy"] for row in self.rows[name, label]])
            print(f"  {label:<20}{mean:8.4f}  {time.process_time() - start:7.1f} s", flush=True)

    def table(self, names, labels):
        """Rows of these sets and models, with those of "auto": the model of the least validation loss on each set."""
        rows = []
        for name in names:
            for label in labels:
                rows += self.rows[name, label]
            best = min((label for label in AUTO if label in labels), key=lambda k: self.rows[name, k][0]["loss"])
            rows += [{**row, "model": "auto", "setting": best} for row in self.rows[name, best]]
        return rows


def ranks(table):
    """Mean rank of every column over the rows, 1 for the largest; ties share."""
    better = (table[:, None, :] > table[:, :, None]).sum(axis=2)
    equal = (table[:, None, :] == table[:, :, None]).sum(axis=2) - 1
    return (1 + better + equal / 2).mean(axis=0)


def summarise(rows, reference="ntk"):
    """Lines of the summary table, with the paired differences from the reference."""
    labels = list(dict.fromkeys(row["model"] for row in rows))
    sets = list(dict.fromkeys(row["set"] for row in rows))
    folds = 1 + max(row["fold"] for row in rows)
    table = np.full((len(sets), len(labels), folds), np.nan)
    for row in rows:
        table[sets.index(row["set"]), labels.index(row["model"]), row["fold"]] = row["accuracy"]
    means = table.mean(axis=2)
    difference = table - table[:, [labels.index(reference)]]
    per_set = difference.mean(axis=2)
    count = max(len(sets), 1)
    over_sets = per_set.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.full(len(labels), np.nan)
    over_folds = np.sqrt((difference.var(axis=2, ddof=1) / folds).sum(axis=0)) / count
    order = ranks(means)
    return [
        {
            "model": label,
            "accuracy": means[:, j].mean(),
            "difference": per_set[:, j].mean(),
            "se_sets": over_sets[j],
            "se_folds": over_folds[j],
            "wins": int((per_set[:, j] > 1e-12).sum()),
            "ties": int((np.abs(per_set[:, j]) <= 1e-12).sum()),
            "losses": int((per_set[:, j] < -1e-12).sum()),
            "rank": order[j],
        }
        for j, label in enumerate(labels)
    ]


def show(summary, title):
    """Print the table."""
    print(f"\n{title}; differences from the tuned NTK in points of accuracy")
    print(f"{'model':<20}{'accuracy':>9}{'diff':>8}{'se sets':>9}{'se folds':>9}{'win/tie/loss':>14}{'rank':>7}")
    for row in sorted(summary, key=lambda row: -row["accuracy"]):
        record = f"{row['wins']}/{row['ties']}/{row['losses']}"
        print(
            f"{row['model']:<20}{100 * row['accuracy']:>9.2f}{100 * row['difference']:>+8.2f}"
            f"{100 * row['se_sets']:>9.2f}{100 * row['se_folds']:>9.2f}{record:>14}{row['rank']:>7.2f}"
        )


def draw(summary, path):
    """Mean paired differences with both standard errors."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in summary if row["model"] != "ntk"][::-1]
    figure, axes = plt.subplots(figsize=(7, 0.35 * len(rows) + 1.2), layout="constrained")
    height = np.arange(len(rows))
    centre = [100 * row["difference"] for row in rows]
    axes.errorbar(
        centre, height, xerr=[100 * row["se_sets"] for row in rows], fmt="none", color="0.7", lw=5, label="sets"
    )
    axes.errorbar(
        centre, height, xerr=[100 * row["se_folds"] for row in rows], fmt="o", color="C0", lw=2, label="folds"
    )
    axes.axvline(0, color="0.3", lw=0.8)
    axes.set_yticks(height, [row["model"] for row in rows])
    axes.set_xlabel("accuracy above the tuned NTK, in points (mean over sets, one standard error)")
    figure.legend(title="error over", loc="outside right upper", frameon=False)
    figure.savefig(path)
    plt.close(figure)


def main(argv=None):
    """Run the experiment."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.paper uci", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="directory of the sets")
    parser.add_argument("--out", type=Path, help="directory for accuracies.csv, summary.csv and differences.svg")
    parser.add_argument("--sets", nargs="+", help="names; by default those that the manifest marks")
    parser.add_argument("--models", nargs="+", help="names of models beside ntk; by default all")
    parser.add_argument("--gates", type=int, default=500, help="gates that are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--largest", type=int, help="leave out sets of more samples, and say so")
    parser.add_argument("--quick", action="store_true", help="four small sets and 100 gates")
    options = parser.parse_args(argv)
    with (options.data / "MANIFEST.csv").open() as file:
        sizes = {row["name"]: int(row["n"]) for row in csv.DictReader(file) if options.sets or MARK in row["notes"]}
    names = sorted(options.sets or (QUICK if options.quick else sizes), key=sizes.get)
    marked = len(names)
    if options.largest:
        names = [name for name in names if sizes[name] <= options.largest]
    gates = 100 if options.quick else options.gates
    available = models(gates)
    chosen = {label: model for label, model in available.items() if label in {"ntk", *(options.models or available)}}
    results = Results(options.out and options.out / "accuracies.csv", gates, options.seed)
    for name in names:
        results.run(options.data, name, chosen, options.seed)

    bound = f" of {marked}, those of at most {options.largest} samples" if options.largest else ""
    summary = summarise(results.table(names, chosen))
    show(summary, f"{len(names)} sets{bound}")
    enough = [name for name in names if sizes[name] >= FEW]
    if len(enough) < len(names):
        show(summarise(results.table(enough, chosen)), f"{len(enough)} sets without those of less than {FEW} samples")
    if options.out:
        with (options.out / "summary.csv").open("w", newline="") as target:
            writer = csv.DictWriter(target, fieldnames=summary[0].keys())
            writer.writeheader()
            writer.writerows(summary)
        draw(summary, options.out / "differences.svg")
