"""What the loop of proposing and judging is worth, beside simpler ones.

    PROGRAM=examples/benchmarks/generation.py
    python $PROGRAM captions --data DATA/multi30k/captions --presets P1 P2 P3
    python $PROGRAM repair --data DATA/multi30k/captions --presets P1 P2 P3
    python $PROGRAM e2e --data DATA/e2e --presets P1 P2 P3
    python $PROGRAM summaries --data DATA/corpus/enwiki2015 --presets P1 P2 P3
    python $PROGRAM jfleg --data DATA/ged/jfleg --presets P1 P2 P3
    python $PROGRAM speed

The presets are of `examples/generate_captions.py`, `dialogue.py` and
`summarise.py`, trained with `--seed` 0, 1 and 2. With one of them, three seeds
of the draws. Numbers are means with 95 % intervals; `--count` makes it shorter.
"""

import argparse
import pathlib
import random
import sys
import time

import keras
import numpy as np
import sacrebleu
from generation_metrics import distinct
from generation_metrics import gleu
from generation_metrics import self_bleu
from harness.statistics import summarize

import keras_electra
from keras_electra.generation import revision
from keras_electra.generation import rounds

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import dialogue  # noqa: E402
import summarise  # noqa: E402
from generate_captions import captions  # noqa: E402
from writing import normalised  # noqa: E402
from writing import read_lines  # noqa: E402

FILLS = 5  # of one sentence, for diversity


def print_rows(title, runs):
    """Means with intervals of dicts from names to lists, one a seed."""
    print(f"\n{title}")
    for name in runs[0]:
        columns = zip(*(run[name] for run in runs))
        cells = [summarize([*values]) for values in columns]
        text = "".join(f"{c['mean']:9.2f} ±{c['ci'] or 0:5.2f}" for c in cells)
        print(f"  {name:<30}{text}", flush=True)


def half_masked(writer, texts, seed):
    """Words drawn until half of the tokens are a `[MASK]` each."""
    tokenizer, draws = writer.preprocessor.tokenizer, random.Random(seed)
    prompts = []
    for text in texts:
        words = text.split()
        sizes = [len(ids) for ids in tokenizer(words)]
        left = sum(sizes) // 2
        for i in draws.sample(range(len(words)), len(words)):
            if sizes[i] <= left:
                left -= sizes[i]
                words[i] = " ".join(["[MASK]"] * sizes[i])
        prompts.append(" ".join(words))
    return prompts


def fill(writer, references, guidance, temperature, seed, passes):
    """BLEU by five references, distinct-2 and self-BLEU of five fills."""
    # Two networks are two passes a round where both are asked.
    is_one = writer.generator is writer.backbone
    judged = guidance in rounds.JUDGED and not is_one
    how = dict(
        guidance=guidance,
        temperature=temperature,
        num_rounds=max(1, passes // 2 if judged else passes),
        max_length=min(64, writer.preprocessor.most),
    )
    prompts = half_masked(writer, references[0], seed)
    fills = [
        writer.generate(prompts, seed=1000 * seed + i, **how)
        for i in range(FILLS)
    ]
    references = [normalised(writer, lines) for lines in references]
    bleu = [
        sacrebleu.corpus_bleu(lines, references, lowercase=True).score
        for lines in fills
    ]
    groups = [*zip(*fills)]
    diverse = distinct([text for group in groups for text in group])
    return [float(np.mean(bleu)), diverse, self_bleu(groups)]


def run_captions(args, writers):
    """At equal passes, and temperatures at which all are equally diverse."""
    others, test = (
        [lines[: args.count] for lines in captions(args.data, split)]
        for split in ("val", "test_2016_first_half")
    )
    curves, runs = {}, []
    for guidance in rounds.GUIDES:
        points = []
        for temperature in args.temperatures:
            given = others, guidance, temperature, 99, args.passes
            points.append(fill(writers[0], *given))
            numbers = "".join(f"{value:9.2f}" for value in points[-1])
            print(f"validation {guidance:<14}{temperature:5.2f}{numbers}")
        curves[guidance] = np.array(points)
    print("columns: temperature, BLEU, distinct-2, self-BLEU")
    middle = args.temperatures[len(args.temperatures) // 2]
    wanted = np.interp(middle, args.temperatures, curves["confidence"][:, 2])
    chosen = {
        # Self-BLEU falls as the temperature rises.
        guidance: float(np.interp(-wanted, -points[:, 2], args.temperatures))
        for guidance, points in curves.items()
    }
    print(f"self-BLEU {wanted:.2f} on validation at temperatures {chosen}")
    for seed, writer in enumerate(writers):
        runs.append(
            {
                guidance: fill(writer, test, guidance, t, seed, args.passes)
                for guidance, t in chosen.items()
            }
        )
    print_rows("captions, test: BLEU, distinct-2, self-BLEU", runs)
    gains = [
        {g: [run[g][0] - run["confidence"][0]] for g in rounds.JUDGED}
        for run in runs
    ]
    print_rows("BLEU above confidence", gains)


def repaired(writer, texts, kind, seed, at_random=False):
    """Right tokens before and after (%), broken of the right ones (%)."""
    draws, before, after = np.random.default_rng(seed), [], []
    for places, x, movable, _ in writer._rows_of(texts, 32):
        movable[len(places) :] = False
        kinds = np.array([kind] * len(movable))
        ids = revision.corrupt(writer, x, movable, kinds, draws)
        given = {**x, "token_ids": ids}
        if at_random:  # as many positions as are wrong, the best proposals
            counts = np.round(0.1 * movable.sum(1))
            chosen = rounds.largest(draws.random(ids.shape), movable, counts)
            mask = writer.preprocessor.tokenizer.mask_token_id
            masked = np.where(chosen, mask, ids)
            new, _, _ = rounds.propose(writer, x, masked, chosen)
            new = np.where(chosen, new, ids)
        else:
            how = 10, writer.threshold, writer.margin, None
            steps, _, _ = revision.repair(writer, given, movable, *how)
            new = ids
            for old, masked, accepted in steps:
                new = old
        right = x["token_ids"]
        before.append((ids == right)[movable])
        after.append((new == right)[movable])
    before, after = np.concatenate(before), np.concatenate(after)
    broken = 100 * np.mean(~after[before])
    gain = 100 * (after.mean() - before.mean())
    return [100 * before.mean(), 100 * after.mean(), gain, broken]


def run_repair(args, writers):
    """Unseen captions with wrong tokens; changing nothing gains 0."""
    texts = captions(args.data, "test_2016_first_half")[0][: args.count]
    runs = []
    for seed, writer in enumerate(writers):
        if args.calibrate:
            writer.calibrate(captions(args.data, "val")[0])
            print(writer.threshold, writer.margin, writer.calibration)
        runs.append({})
        for kind in ("words", "draws", "clean"):
            given = writer, texts, kind, seed
            runs[-1][f"{kind}, revise"] = repaired(*given)
            runs[-1][f"{kind}, random places"] = repaired(*given, True)
    print_rows("repair: right before, after, gain, broken (% of tokens)", runs)


def run_e2e(args, writers):
    """Attributes that were not trained on, against a copied example."""
    train, test = dialogue.read_pairs(args.data)
    groups = dialogue.by_source(test)
    groups = {s: groups[s] for s in [*groups][: args.count]}
    runs = []
    for seed, writer in enumerate(writers):
        runs.append({})
        for guidance in rounds.GUIDES:
            how = dict(temperature=args.temperature, num_rounds=args.passes)
            found, _ = dialogue.evaluate(
                writer, groups, train, seed=seed, guidance=guidance, **how
            )
            runs[-1][guidance] = found.pop("written")
        runs[-1] |= {n: [0.0] * (2 - len(v)) + v for n, v in found.items()}
    print_rows("e2e: BLEU, values said (%)", runs)


def run_summaries(args, writers):
    """ROUGE-L of what is written and of what is chosen."""
    articles = summarise.read_articles(
        args.data / "wiki-train-00.txt.xz", args.articles
    )
    test = summarise.read_articles(args.data / "wiki-test.txt.xz", args.count)
    runs = []
    for seed, writer in enumerate(writers):
        keras.utils.set_random_seed(seed)
        chooser = summarise.train_chooser(articles, args.start)
        found, _ = summarise.compare(test, chooser, writer, seed)
        runs.append(found)
    print_rows(f"summaries of {len(test)} articles: ROUGE-L", runs)


def run_jfleg(args, writers):
    """GLEU of the repair of learners' sentences, beside leaving them so."""
    folder, runs = args.data, []
    sources = read_lines(folder / "test.src")[: args.count]
    references = [
        read_lines(folder / f"test.ref{i}")[: args.count] for i in range(4)
    ]
    for writer in writers:
        most, tokenizer = (
            writer.preprocessor.most,
            writer.preprocessor.tokenizer,
        )
        fits = [len(ids) <= most for ids in tokenizer(sources)]
        texts, scores = [*sources], {}
        found = writer.revise([s for s, fit in zip(sources, fits) if fit])
        for place, one in zip(np.flatnonzero(fits), found):
            texts[place] = one.text
        for name, lines in (("left as they are", sources), ("revised", texts)):
            scores[name] = [gleu(sources, lines, references)]
        runs.append(scores)
    print_rows("JFLEG, test: GLEU", runs)


def run_speed(args, writers):
    """32 texts of 64 tokens in 16 rounds, a network of ELECTRA-Small's size."""
    keras.config.set_dtype_policy(args.dtype)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = special + [f"w{i}" for i in range(30522 - 5)]
    tokenizer = keras_electra.ElectraTokenizer(vocabulary)
    writer = keras_electra.ElectraTextGenerator.from_size(
        "small", tokenizer=tokenizer, sequence_length=72
    )
    for guidance in rounds.GUIDES:
        how = dict(max_length=64, num_rounds=16, guidance=guidance)
        seconds = []
        for seed in range(4):  # the first one compiles
            start = time.perf_counter(), time.process_time()
            writer.generate([""] * 32, seed=seed, **how)
            end = time.perf_counter(), time.process_time()
            seconds.append(np.subtract(end, start))
        wall, cpu = np.median(seconds[1:], axis=0)
        print(
            f"{guidance:<14}{32 * 64 / wall:8,.0f} tokens/s, {cpu:.2f} s of "
            f"processor time for {32 * 64:,} tokens"
        )


def main():
    names = ("captions", "repair", "e2e", "summaries", "jfleg", "speed")
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("what", choices=names)
    add("--data", type=pathlib.Path)
    add("--presets", nargs="*", default=[])
    add("--count", type=int, default=500, help="texts at most")
    add("--passes", type=int, default=8, help="of the networks")
    add("--temperature", type=float, default=0.3, help="of e2e")
    add(
        "--temperatures", type=float, nargs="*", default=[0.3, 0.5, 0.7, 1, 1.3]
    )
    add("--calibrate", action="store_true", help="anew, on validation text")
    add("--articles", type=int, default=1600, help="to train the chooser on")
    add("--start", default="electra_tiny_en", help="of the chooser")
    add("--dtype", default="mixed_bfloat16")
    args = parser.parse_args()
    presets = args.presets * (3 if len(args.presets) == 1 else 1)
    open_preset = keras_electra.ElectraTextGenerator.from_preset
    writers = [open_preset(preset, dtype=args.dtype) for preset in presets]
    if not writers and args.what != "speed":
        parser.error("`--presets` must name one or more folders of writers")
    globals()[f"run_{args.what}"](args, writers)


if __name__ == "__main__":
    main()
