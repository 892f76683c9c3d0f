"""What several runs of one setting say together."""

import math
import statistics


def summarize(scores):
    """Median, mean, spread, and how well the mean is known.

    Args:
        scores: list of floats, one a run.

    Returns:
        dict: `count`, `median`, `mean`, `sd` (of the runs, with `n - 1`) and
        `ci`, half the width of the 95 % confidence interval of the mean by
        Student's t distribution. What takes more runs than there are is
        `None`.
    """
    count = len(scores)
    if not count:
        return dict.fromkeys(("median", "mean", "sd", "ci"), None) | {
            "count": 0
        }
    sd = ci = None
    if count > 1:
        from scipy.stats import t

        sd = statistics.stdev(scores)
        ci = float(t.ppf(0.975, count - 1)) * sd / math.sqrt(count)
    return {
        "count": count,
        "median": statistics.median(scores),
        "mean": statistics.fmean(scores),
        "sd": sd,
        "ci": ci,
    }
