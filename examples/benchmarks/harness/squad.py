"""Answers in texts: reads SQuAD's files, trains, scores as its scripts do."""

import json
import pathlib

from harness.experiment import Experiment
from harness.files import BadRows
from harness.options import Options
from harness.recipes import QUESTION_ANSWERING
from harness.squad_data import read_squad
from keras_electra.tasks.answers import SCORES
from keras_electra.tasks.answers import best_score
from keras_electra.tasks.answers import best_threshold
from keras_electra.tasks.qa_windows import ElectraQuestionAnsweringPreprocessor
from keras_electra.tasks.question_answering import ElectraQuestionAnswering


class SquadExperiment(Experiment):
    """Fine-tunes a preset on questions with answers in a text.

    Without unanswerable questions in training (version 1.1) the network
    learns nothing about answerability, and has no part for it.

    Args:
        name: string, of the task in results.
        preset: string, name or path of a preset.
        train: list of paths of files in the form of SQuAD.
        dev: list of paths; each is scored on its own.
        options: `Options` or `None` for the defaults.
        head: string, `"joint"` (the default) or `"simple"`.
        predictions: path of a folder for the answers, or `None`.

    Raises:
        FileNotFoundError: a file is missing.
        DataFileError: a file is malformed.
    """

    main_metric = "f1"

    def __init__(
        self,
        name,
        preset,
        train,
        dev,
        options=None,
        head="joint",
        predictions=None,
    ):
        options = options or Options()
        bad = BadRows(options.skip_bad_rows)
        questions = read_squad(*train, bad_rows=bad)
        self.dev = {_stem(path): read_squad(path, bad_rows=bad) for path in dev}
        bad.check()
        self.head = head
        self.predictions = predictions
        super().__init__(
            name,
            preset,
            QUESTION_ANSWERING,
            options,
            train=[str(path) for path in train],
            dev=[str(path) for path in dev],
            head=head,
            **bad.settings,
        )
        questions = questions.first(self.options.limit)
        self.answerability = "auto" if not all(questions.answers) else None
        self.preprocessor = ElectraQuestionAnsweringPreprocessor.from_preset(
            preset, sequence_length=self.sequence_length
        )
        # Trained on the first answer, as the original.
        self.train = self.preprocessor(
            (questions.questions, questions.contexts),
            y=[
                answers[0] if answers else None for answers in questions.answers
            ],
        )

    def build_task(self, backbone):
        return ElectraQuestionAnswering(
            backbone,
            preprocessor=self.preprocessor,
            head=self.head,
            answerability=self.answerability,
        )

    def evaluate(self, task):
        metrics, constant = {}, None
        # `None`: never empty; the threshold is looked for afterwards.
        task.null_threshold = None
        self.answers = {}
        for name, questions in self.dev.items():
            results = task.answer(
                questions.questions,
                questions.contexts,
                batch_size=self.batch_size,
            )
            suffix = f" {name}" if metrics else ""
            found = squad_metrics(results, questions.golds)
            metrics.update({k + suffix: v for k, v in found.items()})
            self.answers[name] = {
                key: result.text for key, result in zip(questions.ids, results)
            }
            if constant is None:
                none = [not golds for golds in questions.golds]
                constant = 100 * sum(none) / len(none)
        return metrics, constant

    def finish(self, task, seed):
        if self.predictions is None:
            return
        folder = pathlib.Path(self.predictions) / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        for name, answers in self.answers.items():
            text = json.dumps(answers, ensure_ascii=False, indent=1)
            (folder / f"{name}.json").write_text(text, encoding="utf-8")


def squad_metrics(results, golds):
    """Exact match and F1 as the official scripts of 1.1 and 2.0 define them.

    Args:
        results: list of `Answers` that are never empty.
        golds: list with, for each question, its right answers; an empty list
            where there is none.

    Returns:
        dict of floats, in percent: `exact` and `f1`. With unanswerable
        questions these are at the best threshold of the null score, each at
        its own, and `answerable f1` is that of the others, always answered.
    """
    has_answer = [bool(right) for right in golds]
    texts = [result.text for result in results]
    scores = {
        name: [
            best_score(function, text, right)
            for text, right in zip(texts, golds)
        ]
        for name, function in SCORES.items()
    }
    if all(has_answer):
        return {k: 100 * sum(v) / len(v) for k, v in scores.items()}
    odds = [result.null_score for result in results]
    metrics = {
        name: 100 * best_threshold(odds, values, has_answer, texts)[0]
        for name, values in scores.items()
    }
    kept = [f1 for f1, has in zip(scores["f1"], has_answer) if has]
    if kept:
        metrics["answerable f1"] = 100 * sum(kept) / len(kept)
    return metrics


def _stem(path):
    return pathlib.Path(path).name.removesuffix(".gz").removesuffix(".json")
