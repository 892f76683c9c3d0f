"""Tables and learning curves of the runs of a harness."""

import pathlib

from harness.runs import PRETRAINED
from harness.runs import RANDOM
from harness.runs import summary

HEADER = ("task", "weights", "metric", "runs", "median", "mean", "SD", "95 %")


def table(runs):
    """A table in Markdown: each metric of each task over the seeds.

    Args:
        runs: list of dicts from `run_all`, of any number of tasks.

    Returns:
        string. Below the table is a line for all runs that diverged, which
        are not in it, and one for runs that are no better than a constant
        guess, which are.
    """
    rows, notes = [HEADER, ("---",) * len(HEADER)], []
    for task in dict.fromkeys(run["task"] for run in runs):
        own = [run for run in runs if run["task"] == task]
        for weights in (PRETRAINED, RANDOM):
            if any(run["weights"] == weights for run in own):
                found = summary(own, weights)
                rows += _rows(task, found)
                notes += _notes(task, found, own)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def comparison(runs):
    """A table in Markdown: pre-trained and random weights side by side.

    Args:
        runs: list of dicts from `run_all`, of any number of tasks.

    Returns:
        string. A row for each metric of each task: the mean over the seeds
        with its 95 % interval and, in brackets, the median; then the guess
        that looks at no text, for the main metric. Below, the runs that
        diverged or are no better than that guess.
    """
    header = ("task", "metric", "runs", PRETRAINED, RANDOM, "constant guess")
    rows, notes = [header, ("---",) * len(header)], []
    for task in dict.fromkeys(run["task"] for run in runs):
        own = [run for run in runs if run["task"] == task]
        found = {
            weights: summary(own, weights)
            for weights in (PRETRAINED, RANDOM)
            if any(run["weights"] == weights for run in own)
        }
        guess = {
            run["main_metric"]: run["chance"] for run in own if "chance" in run
        }
        names = next((f["metrics"] for f in found.values() if f["metrics"]), ())
        for name in names:
            cells = [
                found.get(weights, {"metrics": {}})["metrics"].get(name)
                for weights in (PRETRAINED, RANDOM)
            ]
            counts = dict.fromkeys(str(of["count"]) for of in cells if of)
            constant = f"{guess[name]:.1f}" if name in guess else ""
            rows.append(
                (task, name, "/".join(counts), *map(_cell, cells), constant)
            )
        for each in found.values():
            notes += _notes(task, each, own)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def finish(runs, folder, plots=False):
    """Prints the table of an example, and draws if asked to.

    Args:
        runs: list of dicts from `run_all`.
        folder: path of the folder of results.
        plots: bool. Whether to draw a PNG for each task.
    """
    if plots:
        for task in dict.fromkeys(run["task"] for run in runs):
            own = [run for run in runs if run["task"] == task]
            plot(own, pathlib.Path(folder) / f"{task}.png")
    print(table(runs))
    print(f"\nAll results are in {folder}.")
    if all(run["diverged"] for run in runs):
        raise SystemExit("Every run diverged; see above.")


def plot(runs, path):
    """Draws the training loss of every seed to a PNG file.

    Args:
        runs: list of dicts from `run_all`, of one task.
        path: path of the file.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    styles = {PRETRAINED: "-", RANDOM: ":"}
    for run in runs:
        if run.get("curve"):
            steps, losses = zip(*run["curve"])
            score = run["metrics"].get(run["main_metric"])
            label = f"{run['weights']}, seed {run['seed']}"
            if score is not None:
                label += f": {run['main_metric']} {score:.1f}"
            axes.plot(steps, losses, styles[run["weights"]], label=label)
    axes.set(title=runs[0]["task"], xlabel="step", ylabel="training loss")
    axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _rows(task, found):
    for name, of in found["metrics"].items():
        numbers = (of["median"], of["mean"], of["sd"], of["ci"])
        shown = ["–" if x is None else f"{x:.1f}" for x in numbers]
        if of["ci"] is not None:
            shown[3] = f"± {shown[3]}"
        yield (task, found["weights"], name, str(of["count"]), *shown)


def _cell(of):
    if of is None:
        return "–"
    spread = "" if of["ci"] is None else f" ± {of['ci']:.1f}"
    return f"{of['mean']:.1f}{spread} ({of['median']:.1f})"


def _notes(task, found, runs):
    who = f"{task}, {found['weights']}"
    skipped = max(r.get("settings", {}).get("skipped_rows", 0) for r in runs)
    if skipped:
        yield f"{who}: {skipped} bad rows of the data were skipped."
    if found["diverged"]:
        seeds = ", ".join(map(str, found["diverged"]))
        yield f"{who}: diverged and not in the table: seed {seeds}."
    if found["at_chance"]:
        seeds = ", ".join(map(str, found["at_chance"]))
        guess = next(run["chance"] for run in runs if "chance" in run)
        mean = found["without_chance"]["mean"]
        others = "" if mean is None else f" Mean of the others: {mean:.1f}."
        yield (
            f"{who}: no better than a constant guess ({guess:.1f}): seed "
            f"{seeds}.{others}"
        )
