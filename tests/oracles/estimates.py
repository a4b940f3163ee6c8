"""Quantities that packages of statistics compute as well: isotropy, dimension, regression in context, regression of norms."""

from dataclasses import replace

import numpy as np

from analysis_lib import geometry, norms, statistics
from analysis_lib.incontext import estimators
from analysis_lib.norms import ORIGINAL, Specification
from tests.oracles import inputs
from tests.oracles.quantity import Quantity

TEXT_LEVELS = replace(Specification(), position_effects=False, correct_bias=False)


# Geometry


def isotropy():
    return {name: geometry.iso_score(points[None]) for name, points in inputs.clouds().items()}


def isotropy_of_isoscore():
    from IsoScore.IsoScore import IsoScore

    return {name: np.array([float(IsoScore(points))]) for name, points in inputs.clouds().items()}


def mean_cosines():
    """One vector a text, so that the mean is over all pairs of vectors."""
    return {
        name: geometry.anisotropy(points[None], np.arange(len(points)), n_resamples=1).estimate for name, points in inputs.clouds().items()
    }


def mean_cosines_of_sklearn():
    from sklearn.metrics.pairwise import cosine_similarity

    found = {}
    for name, points in inputs.clouds().items():
        cosines = cosine_similarity(points)
        found[name] = cosines[~np.eye(len(points), dtype=bool)].mean(keepdims=True)
    return found


def explained():
    found = {}
    for name, points in inputs.clouds().items():
        words, texts = np.repeat(np.arange(len(points) // 20), 20), np.tile(np.arange(20), len(points) // 20)
        measured = geometry.max_explainable_variance(points[None, : len(words)], words, texts, n_permutations=1)
        found[name] = measured.raw[0]
    return found


def explained_of_sklearn():
    from sklearn.decomposition import TruncatedSVD

    found = {}
    for name, points in inputs.clouds().items():
        sets = [points[20 * i : 20 * i + 20] for i in range(len(points) // 20)]
        first = [TruncatedSVD(1, algorithm="arpack", random_state=0).fit(x).singular_values_[0] for x in sets]
        found[name] = np.array([s**2 / (x**2).sum() for s, x in zip(first, sets, strict=True)])
    return found


def _dimension(estimator):
    clouds = {name: (points[None], np.arange(len(points))) for name, points in inputs.manifolds().items()}
    return {name: geometry.intrinsic_dimension(*cloud, n_resamples=2)[estimator].estimate for name, cloud in clouds.items()}


def dimension():
    return _dimension("TwoNN")


def dimension_of_skdim():
    import skdim

    return {name: np.array([skdim.id.TwoNN(discard_fraction=0.1).fit(x).dimension_]) for name, x in inputs.manifolds().items()}


def maximum_likelihood():
    return _dimension("maximum likelihood")


def maximum_likelihood_of_skdim():
    import skdim

    return {name: np.array([skdim.id.MLE().fit(x).dimension_]) for name, x in inputs.manifolds().items()}


# Regression in context


def ridge():
    return {"penalty 0.5": estimators.ridge(*inputs.regression_prompts(), 0.5)[:, 1:]}


def ridge_of_sklearn():
    from sklearn.linear_model import Ridge

    return {"penalty 0.5": _from_those_before(Ridge(alpha=0.5, fit_intercept=False), 1)}


def least_squares():
    return {"from 3 points on": estimators.least_squares(*inputs.regression_prompts())[:, 3:]}


def least_squares_of_sklearn():
    from sklearn.linear_model import LinearRegression

    return {"from 3 points on": _from_those_before(LinearRegression(fit_intercept=False), 3)}


def neighbours():
    return {"3 neighbours": estimators.nearest_neighbours(*inputs.regression_prompts())[:, 3:]}


def neighbours_of_sklearn():
    from sklearn.neighbors import KNeighborsRegressor

    return {"3 neighbours": _from_those_before(KNeighborsRegressor(3), 3)}


def _from_those_before(model, first):
    """Predictions [prompt, point - first], each from a fit of the points before it."""
    xs, ys = inputs.regression_prompts()
    found = np.zeros_like(ys)
    for prompt in range(len(xs)):
        for i in range(first, ys.shape[1]):
            found[prompt, i] = model.fit(xs[prompt, :i], ys[prompt, :i]).predict(xs[prompt, i : i + 1])[0]
    return found[:, first:]


# Norms


def _lagged(y):
    return y[3:], np.c_[np.ones(len(y) - 3), y[2:-1], y[1:-2]]


def original_fit():
    table = norms.lagged_regression(*inputs.one_text(), ORIGINAL)
    return {name: table[name].to_numpy() for name in ("estimate", "se", "p", "low", "high", "p_breusch_godfrey")}


def original_fit_of_statsmodels():
    import statsmodels.api as sm
    from statsmodels.stats.diagnostic import acorr_breusch_godfrey

    fit = sm.OLS(*_lagged(np.log(inputs.one_text()[0][0]))).fit()
    low, high = fit.conf_int()[1:].T
    godfrey = np.full(2, acorr_breusch_godfrey(fit, nlags=4, result_object=True)[1])
    return {"estimate": fit.params[1:], "se": fit.bse[1:], "p": fit.pvalues[1:], "low": low, "high": high, "p_breusch_godfrey": godfrey}


def newey_west():
    return {"one text": norms.lagged_regression(*inputs.one_text(), replace(ORIGINAL, errors="hac"))["se"].to_numpy()}


def newey_west_of_statsmodels():
    import statsmodels.api as sm

    y, x = _lagged(np.log(inputs.one_text()[0][0]))
    return {"one text": sm.OLS(y, x).fit(cov_type="HAC", cov_kwds={"maxlags": 3, "use_correction": True}).bse[1:]}


def clustered():
    table = norms.lagged_regression(*inputs.many_texts(), TEXT_LEVELS)
    return {"t": (table["estimate"] / table["se"]).to_numpy()}


def _with_dummies():
    """Outcomes, the two lags beside a dummy for each text, and the texts, of the rows that the library uses."""
    values, tokens = inputs.many_texts()
    data = tokens.assign(y=np.log(values[0]))
    for lag in (1, 2):
        data[f"y{lag}"] = data.groupby("text")["y"].shift(lag)
    data = data[data["position"] >= TEXT_LEVELS.first].dropna(subset=["y1", "y2"]).reset_index(drop=True)
    texts = data["text"].to_numpy()
    return data["y"].to_numpy(), np.c_[data[["y1", "y2"]], texts[:, None] == np.unique(texts)], texts


def clustered_of_statsmodels():
    import statsmodels.api as sm

    y, x, texts = _with_dummies()
    within = [values - np.stack([values[texts == text].mean(axis=0) for text in texts]) for values in (y, x[:, :2])]
    fit = sm.OLS(*within, hasconst=False).fit().get_robustcov_results("cluster-crv3", groups=texts)
    return {"t": fit.params / np.sqrt(np.diag(fit.cov_params()))}


def clustered_of_wildboottest():
    """Its t alone: its bootstrap puts an array of one into a number, which numpy 2.4 refuses."""
    from wildboottest.wildboottest import WildboottestCL

    y, x, texts = _with_dummies()
    found = []
    for restriction in np.eye(x.shape[1])[:2]:
        asked = WildboottestCL(X=x.astype(float), Y=y, cluster=texts, R=restriction, B=9, seed=0, parallel=False)
        asked.get_scores(bootstrap_type="13", impose_null=True)
        asked.get_vcov()
        asked.get_tstat()
        found.append(float(np.squeeze(asked.t_stat)))
    return {"t": np.array(found)}


def corrected():
    return {"40 p-values": statistics.holm(np.random.default_rng(3).beta(0.3, 1, 40))}


def corrected_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    return {"40 p-values": multipletests(np.random.default_rng(3).beta(0.3, 1, 40), method="holm")[1]}


DOUBLE = "both compute in float64"
QUANTITIES = [
    Quantity(
        "isoscore",
        "IsoScore of three clouds",
        "IsoScore",
        "its authors' `IsoScore`",
        1e-6,
        "the package takes square roots in float32; a score is at most 1",
        isotropy,
        isotropy_of_isoscore,
    ),
    Quantity(
        "mean-cosine",
        "Anisotropy: the mean cosine of all pairs",
        "scikit-learn",
        "`cosine_similarity`, every pair",
        1e-12,
        f"{DOUBLE}; the library sums in closed form",
        mean_cosines,
        mean_cosines_of_sklearn,
    ),
    Quantity(
        "explained",
        "MEV: share of a word's first component",
        "scikit-learn",
        "`TruncatedSVD` of the uncentred occurrences",
        1e-10,
        f"{DOUBLE}; eigenvalues here and iterated singular values there",
        explained,
        explained_of_sklearn,
    ),
    Quantity(
        "two-nn",
        "Intrinsic dimension by TwoNN",
        "scikit-dimension",
        "`TwoNN(discard_fraction=0.1)`",
        0.1,
        "another definition: it sets F = i/n where the library has (i − 1)/n, which moves the slopes of 400 points by about 1%",
        dimension,
        dimension_of_skdim,
    ),
    Quantity(
        "maximum-likelihood",
        "Intrinsic dimension by maximum likelihood, 20 neighbours",
        "scikit-dimension",
        "`MLE` with inverses averaged (MacKay and Ghahramani)",
        1e-8,
        DOUBLE,
        maximum_likelihood,
        maximum_likelihood_of_skdim,
    ),
    Quantity(
        "ridge", "Ridge regression in context", "scikit-learn", "`Ridge`, a fit for each point", 1e-9, DOUBLE, ridge, ridge_of_sklearn
    ),
    Quantity(
        "least-squares",
        "Least squares in context",
        "scikit-learn",
        "`LinearRegression`, a fit for each point",
        1e-7,
        f"{DOUBLE}; with as many points as dimensions a design is nearly singular",
        least_squares,
        least_squares_of_sklearn,
    ),
    Quantity(
        "neighbours",
        "Nearest neighbours in context",
        "scikit-learn",
        "`KNeighborsRegressor(3)`",
        1e-12,
        DOUBLE,
        neighbours,
        neighbours_of_sklearn,
    ),
    Quantity(
        "original-fit",
        "The notebook's regression of norms: estimates, errors, p-values, intervals, Breusch–Godfrey",
        "statsmodels",
        "`OLS` and `acorr_breusch_godfrey` on columns made by hand",
        1e-8,
        DOUBLE,
        original_fit,
        original_fit_of_statsmodels,
    ),
    Quantity(
        "newey-west", "Newey and West's errors", "statsmodels", '`cov_type="HAC"`', 1e-10, DOUBLE, newey_west, newey_west_of_statsmodels
    ),
    Quantity(
        "clustered",
        "t of the jackknife over texts (CRV3)",
        "statsmodels",
        "`cluster-crv3` on demeaned columns",
        1e-8,
        DOUBLE,
        clustered,
        clustered_of_statsmodels,
    ),
    Quantity(
        "clustered-dummies",
        "The same t with a dummy for each text",
        "wildboottest",
        "`WildboottestCL`, its t with CRV3 errors",
        1e-8,
        DOUBLE,
        clustered,
        clustered_of_wildboottest,
    ),
    Quantity("holm", "Holm's correction", "statsmodels", "`multipletests`", 1e-14, DOUBLE, corrected, corrected_of_statsmodels),
]
