"""Two-layer networks as plain arrays: what every solver's solution turns into."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.archives import read_archive, write_archive
from ..base.arrays import FloatArray, append_ones, as_design, as_real, as_scalar, as_targets, as_threads, result_dtype
from ..base.bits import unpack_patterns
from ..base.native import core
from ..base.scaling import predictions_in
from ..rows.predict import predict_rows
from ..rows.rows import is_rows
from .blocks import layers_of_blocks
from .explanation import Explanation, explain
from .export import Layers, layers, to_onnx, to_sklearn, to_torch
from .pruning import joined_everywhere, pruned_on

_FORMAT = "cvxrelu.network"

_VERSION = 2  # 2 has output_bias and skip; networks without them are written as 1, which older releases read

_OPTIONAL = ("gates", "output_bias", "skip")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A two-layer network with m hidden neurons, d inputs and one or c outputs.

    A ReLU network when `gates` is None, f(x) = sum_j (x . w1_j)_+ w2_j, and otherwise a gated ReLU network,
    f(x) = sum_j 1[x . g_j >= 0] (x . w1_j) w2_j; plus ``z . skip + output_bias`` where it has them, z the sample
    without the ones column. These two carry no weight decay, as the unpenalised columns of :func:`solve_gated`.

    Attributes
    ----------
    W1 : ndarray of shape (m, d)
        First layer, one row for each neuron.
    w2 : ndarray of shape (m,) or (m, c)
        Second layer.
    gates : ndarray of shape (m, d) or None
        Gate of each neuron; None for a ReLU network.
    bias : bool
        Whether x is the sample followed by a one, so that `predict` takes d - 1 features and the last column of
        `W1` and `gates` holds biases.
    output_bias : ndarray of shape () or (c,), or None
        What is added to every output.
    skip : ndarray of shape (n_features,) or (n_features, c), or None
        Weights that lead from the features straight to the outputs.
    """

    W1: FloatArray
    w2: FloatArray
    gates: FloatArray | None = None
    bias: bool = False
    output_bias: FloatArray | None = None
    skip: FloatArray | None = None

    def __post_init__(self) -> None:
        W1 = _as_layer(self.W1, "W1", ndims=(2,))
        w2 = _as_layer(self.w2, "w2", ndims=(1, 2))
        if w2.shape[0] != W1.shape[0]:
            raise ValueError(f"W1 has {W1.shape[0]} neurons, but w2 has {w2.shape[0]}")
        if W1.shape[1] <= int(self.bias):
            raise ValueError(f"W1 of shape {W1.shape} has no inputs{' beside the bias' if self.bias else ''}")
        gates = None if self.gates is None else _as_layer(self.gates, "gates", ndims=(2,))
        if gates is not None and gates.shape != W1.shape:
            raise ValueError(f"gates must have the shape of W1, {W1.shape}, not {gates.shape}")
        for name, array in (("W1", W1), ("w2", w2), ("gates", gates)):
            object.__setattr__(self, name, array)
        object.__setattr__(self, "bias", bool(self.bias))
        for name, shape in (("output_bias", w2.shape[1:]), ("skip", (self.n_features, *w2.shape[1:]))):
            value = getattr(self, name)
            array = None if value is None else _as_layer(value, name, ndims=(len(shape),))
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} must have shape {shape} beside w2 of shape {w2.shape}, not {array.shape}")
            object.__setattr__(self, name, array)

    @property
    def n_neurons(self) -> int:
        """Hidden neurons m."""
        return int(self.W1.shape[0])

    @property
    def n_features(self) -> int:
        """Features of the samples that `predict` takes: d, without the ones column where there is a bias."""
        return int(self.W1.shape[1]) - int(self.bias)

    def __repr__(self) -> str:
        kind = "ReLU" if self.gates is None else "gated ReLU"
        outputs = "" if self.w2.ndim == 1 else f", {self.w2.shape[1]} outputs"
        added = " + skip" * (self.skip is not None) + " + output bias" * (self.output_bias is not None)
        inputs = f"{self.n_features} features{' + bias' * self.bias}"
        return f"Network({self.n_neurons} {kind} neurons{added}, {inputs}{outputs})"

    def predict(self, Z: npt.ArrayLike, *, n_threads: int | None = None) -> npt.NDArray[np.floating]:
        """Evaluate the network.

        Parameters
        ----------
        Z : array_like of shape (n_samples, n_features)
            Samples, without the ones column where the network has a bias.
        n_threads : int, optional
            Threads, by default what OpenMP would take; they do not change the bits.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Computed in float64 and returned in float32 where `Z` is float32. Gates are decided exactly, as in
            training.

        Raises
        ------
        ValueError
            If `Z` has another number of features, or entries that are not finite, and for predictions that its type
            does not hold.
        """
        if is_rows(Z):
            return predict_rows(Z, self)
        dtype = result_dtype(Z)
        Z = as_design(Z, "Z", self.n_features)
        gates = self.W1[:0] if self.gates is None else self.gates
        w2 = self.w2 if self.w2.ndim == 2 else self.w2[:, None]
        output = core.evaluate_network(Z, self.W1, gates, w2, self.bias, as_threads(n_threads))
        output = output.reshape(Z.shape[0], *self.w2.shape[1:])
        if self.skip is not None:
            output += Z @ self.skip
        if self.output_bias is not None:
            output += self.output_bias
        return predictions_in(output, dtype)

    def _active(self, Z: FloatArray, threads: int) -> npt.NDArray[np.bool_]:
        """Return which neurons are active at samples, with their ones, (n_samples, n_neurons); decided exactly."""
        if not self.n_neurons:
            return np.zeros((Z.shape[0], 0), dtype=bool)
        words, _ = core.pack_patterns(Z, self.W1 if self.gates is None else self.gates, threads)
        return unpack_patterns(words, Z.shape[0])

    def explain(self, x: npt.ArrayLike, *, n_threads: int | None = None) -> Explanation:
        """Return the linear map that the network is around a point, exactly.

        Parameters
        ----------
        x : array_like of shape (n_features,) or (m, n_features)
            A point, or several.
        n_threads : int, optional
            Threads; by default what OpenMP would take.

        Returns
        -------
        Explanation
            Active neurons, slopes and contributions of the features, intercept, and how far the map holds.

        Raises
        ------
        ValueError
            For another number of features, or entries that are not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from cvxrelu import Network
        >>> network = Network(np.array([[1.0, 0.0], [0.0, -1.0]]), np.array([2.0, 3.0]), output_bias=0.5)
        >>> found = network.explain([1.0, 4.0])
        >>> found.contributions.tolist(), found.intercept.tolist(), network.predict([[1.0, 4.0]]).tolist()
        ([2.0, 0.0], 0.5, [2.5])
        """
        given = as_real(x, "x")
        X = as_design(np.atleast_2d(given), "x", self.n_features)
        found = explain(self, X, self._active(append_ones(X) if self.bias else X, as_threads(n_threads)))
        if given.ndim == 2:
            return found
        return Explanation(**{field.name: getattr(found, field.name)[0] for field in dataclasses.fields(found)})

    def prune(self, X: npt.ArrayLike | None = None, *, n_threads: int | None = None) -> Network:
        """Return a network with fewer neurons that predicts the same, with no more weight decay.

        Neurons of a ReLU network whose weights are positive multiples of each other become one, as do the neurons
        behind equal half-spaces of a gated network (with c outputs up to c); those without effect go. That changes no
        prediction at any point beyond rounding, and is the least width unless weights come in opposite pairs.

        With samples it changes no prediction on these, and others as it may. Neurons that are active on the same
        samples become one, and then neurons go for whose outputs a combination of others makes up, while that does not
        raise the weight decay: at most as many are left as there are samples times outputs, as many as an optimum needs
        (Pilanci and Ergen, 2020).

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features), optional
            Samples.
        n_threads : int, optional
            Threads; by default what OpenMP would take.

        Returns
        -------
        Network

        Examples
        --------
        >>> import numpy as np
        >>> from cvxrelu import Network
        >>> Network(np.array([[1.0, 2.0], [2.0, 4.0], [0.0, 1.0]]), np.array([1.0, 0.5, 0.0])).prune()
        Network(1 ReLU neurons, 2 features)
        """
        columns = self.w2 if self.w2.ndim == 2 else self.w2[:, None]
        layers = joined_everywhere((self.W1, columns, self.gates), self.bias)
        if X is not None:
            design = as_design(X, "X", self.n_features)
            layers = pruned_on(layers, append_ones(design) if self.bias else design, as_threads(n_threads))
        W1, w2, gates = layers
        w2 = w2.reshape(W1.shape[0], *self.w2.shape[1:])
        return dataclasses.replace(self, W1=W1, w2=w2, gates=gates)

    def _layers(self) -> Layers:
        return layers(self)

    def objective(self, X: npt.ArrayLike, y: npt.ArrayLike, beta: float) -> float:
        """Return the training objective with weight decay.

        It is ``1/2 ||f(X) - y||^2 + beta/2 sum_j (||w1_j||^2 + ||w2_j||^2)``: no 1/n on the loss, a half on both
        weight-decay terms, and none on output bias and skip. For one output its minimum over networks on given gates
        is the optimum of the group lasso with the same `beta` (Mishkin, Sahiner and Pilanci, 2022); over all ReLU
        networks that are wide enough, that of the cone-constrained program (Pilanci and Ergen, 2020).

        Parameters
        ----------
        X : array_like of shape (n_samples, n_features)
            Samples, without the ones column where the network has a bias.
        y : array_like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        beta : float
            Penalty, at least 0.

        Returns
        -------
        float
            The objective, in float64 whatever the input.
        """
        X = as_design(X, "X", self.n_features)
        y = as_targets(y, X.shape[0])
        beta = as_scalar(beta, "beta")
        if y.shape[1:] != self.w2.shape[1:]:
            raise ValueError(f"y of shape {y.shape} does not fit a network with w2 of shape {self.w2.shape}")
        loss = 0.5 * float(np.sum((self.predict(X) - y) ** 2))
        return loss + 0.5 * beta * float(np.sum(self.W1**2) + np.sum(self.w2**2))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to exactly this path, as a NumPy .npz archive without pickled objects.

        Parameters
        ----------
        path : str or path-like
            Where to; an existing file is replaced.
        """
        arrays = {"W1": self.W1, "w2": self.w2, "bias": np.array(self.bias)}
        optional = {name: getattr(self, name) for name in _OPTIONAL}
        arrays |= {name: array for name, array in optional.items() if array is not None}
        write_archive(path, _FORMAT, _VERSION if {"output_bias", "skip"} & arrays.keys() else 1, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network:
        """Read a network that `save` wrote.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        Network

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is not a network, or from a newer version than this one knows.
        """
        arrays = read_archive(path, _FORMAT, _VERSION, required=("W1", "w2", "bias"))
        try:
            optional = {name: arrays.get(name) for name in _OPTIONAL}
            return cls(arrays["W1"], arrays["w2"], bias=bool(arrays["bias"]), **optional)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{os.fspath(path)} is damaged: {error}") from None

    def to_torch(self) -> Any:
        """Return the network as a PyTorch module in float64.

        Returns
        -------
        torch.nn.Module
            Takes a tensor of shape (n_samples, n_features). Weights are parameters and gates are buffers, so training
            it on keeps the gates. It pickles.

        Notes
        -----
        The module decides a gate by its rounded product, `predict` exactly: they may differ on a sample that lies on
        the border of a gate, or within rounding of it. So do training samples that are rounded to a few digits beside
        enumerated gates, unless they were enumerated with ``decimals=``, which keeps gates off such ties; sampled gates
        are rarely so close. ``explain(X).radius`` tells how near to a border each sample is: the predictions agree
        where it is above some 1e-15, or 1e-6 in float32, of the sample's length.

        Raises
        ------
        ImportError
            Without PyTorch.
        """
        return to_torch(self._layers())

    def to_onnx(self, path: str | os.PathLike[str]) -> None:
        """Write the network to an ONNX file (opset 17) with a float64 input ``X`` and output ``Y``.

        Parameters
        ----------
        path : str or path-like
            Where to.

        Raises
        ------
        ImportError
            Without the package onnx.

        Notes
        -----
        ONNX decides a gate by its rounded product, `predict` exactly; see :meth:`to_torch`.
        """
        to_onnx(self._layers(), path)

    def to_sklearn(self, classes: npt.ArrayLike | None = None) -> Any:
        """Return a ReLU network as a fitted scikit-learn MLP.

        Parameters
        ----------
        classes : array_like of shape (n_classes,), optional
            Sorted labels, for a classifier: two where the network has one output, else one for each of three
            outputs or more.

        Returns
        -------
        MLPRegressor or MLPClassifier
            Its ``predict`` is the network, or the decision of the classifier. What its ``predict_proba`` returns are
            scores of a square loss put through a sigmoid or softmax: no probabilities that were fitted.

        Raises
        ------
        ValueError
            For a gated network or one with a linear skip, which no MLP is (an output bias it holds); for one output in
            a column, which no MLPRegressor predicts; for `classes` that do not fit.
        ImportError
            Without scikit-learn.
        """
        return to_sklearn(self._layers(), classes)


def network_from_blocks(gates: npt.ArrayLike, blocks: npt.ArrayLike, *, bias: bool = False) -> Network:
    """Turn the blocks of a gated program into the network that predicts the same, with balanced layers.

    With one output a block u becomes the neuron ``w1 = u / sqrt(||u||)``, ``w2 = sqrt(||u||)`` behind its gate,
    which costs ``beta/2 (||w1||^2 + w2^2) = beta ||u||``: the objectives of program and network agree.

    With c outputs a block U, d x c, becomes one neuron for each of its singular triples s, l, r:
    ``w1 = sqrt(s) l``, ``w2 = sqrt(s) r``, all behind the gate of the block: no network with the same blocks has
    fewer neurons or less weight decay. Its weight decay is beta times the nuclear norm of U, so at least the
    Frobenius norm that the program penalises: predictions agree, the two objectives do not.

    Parameters
    ----------
    gates : array_like of shape (n_blocks, n_features)
        The gate of each block.
    blocks : array_like of shape (n_blocks, n_features) or (n_blocks, n_features, n_outputs)
        Blocks. Those that are exactly zero give no neuron.
    bias : bool, default False
        Whether the last feature is a ones column that was appended to the samples.

    Returns
    -------
    Network
        A gated network, with at most one neuron for each block and one output, and otherwise at most
        min(n_features, n_outputs) for each block.
    """
    W1, w2, gates = layers_of_blocks(as_real(gates, "gates"), as_real(blocks, "blocks"))
    return Network(W1, w2, gates, bias)


def mean_network(networks: Sequence[Network]) -> Network:
    """Return the union of networks that predicts the mean of their predictions.

    Both layers are divided by the root of their number, so that balanced neurons stay balanced: the weight decay is
    the mean of theirs, and the objective at most the mean of theirs, because the loss is convex.

    Parameters
    ----------
    networks : sequence of Network
        Of the same features and outputs, with gates all or none, without a skip.

    Returns
    -------
    Network
        With the neurons of all, those of the first one first.
    """
    first = networks[0]
    if len(networks) == 1:
        return first
    root = np.sqrt(len(networks))
    gates = [network.gates for network in networks if network.gates is not None]
    offsets = [network.output_bias for network in networks if network.output_bias is not None]
    return dataclasses.replace(
        first,
        W1=np.concatenate([network.W1 for network in networks]) / root,
        w2=np.concatenate([network.w2 for network in networks]) / root,
        gates=np.concatenate(gates) if gates else None,
        output_bias=np.mean(offsets, axis=0) if offsets else None,
    )


def gated_blocks(network: Network) -> FloatArray:
    """Return the blocks ``u_j = w1_j w2_j'`` of a gated network's neurons, one for each row of its gates.

    Neurons that share a pattern on the data may be added up: that never raises the objective of the program.

    Parameters
    ----------
    network : Network
        A gated network.

    Returns
    -------
    ndarray of shape (m, d) or (m, d, c)
        Coefficients of the gated program; :func:`network_from_blocks` is the way back.
    """
    if network.gates is None:
        raise ValueError("network has no gates: it is a ReLU network")
    if network.w2.ndim == 1:
        return network.W1 * network.w2[:, None]
    return network.W1[:, :, None] * network.w2[:, None, :]


def _as_layer(value: Any, name: str, ndims: tuple[int, ...]) -> FloatArray:
    array = np.array(as_real(value, name), order="C")
    if array.ndim not in ndims:
        shapes = " or ".join(("()", "(m,)", "(m, .)")[ndim] for ndim in ndims)
        raise ValueError(f"{name} must have shape {shapes}, not {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has entries that are not finite")
    array.flags.writeable = False
    return array
