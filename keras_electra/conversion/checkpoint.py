"""What every form of a checkpoint offers, and how its weights are taken over.

Completely or not at all: every tensor must be used or dropped for a reason, and
every weight filled or declared new. All of that, and all shapes, are checked
before a weight is touched; the summary then says in one screen what was done.
"""

import dataclasses

from keras_electra.conversion import weights

# What a network of a checkpoint may be used as.
DISCRIMINATOR, GENERATOR = "discriminator", "generator"


class Checkpoint:
    """One checkpoint in a form that is not ours; a subclass knows the form.

    Tensors are asked for by the original's names (`weights.py`) and for one of
    `networks`, and come like the weights of ours.

    Attributes:
        form: string. Name of the form, for the summary.
        source: string. Where it is from, for messages.
        networks: tuple of `"discriminator"` and `"generator"`, as far as the
            checkpoint holds them. Both for a bare or fine-tuned encoder, of
            which nobody can say what it is.
        is_pair: bool. Whether it holds the two of a pre-training.
        is_tied: bool. Whether these two are one encoder.
        config: dict. Content of `config.json`, or empty.
        architecture: string or `None`. Its class in transformers, if known.
    """

    form = None
    is_pair = False
    is_tied = False
    config = {}
    architecture = None

    def backbone_arguments(self, network):
        """Keyword arguments of `ElectraBackbone` for a network."""
        raise NotImplementedError

    def tokenizer(self, **kwargs):
        """A new `ElectraTokenizer`, or `None`; `kwargs` go before its files."""
        raise NotImplementedError

    def notes(self, network):
        """What was assumed about a network, as strings for the summary."""
        return ()

    def token_head_arguments(self):
        """Keyword arguments of `ElectraMaskedLM` for its head."""
        return {}

    def names(self):
        """Names of all tensors, as they are stored, sorted."""
        raise NotImplementedError

    def stored_name(self, name, network):
        """The stored name for an original name, whether there is one or not."""
        return name

    def shape(self, name, network):
        """Shape of a tensor."""
        raise NotImplementedError

    def read(self, name, network):
        """A tensor as an array."""
        raise NotImplementedError

    def drop_reason(self, stored, network):
        """Why a tensor is left out on purpose; `None` if it must not be."""
        return None

    def has(self, name, network):
        """Whether there is a tensor."""
        return self.stored_name(name, network) in set(self.names())


@dataclasses.dataclass(frozen=True)
class Summary:
    """What became of a checkpoint.

    Attributes:
        source: string. Where it is from.
        form: string. Its form.
        used: int. Number of tensors that are in the model now.
        dropped: pairs of the name of a tensor that is not, and why.
        new: pairs of the path of a weight that is not from it, and why.
        notes: strings. What else the user should know.
    """

    source: str
    form: str
    used: int
    dropped: tuple = ()
    new: tuple = ()
    notes: tuple = ()

    def __str__(self):
        lines = [f"{self.source} ({self.form}): {self.used} tensors used"]
        for title, pairs in (("dropped", self.dropped), ("new", self.new)):
            reasons = {}
            for name, reason in pairs:
                reasons.setdefault(reason, []).append(name)
            for reason, names in reasons.items():
                shown = ", ".join(names[:4])
                more = f", ... {len(names)} in all" if len(names) > 4 else ""
                lines.append(f"  {title}: {shown}{more} ({reason})")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def assign(checkpoint, network, table, new=(), notes=()):
    """Gives weights the values of a checkpoint.

    Args:
        checkpoint: `Checkpoint`.
        network: string. Which of its `networks`.
        table: dict from original names to `Weight`s.
        new: pairs of a path and a reason, for weights not in `table`.
        notes: strings for the summary.

    Returns:
        A `Summary`.

    Raises:
        ValueError: when a tensor is missing, left over or of another shape;
            no weight has been changed then.
    """
    stored = {name: checkpoint.stored_name(name, network) for name in table}
    names, used = set(checkpoint.names()), set(stored.values())
    dropped = {
        name: checkpoint.drop_reason(name, network)
        for name in sorted(names - used)
    }
    missing = sorted(used - names)
    left_over = [name for name, reason in dropped.items() if reason is None]
    if missing or left_over:
        raise ValueError(
            f"{checkpoint.source} must hold exactly the weights of its "
            f"network. Missing: {missing or 'none'}. Left over: "
            f"{left_over or 'none'}. Either its configuration contradicts "
            "its weights, or it is not ELECTRA's."
        )
    for name, weight in table.items():
        shape = tuple(checkpoint.shape(name, network))
        if shape != weight.shape:
            raise ValueError(
                f"{stored[name]!r} of {checkpoint.source} must have the shape "
                f"{weight.shape} by the configuration, but has {shape}. The "
                "configuration contradicts the weights; correct it, or take "
                "the right files."
            )
    weights.fill(table, lambda name: checkpoint.read(name, network))
    return Summary(
        checkpoint.source,
        checkpoint.form,
        len(table),
        tuple(dropped.items()),
        tuple(new),
        tuple(notes),
    )
