"""All quantities that are compared, in the order of the page."""

from tests.oracles import estimates, lens, searches
from tests.oracles.quantity import Quantity

QUANTITIES: list[Quantity] = [*lens.QUANTITIES, *searches.QUANTITIES, *estimates.QUANTITIES]
