"""Networks that fit a time budget: designs, their price on this machine, their accuracy."""

from cryptml.search.price import PriceModel
from cryptml.search.study import Found, Search, SearchSettings

__all__ = ["Found", "PriceModel", "Search", "SearchSettings"]
