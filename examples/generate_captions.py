"""Writes captions of pictures: fills blanks, goes on, from nothing, again.

    python examples/generate_captions.py --data DATA/multi30k/captions

DATA/multi30k/captions has five files of sentences, line i of each on picture i
(https://github.com/multi30k/dataset, task 2). Trains once, half an hour on two
cores; `--quick` takes seconds, and what it writes is nonsense.
"""

import random

import sacrebleu
from writing import parser_of
from writing import read_lines
from writing import show_table
from writing import trained_writer

DEFAULTS = dict(
    preset="caption_writer",
    steps=6000,
    batch_size=64,
    learning_rate=5e-4,
    target_length=24,
    sequence_length=96,
)


def captions(folder, split):
    """Five lists of sentences, which belong together line by line."""
    return [read_lines(folder / f"{split}.{i}.en.gz") for i in range(1, 6)]


def half_masked(texts, seed):
    """The texts with every other word, drawn by a seed, as `[MASK]`."""
    draws, masked = random.Random(seed), []
    for text in texts:
        words = text.split()
        for i in draws.sample(range(len(words)), len(words) // 2):
            words[i] = "[MASK]"
        masked.append(" ".join(words))
    return masked


def main():
    args = parser_of(__doc__, **DEFAULTS).parse_args()
    train = [text for part in captions(args.data, "train") for text in part]
    held_out = captions(args.data, "val")[0][: 30 if args.quick else 600]
    writer = trained_writer(args, train, held_out)
    references = captions(args.data, "test_2016_first_half")
    count = 4 if args.quick else 200
    references = [part[:count] for part in references]

    print("\nFrom nothing:")
    how = {"num_rounds": 2} if args.quick else {}
    given = dict(seed=args.seed, temperature=0.7, **how)
    for text in writer.generate([""] * 3, max_length=48, **given):
        print(" ", text)
    print("Goes on from a prefix, and fills a blank of unknown length:")
    prompts = ["Two dogs", "A man in a [MASK] shirt ___ on a beach."]
    for text in writer.generate(prompts, max_length=48, **given):
        print(" ", text)
    print("Another way to say it, half of the words drawn anew:")
    masked = half_masked(references[0], args.seed)
    for guidance in ("joined", "confidence"):
        given = {"num_rounds": 8, **given, "guidance": guidance}
        texts = writer.generate(masked, **given)
        print(f"  {guidance}: {texts[0]}")
        bleu = sacrebleu.corpus_bleu(texts, references, lowercase=True).score
        show_table(f"BLEU by five references, {guidance}", {"BLEU": [bleu]})
    copied = sacrebleu.corpus_bleu(
        references[1], [references[0], *references[2:]], lowercase=True
    )
    show_table("A person's sentence by the others", {"BLEU": [copied.score]})


if __name__ == "__main__":
    main()
