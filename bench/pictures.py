"""The pictures of the README and of the site's first page: two figures of the gallery, kept as files.

python -m bench.pictures
"""

import pathlib
import runpy
import warnings

import matplotlib
from matplotlib import pyplot

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICTURES = {"networks": "plot_2_certify_any_network.py", "kernels": "plot_7_fixing_the_ntk.py"}


def main() -> None:
    matplotlib.use("Agg")
    warnings.filterwarnings("ignore", message=".*FigureCanvasAgg is non-interactive")
    for name, example in PICTURES.items():
        pyplot.close("all")
        runpy.run_path(str(ROOT / "examples" / example))
        target = ROOT / "docs" / "_static" / f"{name}.png"
        pyplot.figure(pyplot.get_fignums()[0]).savefig(target, dpi=110, metadata={"Software": None})
        print(target.relative_to(ROOT), target.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
