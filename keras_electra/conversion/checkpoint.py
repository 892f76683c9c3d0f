"""What every form of a checkpoint offers to whoever loads it.

Sizes, tensors by the original's names (`places.py`) in our orientation, the
tokenizer, and the labels of a fine-tuned head. A subclass knows one form.
"""

# What a network of a checkpoint may be used as.
DISCRIMINATOR, GENERATOR = "discriminator", "generator"


class Checkpoint:
    """One checkpoint in a form that is not ours.

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
        labels: list of strings or `None`. Names of the classes.
        classifier_dropout: float. Dropout of a fine-tuned head.
        problem_type: string or `None`. What transformers calls so.
    """

    form = None
    is_pair = False
    is_tied = False
    config = {}
    architecture = None
    labels = None
    classifier_dropout = 0.1
    problem_type = None

    def backbone_arguments(self, network):
        """Keyword arguments of `ElectraBackbone` for one of `networks`."""
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
        raise NotImplementedError

    def shape(self, name, network):
        """Shape of a tensor by its original name, as a weight of ours."""
        raise NotImplementedError

    def read(self, name, network):
        """A tensor by its original name, as an array like our weight."""
        raise NotImplementedError

    def drop_reason(self, stored, network):
        """Why a tensor is left out on purpose; `None` if it must not be."""
        raise NotImplementedError

    def tokenizer(self, **kwargs):
        """A new `ElectraTokenizer`, or `None` if there is none.

        `**kwargs` take the place of what the files say.
        """
        raise NotImplementedError

    def has(self, name, network):
        """Whether there is a tensor of an original name."""
        return self.stored_name(name, network) in set(self.names())
