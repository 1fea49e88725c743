"""What a run's test windows allow to say of its student: reasons with a grade each, of which the worst is the verdict."""

from micro.runs.assessment.judge import judge

__all__ = ["judge"]
