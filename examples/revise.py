"""Repairs text with wrong words, and sentences of people who learn English.

    python examples/revise.py --data DATA

DATA has multi30k/captions and ged/jfleg (https://github.com/keisks/jfleg). The
writer learns from captions, or is the `--preset` that
`examples/generate_captions.py` has trained. It is at home in captions:
what it does to other text is shown beside what it costs.
"""

import random

from generate_captions import DEFAULTS
from generate_captions import captions
from writing import parser_of
from writing import read_lines
from writing import show_table
from writing import trained_writer


def with_wrong_words(texts, seed, share=0.1):
    """Texts in which a share of the words are those of others."""
    draws, words = random.Random(seed), " ".join(texts).split()
    wrong = []
    for text in texts:
        parts = text.split()
        for i in draws.sample(
            range(len(parts)), max(1, round(share * len(parts)))
        ):
            parts[i] = draws.choice(words)
        wrong.append(" ".join(parts))
    return wrong


def right_words(texts, others):
    """Share of words that are the same, in percent."""
    pairs = [
        p for a, b in zip(texts, others) for p in zip(a.split(), b.split())
    ]
    return 100 * sum(a == b for a, b in pairs) / max(1, len(pairs))


def main():
    args = parser_of(__doc__, **DEFAULTS).parse_args()
    folder = args.data / "multi30k" / "captions"
    train = [text for part in captions(folder, "train") for text in part]
    held_out = captions(folder, "val")[0][: 30 if args.quick else 600]
    writer = trained_writer(args, train, held_out)

    texts = captions(folder, "test_2016_first_half")[0]
    texts = texts[: 8 if args.quick else 400]
    wrong = with_wrong_words(texts, args.seed)
    revised = writer.revise(wrong)
    cleaned = writer.revise(texts)
    for before, after in [*zip(wrong, revised)][:3]:
        print(f"{before}\n  {after}  ({after.stopped_by})")
    with open(f"{args.preset}.html", "w", encoding="utf-8") as file:
        file.write("\n".join(one._repr_html_() for one in revised[:20]))
    print(f"All rounds of 20 of them are in {args.preset}.html.")
    rows = {
        "as they are, and left so": [right_words(texts, wrong)],
        "revised": [right_words(texts, [r.text for r in revised])],
        "clean ones, revised": [right_words(texts, [r.text for r in cleaned])],
    }
    show_table("right words of unseen captions (%)", rows)

    learners = [
        text
        for text in read_lines(args.data / "ged" / "jfleg" / "dev.src")
        if len(writer.preprocessor.tokenizer(text)) <= writer.preprocessor.most
    ][: 4 if args.quick else 50]
    found = writer.revise(learners, threshold=0.9)
    for text, one in zip(learners, found):
        if one.edits:
            print(f"{text}\n  {one.text}")
    print(
        f"{sum(len(one.edits) for one in found)} edits of {len(found)} of JFLEG"
    )


if __name__ == "__main__":
    main()
