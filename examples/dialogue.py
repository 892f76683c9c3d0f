"""Says what attributes mean, and answers a person who asks for a restaurant.

    python examples/dialogue.py --data DATA/e2e --chat

DATA/e2e/devset.csv.gz is of https://github.com/tuetschek/e2e-dataset. A fifth
of the different attributes is held out. Trains once, half an hour on two cores;
then with `--chat` type `name[Aromi], food[Chinese]`, or a line such as `a cheap
coffee shop near Burger King?`, and an empty one to stop.
"""

import csv
import random
import re

import sacrebleu
from writing import normalised
from writing import parser_of
from writing import read_lines
from writing import show_table
from writing import trained_writer

DEFAULTS = dict(
    preset="dialogue_writer",
    steps=4000,
    batch_size=32,
    learning_rate=5e-4,
    target_length=72,
    sequence_length=160,
)
# What may be said for a value; else its own words.
WORDS = {
    "familyFriendly[yes]": "famil|child|kid",
    "familyFriendly[no]": "famil|child|kid|adult",
    "priceRange[cheap]": "cheap|low|inexpensive|affordable|£20",
    "priceRange[moderate]": "moderate|mid|average|reasonabl|medium",
    "priceRange[high]": "high|expensive|upscale|pricey",
    "priceRange[less than £20]": "20|cheap|low",
    "priceRange[more than £30]": "30|high|expensive",
    "priceRange[£20-25]": "20|25|moderate|mid",
    "customer rating[1 out of 5]": "1|one|low|poor",
    "customer rating[3 out of 5]": "3|three|average|moderate",
    "customer rating[5 out of 5]": "5|five|high|excellent",
    "customer rating[high]": "high|excellent|great|good|well",
    "customer rating[average]": "average|decent|moderate|mediocre|ok",
    "customer rating[low]": "low|poor|bad|not",
    "area[city centre]": "cent",
    "area[riverside]": "river",
    "food[English]": "english|british",
}


def read_pairs(folder, seed=0):
    """`(train, test)`: lists of `(attributes, utterance)`, none in both."""
    rows = csv.DictReader(read_lines(folder / "devset.csv.gz"))
    pairs = [(row["mr"], row["ref"]) for row in rows]
    kinds = sorted({source for source, _ in pairs})
    random.Random(seed).shuffle(kinds)
    held_out = {*kinds[: len(kinds) // 5]}
    return (
        [pair for pair in pairs if pair[0] not in held_out],
        [pair for pair in pairs if pair[0] in held_out],
    )


def by_source(pairs):
    """Attributes -> all that was said of them, a dict of lists."""
    groups = {}
    for source, target in pairs:
        groups.setdefault(source, []).append(target)
    return groups


def attributes(source):
    """`name[value]` for each attribute, a set."""
    return {*re.findall(r"\w[\w ]*\[[^\]]*\]", source)}


def said(source, text):
    """Share of the attributes whose value is in a text."""
    text = re.sub(r"\s+", " ", text.lower()).replace(" - ", "-")
    found = []
    for attribute in attributes(source):
        value = attribute.split("[")[1][:-1].lower()
        pattern = WORDS.get(attribute) or re.escape(value)
        found.append(re.search(pattern, text) is not None)
    return sum(found) / max(1, len(found))


def nearest(source, groups):
    """What was said of the attributes that have most in common."""
    wanted = attributes(source)

    def common(other):
        return len(wanted & attributes(other)) / len(wanted | attributes(other))

    return groups[max(groups, key=common)][0]


def evaluate(writer, groups, train, **how):
    """BLEU and share of values said, in percent: of writer, copy, people."""
    sources, answers = [*groups], by_source(train)
    texts = writer.generate(sources=sources, **how)
    found = {
        "written": texts,
        "nearest example copied": [nearest(s, answers) for s in sources],
        "one of the people": [groups[s][0] for s in sources],
    }
    references = [normalised(writer, groups[s]) for s in sources]
    most, rows = max(map(len, references)), {}
    columns = [
        [r[i] if i < len(r) else None for r in references] for i in range(most)
    ]
    for name, lines in found.items():
        values = [said(s, t) for s, t in zip(sources, lines)]
        rows[name] = [100 * sum(values) / len(values)]
        if name != "one of the people":  # who would be a reference, too
            lines = normalised(writer, lines)
            bleu = sacrebleu.corpus_bleu(lines, columns, lowercase=True)
            rows[name].insert(0, bleu.score)
    return rows, texts


def chat(writer, groups):
    """Answers lines of a person until there is an empty one."""
    values = sorted({a for source in groups for a in attributes(source)})
    while line := input("you: ").strip():
        source = line
        if "[" not in line:  # a question: the place with most of what it says
            wanted = {a for a in values if said(a, line)}
            source = max(groups, key=lambda s: len(wanted & attributes(s)))
        how = {"temperature": 0.0, "guidance": "joined"}
        print("writer:", writer.generate(sources=source, **how))


def main():
    parser = parser_of(__doc__, **DEFAULTS)
    parser.add_argument("--chat", action="store_true", help="answer lines")
    args = parser.parse_args()
    train, test = read_pairs(args.data)
    columns = tuple(map(list, zip(*train)))
    held_out = tuple(map(list, zip(*test)))
    if args.quick:
        held_out = tuple(part[:8] for part in held_out)
    # What it judges here is targets by their sources: nothing to calibrate.
    writer = trained_writer(args, columns, held_out, calibrate=False)
    if args.chat:
        chat(writer, by_source(train + test))
        return
    groups = by_source(test[: 20 if args.quick else None])
    how = {"num_rounds": 2} if args.quick else {}
    rows, texts = evaluate(
        writer, groups, train, seed=args.seed, temperature=0.3, **how
    )
    for source, text in [*zip(groups, texts)][:3]:
        print(f"{source}\n  {text}")
    show_table("of unseen attributes: BLEU, values said (%)", rows)


if __name__ == "__main__":
    main()
