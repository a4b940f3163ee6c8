"""Which coefficients of a model survive which control: the whole analysis of one model in one call.

A coefficient gets a star only if it is significant by either kind of robust error *and* farther from zero than in models that learned
nothing. Two further controls ask whether it needs the order of the tokens, and whether it outlives what each token is.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from analysis_lib.models import LoadedModel
from analysis_lib.norms.design import FULL, Specification
from analysis_lib.norms.measure import UpdateNorms, update_norms
from analysis_lib.norms.nulls import Draw, against_null, expected_sizes, null_distribution, regress_draws, shuffled_norms
from analysis_lib.norms.regression import lagged_regression, neighbours
from analysis_lib.statistics import Interval

CONTROLS = {
    "significant": "significant: Holm, clustered and HAC errors",
    "differs": "… and differ from untrained models",
    "starred": "… and farther from zero than in untrained models (starred)",
    "ordered": "starred, and farther from zero than with shuffled tokens",
    "exact": "starred, and significant with each token's expected size held",
}


@dataclass(frozen=True)
class Examination:
    """All that was asked of one model; of `examine`.

    Attributes
    ----------
    measured : UpdateNorms
    verdicts : DataFrame
        Lags and leads with all controls, and columns of booleans, one for each of `CONTROLS`.
    untrained, shuffled : DataFrame
        Of `against_null`: the same coefficients held against either null.
    exact : DataFrame
        The same coefficients with the expected sizes of the tokens among the covariates.
    orders : list of (array [layer, token], DataFrame [token])
        The shuffled texts.
    """

    measured: UpdateNorms
    verdicts: pd.DataFrame
    untrained: pd.DataFrame
    shuffled: pd.DataFrame
    exact: pd.DataFrame
    orders: list[Draw]

    def counts(self) -> pd.Series:
        """How many coefficients were tested, and how many pass each control, indexed by `tested` and the keys of `CONTROLS`."""
        return pd.concat([pd.Series({"tested": len(self.verdicts)}), self.verdicts[list(CONTROLS)].sum()])

    def one_back(self) -> pd.Series:
        """Coefficient one token back, mean over layers: `trained`, `untrained`, `shuffled`."""
        trained, untrained, shuffled = (neighbours(table, 1) for table in (self.verdicts, self.untrained, self.shuffled))
        return pd.Series(
            {"trained": trained["estimate"].mean(), "untrained": untrained["null_mean"].mean(), "shuffled": shuffled["null_mean"].mean()}
        )

    def beside_nulls(self) -> pd.DataFrame:
        """Rows of both nulls with a column `null`, and `filled` where the coefficient is starred; as `plots` draws them."""
        tables = {"untrained": self.untrained, "shuffled": self.shuffled}
        return pd.concat([table.assign(null=null, filled=self.verdicts["starred"]) for null, table in tables.items()])

    def beside_effects(self, effects: pd.DataFrame) -> pd.DataFrame:
        """Coefficients one token back beside the effect that scaling an update has on the next token's, one layer on.

        Parameters
        ----------
        effects : DataFrame
            Of `interventions.elasticity`; `layer` is the one whose update was scaled.

        Returns
        -------
        DataFrame
            `layer` (the one that both are measured in), `estimate low high null_low null_high` of the regression, with simultaneous
            intervals and those of untrained models, `effect effect_low effect_high`.
        """
        rows = neighbours(self.untrained, 1)[["layer", "estimate", "low_all", "high_all", "null_low", "null_high"]]
        rows = rows.rename(columns={"low_all": "low", "high_all": "high"})
        caused = effects.assign(layer=effects["layer"] + 1).rename(
            columns={"estimate": "effect", "low": "effect_low", "high": "effect_high"}
        )  # fmt: skip
        return rows.merge(caused, on="layer")

    def starred(self) -> pd.DataFrame:
        """The starred coefficients: `layer lag coefficient untrained shuffled ordered exact p_exact`.

        The first three numbers are intervals: simultaneous over all that was tested, so that choosing the starred ones leaves them
        valid, and where 95% of draws of each null are expected. `exact` and `p_exact` (Holm) are with expected sizes held.
        """
        table = pd.DataFrame(
            {
                "layer": self.verdicts["layer"],
                "lag": self.verdicts["lag"],
                "coefficient": _intervals(self.verdicts, "estimate", "low_all", "high_all"),
                "untrained": _intervals(self.untrained, "null_mean", "null_low", "null_high"),
                "shuffled": _intervals(self.shuffled, "null_mean", "null_low", "null_high"),
                "ordered": self.verdicts["ordered"],
                "exact": self.exact["estimate"],
                "p_exact": self.exact["p_holm"],
            }
        )
        return table[self.verdicts["starred"]].reset_index(drop=True)


def examine(
    loaded: LoadedModel, texts: Sequence, specification: Specification = FULL, n_draws: int = 8, n_permutations: int = 8, seed: int = 0
) -> Examination:
    """Regress a model's log norms on their neighbours' with every control that this study has.

    Parameters
    ----------
    loaded : LoadedModel
        GPT-2 or BERT.
    texts : sequence of str
        None longer than the context; about forty or more, since errors are clustered by text.
    specification : Specification
        With clustered errors; leads make sense where tokens see what follows.
    n_draws : int
        Untrained models, two at least.
    n_permutations : int
        Orders of each text's tokens, two at least.
    seed : int

    Returns
    -------
    Examination

    Raises
    ------
    ValueError
        As `update_norms`, `lagged_regression` and `against_null`.
    """
    measured = update_norms(loaded, texts)
    norms, tokens = measured.attention, measured.tokens
    table = lagged_regression(norms, tokens, specification)
    hac = lagged_regression(norms, tokens, replace(specification, errors="hac"))
    cheap = replace(specification, errors="ordinary")  # of the nulls only coefficients are wanted, which errors do not change
    orders = shuffled_norms(loaded, texts, n_permutations, seed)
    untrained = against_null(table, null_distribution("untrained", loaded, texts, cheap, n_draws, seed=seed))
    shuffled = against_null(table, regress_draws(orders, cheap))
    exact = neighbours(_with_expected_sizes(measured, orders, specification)).reset_index(drop=True)
    verdicts = survivors(hac, untrained, shuffled)
    verdicts = verdicts.assign(exact=verdicts["starred"] & (exact["p_holm"] < 0.05))
    return Examination(measured, verdicts, untrained, shuffled, exact, orders)


def survivors(hac: pd.DataFrame, untrained: pd.DataFrame, shuffled: pd.DataFrame, level: float = 0.05) -> pd.DataFrame:
    """Which lags and leads pass which control; each column is within the one it names.

    Parameters
    ----------
    hac : DataFrame
        Of `lagged_regression` with `errors="hac"`.
    untrained, shuffled : DataFrame
        Of `against_null`: the same specification with clustered errors, held against either null.
    level : float
        Of all tests, each family corrected by Holm.

    Returns
    -------
    DataFrame
        `untrained` with `significant` (clustered and HAC errors), `differs` (significant, and unlike an untrained model),
        `starred` (significant, and farther from zero than an untrained model) and `ordered` (starred, and farther from zero than the
        same model on shuffled tokens).

    Raises
    ------
    ValueError
        Tables of different lags, leads or layers.
    """
    keys = ["term", "layer", "lag"]
    hac = neighbours(hac).reset_index(drop=True)
    for name, table in (("hac", hac), ("shuffled", shuffled)):
        if not table[keys].equals(untrained[keys]):
            raise ValueError(f"{name}: expected the lags, leads and layers of untrained ({len(untrained)} rows), got {len(table)} rows")
    significant = (untrained["p_holm"] < level) & (hac["p_holm"] < level)
    starred = significant & (untrained["p_beyond_holm"] < level)
    return untrained.assign(
        significant=significant,
        differs=significant & (untrained["p_differs_holm"] < level),
        starred=starred,
        ordered=starred & (shuffled["p_beyond_holm"] < level),
    )


def _with_expected_sizes(measured: UpdateNorms, orders: list[Draw], specification: Specification) -> pd.DataFrame:
    """The regression with each token's expected size held, for the outcome's token and for its neighbours."""
    tokens = pd.concat([measured.tokens, expected_sizes(orders)], axis=1)
    own, lagged = ((*names, "expected") for names in (specification.covariates, specification.lagged_covariates))
    return lagged_regression(measured.attention, tokens, replace(specification, covariates=own, lagged_covariates=lagged))


def _intervals(table: pd.DataFrame, *columns: str) -> list[Interval]:
    return [Interval(*row) for row in table[list(columns)].to_numpy().tolist()]
