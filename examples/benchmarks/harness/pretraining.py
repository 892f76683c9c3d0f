"""Pre-trains for a given time on one core, and scores what came out.

Time is that of the processor, which on an idle machine is the clock's: a run
that shares its core, or is stopped and goes on, is not shorter for it.
"""

import json
import pathlib
import time

import keras

import keras_electra
from harness import blimp
from harness import sentence_scores
from harness.bag_of_words import mean_of_tasks
from harness.glue import GlueExperiment
from harness.glue_data import read_glue
from harness.metrics import glue_metrics
from harness.options import Options
from harness.recipes import glue_recipe
from harness.runs import run_all

FIVE = ("cola", "mrpc", "rte", "stsb", "sst2")
LENGTH = 128  # tokens a row
TIMED_STEPS = 8  # after as many that warm up
# By network, how sentences are scored.
SCORERS = {
    "generator": (
        keras_electra.ElectraMaskedLM,
        sentence_scores.pseudo_log_likelihood,
    ),
    "discriminator": (
        keras_electra.ElectraReplacedTokenDetector,
        sentence_scores.log_probability_of_original,
    ),
    "electric": (
        keras_electra.ElectraPretrainer,
        keras_electra.ElectraPretrainer.score,
    ),
}


def add_arguments(parser):
    """Options of what pre-trains and scores."""
    add = parser.add_argument
    add("corpus", nargs="+", help="text files or patterns")
    add("--data", default="glue", help="folder with a folder for each task")
    add("--blimp", help="archive or folder; without, BLiMP is left out")
    add("--blimp-limit", type=int, default=100, help="pairs of each set")
    add("--minutes", type=float, default=10.0, help="of each pre-training")
    add("--batch-size", type=int, default=16)
    add("--vocabulary-size", type=int, default=8192)
    add("--epochs", type=int, default=3, help="of fine-tuning")
    add("--limit", type=int, default=20_000, help="texts to fine-tune on")
    add("--dtype", default="float32", help="or mixed_bfloat16")
    add("--num-processes", type=int, default=2, help="that read the corpus")
    add("--output", type=pathlib.Path, default=pathlib.Path("pretraining"))


def make_examples(args):
    """The tokenizer; vocabulary and examples are made the first time."""
    args.output.mkdir(parents=True, exist_ok=True)
    vocabulary = args.output / "vocabulary.txt"
    if not vocabulary.exists():
        keras_electra.train_vocabulary(
            args.corpus,
            vocabulary_size=args.vocabulary_size,
            lowercase=True,
            output=str(vocabulary),
        )
    tokenizer = keras_electra.ElectraTokenizer(str(vocabulary), lowercase=True)
    keras_electra.build_examples(
        args.corpus,
        str(args.output / "examples"),
        tokenizer,
        sequence_length=LENGTH,
        validation_fraction=0.01,
        num_processes=args.num_processes,
    )
    return tokenizer


def load(args, split, seed=None):
    """Batches of the examples."""
    folder = str(args.output / "examples")
    return keras_electra.load_examples(
        folder, split, batch_size=args.batch_size, seed=seed
    )


def train(
    model, optimizer, args, minutes, folder, seed, points=4, callbacks=()
):
    """Trains for some minutes, in `points` epochs, or what is left of them.

    Args:
        model: `ElectraPretrainer`.
        optimizer: function from a number of steps to an optimizer.
        args: of `add_arguments`.
        minutes: float, for as many steps as they suffice for.
        folder: path, for steps and checkpoints.
        seed: int, of the order of the examples.

    Returns:
        int, the steps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "steps.json"
    if not path.exists():
        start = model.get_weights()
        model.compile(optimizer(1_000))
        for _ in range(2):
            begin = time.process_time()
            data = load(args, "train", seed)
            model.fit(data, steps_per_epoch=TIMED_STEPS, verbose=0)
        seconds = (time.process_time() - begin) / TIMED_STEPS
        model.set_weights(start)
        path.write_text(json.dumps(int(60 * minutes / seconds)))
    epoch = max(1, json.loads(path.read_text()) // points)
    model.compile(optimizer(epoch * points))
    model.fit(
        load(args, "train", seed),
        steps_per_epoch=epoch,
        epochs=points,
        callbacks=[
            keras_electra.ResumableCheckpoint(str(folder / "checkpoints")),
            keras_electra.HealthMonitor(),
            keras.callbacks.CSVLogger(str(folder / "log.csv"), append=True),
            *callbacks,
        ],
        verbose=2,
    )
    return epoch * points


def five_tasks(preset, args, folder, seed=1, tasks=None, **options):
    """Mean of development sets of GLUE after fine-tuning, in percent."""
    found = {}
    for task in tasks or FIVE:
        options = {"limit": args.limit, "epochs": args.epochs, **options}
        given = Options(**options, jit_compile=False)
        experiment = GlueExperiment(task, preset, args.data, given)
        (run,) = run_all(experiment, [seed], folder)
        # What diverged has no metrics: it counts as a guess, 0.
        found[task] = run["metrics"] or {"diverged": 0.0}
    return mean_of_tasks(found)


def similarity(preset, data):
    """Spearman's correlation of untrained vectors on STS-B, in percent."""
    embedder = keras_electra.ElectraTextEmbedder.from_preset(preset)
    recipe = glue_recipe("stsb")
    dev = read_glue(pathlib.Path(data) / recipe.folder, recipe, "dev")
    first, second = (embedder.embed(texts) for texts in dev.texts)
    cosines = (first * second).sum(axis=1)
    return glue_metrics(["spearman"], dev.labels, cosines)["spearman"]


def minimal_pairs(preset, args, network):
    """Accuracy on BLiMP, in percent, of one of the `SCORERS`."""
    pairs = blimp.read_pairs(args.blimp, args.blimp_limit)
    task_class, score = SCORERS[network]
    scores = blimp.score_pairs(score, task_class.from_preset(preset), pairs)
    return blimp.accuracies(pairs, scores)["overall"]


def remember(path, compute):
    """A JSON value from a file, or computed and written there."""
    if not path.exists():
        value = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(value, indent=1) + "\n")
        part.replace(path)
    return json.loads(path.read_text())
