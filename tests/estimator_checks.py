"""Some of the checks that scikit-learn has for estimators."""

import functools

from sklearn.utils.estimator_checks import estimator_checks_generator


def passed(estimator, names):
    """The checks of these names, run on the estimator: those that it has passed."""
    done = set()
    for each, check in estimator_checks_generator(estimator, legacy=True, expected_failed_checks=None, mark="skip"):
        name = check.func.__name__ if isinstance(check, functools.partial) else check.__name__
        if name in names:
            check(each)
            done.add(name)
    return done
