"""Fills weights from a checkpoint, completely or not at all.

Every tensor must be used or dropped for a reason, and every weight filled or
declared new. All of that, and all shapes, are checked before a weight is
touched; the summary then says in one screen what was done.
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Summary:
    """What became of a checkpoint.

    Attributes:
        source: string. Where it is from.
        form: string. Its form.
        used: int. Number of tensors that are in the model now.
        dropped: tuple of pairs: name of a tensor that is not, and why.
        new: tuple of pairs: path of a weight that is not from the
            checkpoint, and why.
        notes: tuple of strings. What else the user should know.
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
        table: dict from original names to `Place`s.
        new: iterable of pairs of a path and a reason, for weights that are
            not in `table` on purpose.
        notes: iterable of strings for the summary.

    Returns:
        A `Summary`.

    Raises:
        ValueError: when a tensor is missing, left over or of another shape;
            no weight has been changed then.
    """
    dropped = check(checkpoint, network, table)
    fill(table, lambda name: checkpoint.read(name, network))
    return Summary(
        source=checkpoint.source,
        form=checkpoint.form,
        used=len(table),
        dropped=tuple(dropped),
        new=tuple(new),
        notes=tuple(notes),
    )


def check(checkpoint, network, table):
    """Raises if a checkpoint does not fit; returns what is dropped and why."""
    stored = {name: checkpoint.stored_name(name, network) for name in table}
    names = set(checkpoint.names())
    missing = sorted(set(stored.values()) - names)
    left_over, dropped = [], []
    for name in sorted(names - set(stored.values())):
        reason = checkpoint.drop_reason(name, network)
        if reason is None:
            left_over.append(name)
        else:
            dropped.append((name, reason))
    if missing or left_over:
        raise ValueError(
            f"{checkpoint.source} must hold exactly the weights of its "
            f"network. Missing: {missing or 'none'}. Left over: "
            f"{left_over or 'none'}. Either its configuration contradicts "
            "its weights, or it is not ELECTRA's."
        )
    for name, place in table.items():
        shape = checkpoint.shape(name, network)
        if tuple(shape) != place.shape:
            raise ValueError(
                f"{stored[name]!r} of {checkpoint.source} must have the shape "
                f"{place.shape} by the configuration, but has {tuple(shape)} "
                "(both as a weight of ours). The configuration contradicts "
                "the weights; correct it, or take the right files."
            )
    return dropped


def fill(table, read):
    """Assigns arrays to places.

    Args:
        table: dict from names to `Place`s.
        read: function from a name to an array.
    """
    waiting = {}  # id of a variable -> its names that are still to come
    for name, place in table.items():
        waiting.setdefault(id(place.variable), []).append(name)
    for names in waiting.values():
        variable = table[names[0]].variable
        buffer = np.empty(tuple(variable.shape), "float32")
        for name in names:
            table[name].write(buffer, read(name))
        variable.assign(buffer)
