"""Runs an experiment with several seeds, and with random weights for contrast.

Every run leaves a JSON file and is not repeated when the same command is
given again. A run that diverged, or that is no better than a constant guess,
is named wherever its score is shown.
"""

import json
import pathlib
import time

import keras

from harness.statistics import summarize

PRETRAINED, RANDOM = "pretrained", "random"


def run_all(experiment, seeds, folder, random_weights=False, stream=None):
    """Runs an experiment with all seeds, or reads what was run before.

    Args:
        experiment: `Experiment`.
        seeds: list of ints.
        folder: path for the results.
        random_weights: bool. Whether to run it from random weights, too.
            Defaults to `False`.
        stream: where to tell about runs, or `None`, the default.

    Returns:
        A list of dicts, a run each, as in the JSON files.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    runs = []
    kinds = [PRETRAINED, RANDOM] if random_weights else [PRETRAINED]
    for weights in kinds:
        for seed in seeds:
            path = folder / f"{experiment.name}-{weights}-{seed}.json"
            run = _read(path, experiment.settings)
            if run is None:
                run = _run(experiment, weights, seed)
                _write(path, run)
            if stream is not None:
                print(f"{path.stem}: {describe(run)}", file=stream)
            runs.append(run)
    _write(
        folder / f"{experiment.name}.json",
        {
            "task": experiment.name,
            "settings": experiment.settings,
            "runs": runs,
            "summary": [summary(runs, weights) for weights in kinds],
        },
    )
    return runs


def read_runs(folder):
    """The runs in a folder of results, of all tasks.

    Args:
        folder: path that `run_all` was given.

    Returns:
        A list of dicts, a run each, by task, weights and seed.
    """
    runs = []
    for path in pathlib.Path(folder).glob("*-*-*.json"):
        run = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(run, dict) and "seed" in run:
            runs.append(run)
    return sorted(runs, key=lambda r: (r["task"], r["weights"], r["seed"]))


def summary(runs, weights):
    """The runs from one kind of weights taken together.

    Args:
        runs: list of dicts from `run_all`.
        weights: `"pretrained"` or `"random"`.

    Returns:
        dict: `metrics` from name to what `summarize` returns, over all runs
        that did not diverge; `diverged` and `at_chance`, lists of seeds; and
        `without_chance`, the main metric over the other runs.
    """
    chosen = [run for run in runs if run["weights"] == weights]
    finished = [run for run in chosen if not run["diverged"]]
    names = finished[0]["metrics"] if finished else ()
    main = chosen[0]["main_metric"]
    return {
        "weights": weights,
        "metrics": {
            name: summarize([run["metrics"][name] for run in finished])
            for name in names
        },
        "diverged": [run["seed"] for run in chosen if run["diverged"]],
        "at_chance": [run["seed"] for run in finished if run["at_chance"]],
        "without_chance": summarize(
            [r["metrics"][main] for r in finished if not r["at_chance"]]
        ),
    }


def describe(run):
    """A run in a line."""
    if run["diverged"]:
        return f"diverged: {run['diverged']}"
    metrics = ", ".join(f"{k} {v:.2f}" for k, v in run["metrics"].items())
    if run["at_chance"]:
        metrics += f" (at chance: a constant guess has {run['chance']:.2f})"
    return metrics


def _run(experiment, weights, seed):
    keras.utils.set_random_seed(seed)
    run = {
        "task": experiment.name,
        "settings": experiment.settings,
        "weights": weights,
        "seed": seed,
        "main_metric": experiment.main_metric,
        "backend": keras.config.backend(),
        "diverged": None,
        "at_chance": False,
    }
    start = time.perf_counter()
    title = f"{experiment.name}, {weights}, seed {seed}"
    try:
        run.update(experiment.run(seed, weights == RANDOM, title))
    except FloatingPointError as error:
        run.update(diverged=str(error), metrics={})
    else:
        score = run["metrics"][experiment.main_metric]
        run["at_chance"] = bool(score <= run["chance"])
    run["seconds"] = round(time.perf_counter() - start, 1)
    return run


def _read(path, settings):
    """A run of the same settings, or `None`."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return run if run.get("settings") == _plain(settings) else None


def _write(path, value):
    rows = (f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
    text = "{\n" + ",\n".join(rows) + "\n}\n"
    # In one step: a run that is interrupted leaves no half file.
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _plain(value):
    return json.loads(json.dumps(value))
