"""The estimators and the transformer made known to skl2onnx."""

from __future__ import annotations

from .. import estimators


def register_onnx_converters() -> None:
    """Make the estimators known to skl2onnx, so that pipelines and searches with one inside are exported as a whole.

    Afterwards ``skl2onnx.to_onnx(pipeline, X[:1])`` takes them, for float32 and float64 samples and opsets from 13 on.
    A regressor has the output ``variable`` of shape (n_samples, n_outputs). A classifier has ``label``, then
    ``probabilities`` where it has ``predict_proba``, then ``scores``, which are those of ``decision_function``: arrays,
    whatever the option ``zipmap`` says. With the option ``raw_scores`` it has ``label`` and a score for each class;
    those of two classes have opposite signs.

    Raises
    ------
    ImportError
        Without skl2onnx.

    Notes
    -----
    As in ``predict``, all is computed in float64, and returned in the type of the samples. ONNX decides a gate by its
    rounded product, ``predict`` exactly: on a sample that lies on the border of a gate, or within rounding of it, they
    may differ by what the gate switches. In a ReLU network that is nothing, but a gated one jumps there. A scaler
    before it moves samples by its own rounding, which in float32 is 1e-7 of a standard deviation. ``MKL...`` with
    ``at="refined"`` has gates that depend on the samples, and cannot be exported. ``ExponentialWeights...`` is, with
    every member that has a weight, where skl2onnx knows the member and all steps before it.

    Examples
    --------
    >>> from cvxrelu import register_onnx_converters
    >>> register_onnx_converters()  # doctest: +SKIP
    """
    try:
        from .onnx_converter import register
    except ImportError as error:
        raise ImportError("register_onnx_converters needs skl2onnx: pip install 'cvxrelu[export]'") from error

    for name in estimators.__all__:
        register(getattr(estimators, name))
