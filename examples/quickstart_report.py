"""What the quick start says, and how it shows its figures."""

import numpy as np

TEXT = """\
ELECTRA learns from plain text without labels. A fifth of the documents is kept
back: stages 4 and 5 use them, and pre-training never sees them."""
EXAMPLES = """\
Words become pieces from a vocabulary that is learnt from the text, and the
pieces are packed into rows. Some documents are held out to measure progress."""
PRETRAINING = """\
One network, the generator, fills places that were masked. Its guesses go into
the text, and another one, the discriminator, says for each token whether
it is the original. The generator is thrown away in the end; to recognize its
guesses, the discriminator has to know how words go together. So that it keeps
up, it restores text with masked and exchanged words for the first half of the
steps."""
REPLACED = """\
The saved model is opened again. In paragraphs that were kept back, the
generator replaces tokens, and the discriminator gives each token a probability
of being replaced. The most probable ones, as many as were replaced, count as
suspected."""
FINE_TUNING = """\
Which source is a passage from? The discriminator becomes a classifier that
learns it from few labelled passages: once from random weights, once from the
pre-trained ones, with everything else the same. The passages that test it come
from other documents; none of them names a source."""


def print_heading(title, explanation=""):
    print(f"\n=== {title} ===")
    if explanation:
        print(explanation + "\n")


def print_sources(sources):
    for name, documents in sources.items():
        characters = sum(len(line) for lines in documents for line in lines)
        print(
            f"  {name:<24} {len(documents):7,} documents "
            f"{characters:11,} characters"
        )


def print_pretraining(before, after):
    """Shows held-out metrics; returns lines for the summary.

    Args:
        before: dict from name to figure, of `evaluate`.
        after: dict, the same after pre-training.
    """
    share = after["replaced_fraction"]
    base_accuracy = 1 - share
    base_loss = -share * np.log(share) - (1 - share) * np.log(1 - share)
    rows = [
        ("generator_loss", None),
        ("generator_accuracy", None),
        ("replaced_fraction", None),
        ("discriminator_loss", base_loss),
        ("discriminator_accuracy", base_accuracy),
        ("discriminator_auc", 0.5),
    ]
    print(
        "\nOn the documents held out. For comparison: calling every token "
        "original, with\nthe share of replaced ones as its probability."
    )
    print(f"  {'':<24} {'before':>9} {'after':>9} {'comparison':>11}")
    for name, base in rows:
        shown = "" if base is None else f"{base:11.4f}"
        print(f"  {name:<24} {before[name]:9.4f} {after[name]:9.4f} {shown}")
    loss, auc = "generator_loss", "discriminator_auc"
    return [
        (
            "generator's loss before and after pre-training",
            f"{before[loss]:.2f} -> {after[loss]:.2f}",
        ),
        (
            "discriminator's AUC before and after (0.5 is chance)",
            f"{before[auc]:.3f} -> {after[auc]:.3f}",
        ),
        (
            f"discriminator's accuracy (all original: {base_accuracy:.2%})",
            f"{after['discriminator_accuracy']:.2%}",
        ),
    ]


def print_paragraph(tokenizer, inputs, outputs, row):
    """Shows a paragraph token by token.

    Args:
        tokenizer: `ElectraTokenizer`.
        inputs: dict of arrays, of the preprocessor.
        outputs: dict of arrays, of the pre-trainer.
        row: int. Which of them to show.
    """
    size = int(inputs["padding_mask"][row].sum())
    originals = inputs["token_ids"][row]
    shown = outputs["corrupted_token_ids"][row]
    probabilities = _probabilities(outputs)[row]
    suspected = _suspected(inputs, outputs, row)
    print("The first paragraph kept back that has 10 to 20 words:\n")
    print(f"  {'token':<18} {'replaced?':>9}")
    for place in range(1, size - 1):  # between [CLS] and [SEP]
        line = (
            f"  {tokenizer.id_to_token(int(shown[place])):<18} "
            f"{probabilities[place]:9.0%}"
        )
        line += "  suspected" if place in suspected else " " * 11
        if outputs["replaced"][row, place]:
            line += f"  was {tokenizer.id_to_token(int(originals[place]))}"
        print(line.rstrip())


def count_found(inputs, outputs):
    """Share of suspected tokens that were replaced, for the summary."""
    replaced = outputs["replaced"]
    found = sum(
        replaced[row, list(_suspected(inputs, outputs, row))].sum()
        for row in range(len(replaced))
    )
    share = replaced.sum() / inputs["padding_mask"].sum()
    precision = found / max(1, replaced.sum())
    print(
        f"\nOf the tokens suspected in {len(replaced)} such paragraphs, "
        f"{precision:.0%} had been replaced; of all tokens, {share:.0%}."
    )
    return [
        (
            f"suspected tokens that were replaced (of all: {share:.0%})",
            f"{precision:.0%}",
        )
    ]


def list_accuracies(accuracy, num_classes):
    """Accuracies of the classifier, for the summary."""
    rows = [("chance", 1 / num_classes), *accuracy.items()]
    return [
        (f"accuracy of the classifier, {name}", f"{value:.1%}")
        for name, value in rows
    ]


def print_summary(rows):
    print_heading("Summary")
    for name, value in rows:
        print(f"  {name:<54} {value:>16}")


def _probabilities(outputs):
    return 1 / (1 + np.exp(-outputs["discriminator_logits"]))


def _suspected(inputs, outputs, row):
    """Places of the most probable tokens, as many as were replaced."""
    size = int(inputs["padding_mask"][row].sum())
    order = np.argsort(-outputs["discriminator_logits"][row, :size])
    return set(order[: outputs["replaced"][row].sum()].tolist())
