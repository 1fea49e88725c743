"""Published methods as recipes: objectives with layers, weights and warm-up, as data to print, edit, save and compare."""

from keras_kd.recipes.advising import Advice, advise
from keras_kd.recipes.balancing import Balanced, balance
from keras_kd.recipes.comparing import compare
from keras_kd.recipes.comparison import Comparison, Paired, paired
from keras_kd.recipes.ledger import Ledger, Row
from keras_kd.recipes.making import names, recipe
from keras_kd.recipes.plan import Recipe
from keras_kd.recipes.terms import Term

__all__ = [
    "Advice",
    "Balanced",
    "Comparison",
    "Ledger",
    "Paired",
    "Recipe",
    "Row",
    "Term",
    "advise",
    "balance",
    "compare",
    "names",
    "paired",
    "recipe",
]
