"""From a budget to the best student that fits: what may vary, what a candidate costs, how it is tried, which is chosen."""

from micro.explore.search import SearchResult, search

__all__ = ["SearchResult", "search"]
