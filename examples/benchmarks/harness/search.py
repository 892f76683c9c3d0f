"""Search for hyper-parameters, on a grid or at random, that can be resumed.

By Optuna rather than KerasTuner: it is the better kept (last release 2026-09
against 2025-11), its samplers and its SQLite storage are all that is needed
here, and it leaves building and training to the caller.
"""

import math
import pathlib

from harness.options import Options
from harness.runs import run_all

# Rates and decays that the paper searched (Clark et al., ICLR 2020, appendix
# B) with its rate for small; epochs and batches are around its own.
SPACE = {
    "learning_rate": (3e-5, 5e-5, 1e-4, 1.5e-4, 3e-4),
    "layer_decay": (0.9, 0.8, 0.7),
    "epochs": (3, 10),
    "batch_size": (16, 32),
}
SAMPLERS = ("grid", "random")


def search(
    experiment,
    folder,
    space=None,
    sampler="grid",
    trials=20,
    seeds=(1,),
    stream=None,
):
    """Looks for the settings with the best mean of the main metric.

    Args:
        experiment: `Experiment`. Its options are kept where `space` has none.
        folder: path for the results. What is in it already is not run again.
        space: dict from `learning_rate`, `layer_decay`, `epochs` and
            `batch_size` to the values to try, or `None` for `SPACE`.
        sampler: string, `"grid"` (the default, all combinations in a random
            order) or `"random"`.
        trials: int. Combinations to try, over all calls. Defaults to `20`.
        seeds: tuple of ints. Runs of every combination. Defaults to `(1,)`.
        stream: where runs are told about, or `None`, the default.

    Returns:
        A list of `(score, settings)`, best first. Combinations in which a run
        diverged have a score of `None` and come last.

    Raises:
        ValueError: when `sampler`, a name in `space` or `trials` is not as
            described.
    """
    import optuna

    space = {k: list(v) for k, v in (space or SPACE).items()}
    if sampler not in SAMPLERS:
        raise ValueError(
            f"`sampler` must be one of {SAMPLERS}. "
            f"Received: sampler={sampler!r}."
        )
    if not set(space) <= set(SPACE) or not all(space.values()) or trials < 1:
        raise ValueError(
            f"`space` must give values for some of {', '.join(SPACE)}, and "
            f"`trials` be at least 1. Received: space={space}, "
            f"trials={trials}."
        )
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{folder / 'search.db'}"
    name = f"{experiment.name}-{sampler}"
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
    )
    _drop_interrupted(study)
    done = len(study.get_trials(states=_finished_states()))
    # Another seed when resumed: the same one would draw the same again.
    study.sampler = (
        optuna.samplers.GridSampler(space, seed=0)
        if sampler == "grid"
        else optuna.samplers.RandomSampler(seed=done)
    )

    def objective(trial):
        chosen = {
            name: trial.suggest_categorical(name, values)
            for name, values in space.items()
        }
        runs = run_all(
            experiment.with_options(_options(experiment.options, chosen)),
            seeds,
            folder / f"{name}-{trial.number}",
            stream=stream,
        )
        if any(run["diverged"] for run in runs):
            raise optuna.TrialPruned()
        scores = [run["metrics"][run["main_metric"]] for run in runs]
        return sum(scores) / len(scores)

    if sampler == "grid":
        # When all are tried, Optuna would begin again.
        trials = min(trials, math.prod(map(len, space.values())))
    if done < trials:
        study.optimize(objective, n_trials=trials - done)
    found = [
        (trial.value if trial.value is not None else None, dict(trial.params))
        for trial in study.get_trials(states=_finished_states())
    ]
    return sorted(found, key=lambda pair: (pair[0] is None, -(pair[0] or 0)))


def results_table(found, metric):
    """The results of `search` as a table in Markdown.

    Args:
        found: list of `(score, settings)`, not empty.
        metric: string, name of the score.

    Returns:
        string.
    """
    names = list(found[0][1])
    rows = [(metric, *names), ("---",) * (len(names) + 1)]
    for score, settings in found:
        shown = "diverged" if score is None else f"{score:.1f}"
        rows.append((shown, *(f"{settings[name]:g}" for name in names)))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _options(options, chosen):
    optimizer = {
        name: chosen[name]
        for name in ("learning_rate", "layer_decay")
        if name in chosen
    }
    return Options(
        **{
            **vars(options),
            **{k: v for k, v in chosen.items() if k not in optimizer},
            "optimizer": {**options.optimizer, **optimizer},
        }
    )


def _finished_states():
    from optuna.trial import TrialState

    return (TrialState.COMPLETE, TrialState.PRUNED)


def _drop_interrupted(study):
    """Marks what a killed search left running, so that it is tried again."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
