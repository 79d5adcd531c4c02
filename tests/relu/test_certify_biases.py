"""Certificates of networks with biases: hidden ones are features in the penalty, those of the outputs free."""

import warnings

import cvxrelu
import numpy as np
import pytest
from cvxrelu import Network
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch_like import Linear, ReLU, sequential

BETA = 0.3
rng = np.random.default_rng(0)
X = rng.standard_normal((25, 2))
ONES = np.ones((25, 1))
Y = 3 + np.abs(X[:, 0])


def trained(model, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


def regressor(y=Y):
    return trained(MLPRegressor(hidden_layer_sizes=(6,), solver="lbfgs", alpha=BETA, max_iter=200, random_state=0), y)


def penalty(mlp):
    return 0.5 * BETA * sum(np.sum(array**2) for array in (*mlp.coefs_, mlp.intercepts_[0]))


def test_a_regressor_of_scikit_learn():
    mlp = regressor()
    found = cvxrelu.certify(X, Y, mlp, BETA)
    assert found.upper_bound == pytest.approx(0.5 * np.sum((mlp.predict(X) - Y) ** 2) + penalty(mlp), rel=1e-12)
    best = cvxrelu.train_relu(np.hstack([X, ONES]), Y, BETA, unpenalised=ONES, random_state=0, tol=1e-9)
    assert found.scope == "all patterns" and found.lower_bound <= best.objective * (1 + 1e-9)
    assert cvxrelu.certify(X, Y, mlp, BETA, dual=best.dual).lower_bound == pytest.approx(best.objective, rel=1e-6)
    # Over networks without output biases the optimum is larger: a bound for these would flatter the network above.
    penalised = cvxrelu.train_relu(np.hstack([X, ONES]), Y, BETA, random_state=0)
    assert penalised.dual_objective > 1.5 * best.objective


def test_several_outputs():
    y = np.column_stack([Y, X[:, 1] - 5])
    mlp = regressor(y)
    found = cvxrelu.certify(X, y, mlp, BETA)
    assert found.upper_bound == pytest.approx(0.5 * np.sum((mlp.predict(X) - y) ** 2) + penalty(mlp), rel=1e-12)
    single = [
        cvxrelu.train_relu(np.hstack([X, ONES]), target, BETA, unpenalised=ONES, random_state=0).objective
        for target in y.T
    ]
    assert 0 < found.lower_bound <= sum(single)  # neurons for each output by itself are networks, too


def test_a_classifier_of_scikit_learn():
    labels = np.where(X[:, 0] * X[:, 1] > 0, 1, -1)
    mlp = trained(
        MLPClassifier(hidden_layer_sizes=(6,), solver="lbfgs", alpha=BETA, max_iter=200, random_state=0), labels
    )
    found = cvxrelu.certify(X, labels, mlp, BETA, loss="logistic")
    log_loss = -np.log(mlp.predict_proba(X)[np.arange(25), (labels > 0).astype(int)]).sum()
    assert found.upper_bound == pytest.approx(log_loss + penalty(mlp), rel=1e-10)
    assert (
        found.lower_bound
        <= cvxrelu.train_relu(
            np.hstack([X, ONES]), labels, BETA, loss="logistic", unpenalised=ONES, random_state=0
        ).objective
    )


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("output", [True, False])
def test_modules_of_torch(hidden, output):
    mlp = regressor()
    (W1, w2), (b1, b2) = mlp.coefs_, mlp.intercepts_
    module = sequential(Linear(W1.T, b1 if hidden else None), ReLU(), Linear(w2.T, b2 if output else None))
    found = cvxrelu.certify(X, Y, module, BETA)
    design, first = (np.hstack([X, ONES]), np.column_stack([W1.T, b1])) if hidden else (X, W1.T)
    free = {"unpenalised": ONES, "unpenalised_coef": b2} if output else {}
    expected = cvxrelu.certify(design, Y, (first, w2[:, 0]), BETA, **free)
    assert found.upper_bound == pytest.approx(expected.upper_bound, rel=1e-12)
    assert found.lower_bound == pytest.approx(expected.lower_bound, rel=1e-9)


def test_a_module_of_torch_itself():
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)).double()
    found = cvxrelu.certify(X, Y, module, BETA)
    residual = module(torch.from_numpy(X)).detach().numpy()[:, 0] - Y
    decay = sum(float((p**2).sum()) for p in module.parameters()) - float(module[2].bias ** 2)
    assert found.upper_bound == pytest.approx(0.5 * residual @ residual + 0.5 * BETA * decay, rel=1e-12)


def test_a_skip():
    network = Network(np.eye(2), np.ones(2), output_bias=2.0, skip=np.array([0.5, -0.5]))
    found = cvxrelu.certify(X, Y, network, BETA)
    assert found.upper_bound == pytest.approx(network.objective(X, Y, BETA), rel=1e-12)
    best = cvxrelu.train_relu(X, Y, BETA, unpenalised=np.hstack([X, ONES]), random_state=0, tol=1e-9)
    assert found.lower_bound <= best.objective * (1 + 1e-9)
    with pytest.raises(ValueError, match="warm_start has output_bias, which is not taken here"):
        cvxrelu.train_relu(X, Y, BETA, warm_start=network)


def test_unpenalised_columns_beside_an_output_bias():
    network = Network(np.eye(2), np.ones(2), output_bias=2.0)
    alone = cvxrelu.certify(X, Y, network, BETA)
    for ones in (ONES, "intercept"):
        assert cvxrelu.certify(X, Y, network, BETA, unpenalised=ones).upper_bound == alone.upper_bound
    with pytest.raises(ValueError, match="unpenalised_coef is needed beside the output_bias of the network"):
        cvxrelu.certify(X, Y, network, BETA, unpenalised=X)
    with pytest.raises(ValueError, match="unpenalised has 3 rows, but X has 25 samples"):
        cvxrelu.certify(X, Y, network, BETA, unpenalised=ONES[:3])
    both = cvxrelu.certify(X, Y, network, BETA, unpenalised=X, unpenalised_coef=[0.5, -0.5])
    skip = Network(np.eye(2), np.ones(2), output_bias=2.0, skip=np.array([0.5, -0.5]))
    expected = cvxrelu.certify(X, Y, skip, BETA)
    assert (both.upper_bound, both.lower_bound) == pytest.approx((expected.upper_bound, expected.lower_bound))


@pytest.mark.parametrize("what", ["biases", "loss", "unpenalised"])
def test_rows_in_chunks_are_not_summed_up_for_another_program(what):
    network = regressor() if what == "biases" else (np.eye(2), np.ones(2))
    y, options = Y, {"biases": {}, "loss": {"loss": "huber"}, "unpenalised": {"unpenalised": ONES}}[what]
    found = cvxrelu.certify(cvxrelu.RowChunks([X[:10], X[10:]]), y, network, BETA, tol=0.5, **options)
    expected = cvxrelu.certify(X, y, network, BETA, tol=0.5, **options)
    assert found.upper_bound == pytest.approx(expected.upper_bound, rel=1e-12)
    assert found.lower_bound == pytest.approx(expected.lower_bound, rel=1e-9)


def test_networks_with_other_layers_are_refused():
    deep = trained(MLPRegressor(hidden_layer_sizes=(3, 3), max_iter=2, random_state=0), Y)
    with pytest.raises(ValueError, match="one hidden layer of ReLU neurons, not 2 with activation='relu'"):
        cvxrelu.certify(X, Y, deep, BETA)
    smooth = trained(MLPRegressor(hidden_layer_sizes=(3,), activation="tanh", max_iter=2, random_state=0), Y)
    with pytest.raises(ValueError, match="not 1 with activation='tanh'"):
        cvxrelu.certify(X, Y, smooth, BETA)
    with pytest.raises(TypeError, match="a fitted MLP of scikit-learn, not MLPRegressor"):
        cvxrelu.certify(X, Y, MLPRegressor(), BETA)
