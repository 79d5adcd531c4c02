import pickle
import warnings

import cvxrelu
import numpy as np
import pytest
from cvxrelu import GatedReLURegressor, NTKClassifierCV, NTKRegressorCV, tabular_pipeline

pd = pytest.importorskip("pandas")


def houses(n=200, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "city": rng.choice(["Bonn", "Essen", "Köln"], n),
            "size": rng.uniform(40, 220, n),
            "built": pd.Timestamp("1950-01-01") + pd.to_timedelta(rng.integers(0, 25000, n), unit="D"),
            "garden": rng.random(n) < 0.4,
        }
    )
    age = (pd.Timestamp("2020-01-01") - table["built"]).dt.days / 365
    price = 2.5 * table["size"] + 90 * (table["city"] == "Köln") - age + 30 * table["garden"]
    return table, price.to_numpy() + rng.normal(0, 5, n)


@pytest.mark.parametrize("estimator", [NTKRegressorCV(), GatedReLURegressor(n_gates=100, random_state=0)])
def test_a_table_goes_in_as_it_is(estimator):
    table, price = houses()
    model = tabular_pipeline(estimator).fit(table[:150], price[:150])
    assert model.score(table[150:], price[150:]) > 0.95
    assert (pickle.loads(pickle.dumps(model)).predict(table) == model.predict(table)).all()


def test_labels_and_averages():
    table, price = houses()
    model = tabular_pipeline(NTKClassifierCV()).fit(table, price > 400)
    assert model.score(table, price > 400) > 0.9
    members = [("kernel", tabular_pipeline(NTKRegressorCV())), ("sizes", tabular_pipeline(NTKRegressorCV(kind="relu")))]
    average = cvxrelu.ExponentialWeightsRegressor(members).fit(table, price)
    assert average.score(table, price) > 0.95
    assert average.feature_names_in_.tolist() == list(table.columns)


@pytest.mark.parametrize("text", [object, "category", "string"])
def test_missing_cells_and_new_levels(text):
    table, price = houses()
    table = table.astype({"city": text, "garden": "boolean", "size": "Float64"})
    gaps = table.copy()
    for k, name in enumerate(gaps.columns):
        gaps.loc[k::7, name] = None
    model = tabular_pipeline(NTKRegressorCV()).fit(gaps[:150], price[:150])
    assert model.score(gaps[150:], price[150:]) > 0.6
    new = table[:3].astype({"city": object}).assign(city=["Trier", None, "Bonn"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn tells of the new level
        assert np.isfinite(model.predict(new)).all()


def test_where_cells_were_missing_is_a_feature():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": np.where(rng.random(100) < 0.5, np.nan, rng.standard_normal(100))})
    missing = table["x"].isna().to_numpy()
    assert tabular_pipeline(NTKClassifierCV()).fit(table, missing).score(table, missing) == 1.0


def test_columns_without_information():
    table, price = houses()
    table = table.assign(nothing=np.nan, same="x", number=3.0, names=[f"name {k}" for k in range(len(table))])
    model = tabular_pipeline(NTKRegressorCV(), max_categories=10).fit(table[:150], price[:150])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn tells of the new level
        assert model.score(table[150:], price[150:]) > 0.9
    assert model[:-1].transform(table[:1]).shape[1] <= 4 + 3 + 2 + 2 + 1 + 1 + 1 + 10


def test_dates_with_time_zones_are_days():
    table, price = houses()
    zoned = table.assign(built=table["built"].dt.tz_localize("Europe/Berlin"))
    one, other = (tabular_pipeline(NTKRegressorCV()).fit(each, price) for each in (table, zoned))
    np.testing.assert_allclose(one.predict(table), other.predict(zoned), rtol=1e-3)


def test_bad_arguments():
    with pytest.raises(ValueError, match="max_categories must be at least 2"):
        tabular_pipeline(NTKRegressorCV(), max_categories=1)
    with pytest.raises(ValueError, match="pandas"):
        tabular_pipeline(NTKRegressorCV()).fit(np.eye(5), np.arange(5.0))


def test_rows_of_a_table_without_weight_have_no_say():
    table, price = houses(60)
    kept = np.arange(60) % 4 > 0
    members = [("kernel", tabular_pipeline(NTKRegressorCV())), ("sizes", tabular_pipeline(NTKRegressorCV(kind="relu")))]
    weighted = cvxrelu.ExponentialWeightsRegressor(members).fit(table, price, sample_weight=kept.astype(float))
    alone = cvxrelu.ExponentialWeightsRegressor(members).fit(table[kept], price[kept])
    np.testing.assert_allclose(weighted.losses_, alone.losses_, rtol=0.2)  # levels and medians count rows
