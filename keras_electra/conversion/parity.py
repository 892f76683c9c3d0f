"""How far an exported graph is from its task, and what eight bits change.

Strings that are hard for tokenizers go the way of other programs, through the
files of the folder; labelled data, where it is given, through both networks.
"""

import json
import os
import random
import unicodedata
from typing import Any

import keras
import numpy as np
import tokenizers

from keras_electra.backend import export as graphs
from keras_electra.backend.files import write_json
from keras_electra.conversion.tokenizer_files import TOKENIZER
from keras_electra.data.batches import Batches
from keras_electra.data.inputs import map_columns
from keras_electra.data.rows import make_rows
from keras_electra.presets_saving import KEPT
from keras_electra.presets_saving import PIPELINES
from keras_electra.presets_saving import write_card

CARD = """---
library_name: {}
pipeline_tag: {}
tags: [electra]
---
<!-- Written by export; {}
# {}

It runs without Keras. Inputs, int64 `(batch, length)`, are made by
`tokenizer.json`; labels and thresholds are in `config.json`. Against its task,
on hard strings (more in `parity.json`):

| graph | MB | largest difference | other decisions |
| --- | --- | --- | --- |
{}"""
FIELDS = dict(zip(graphs.INPUTS, ("token_ids", "padding_mask", "segment_ids")))
# First and last character of scripts, symbols, marks, controls and spaces.
RANGES = (
    "az AZ 09 !~ Àſ Ας 一龥 ぁヿ 가힣 ءي את अह กฮ 😀🙏 ←⋿ ！～ "
    "\u0300\u036f \x00\x1f \u2000\u200f \ue000\uf8ff"
).split(" ")
FIXED = (
    "", " ", "\t\n", "[MASK] [CLS] [SEP] [PAD]", "##ing", "don't", "U.S.A.",
    "1,234.50 €", "3.14e-10", "http://a.b/c?d=e&f=g", "👩‍👩‍👧 🇩🇪",
    "東京tokyo", "ﬁ ﬀ ½ ² Ⅷ", "İıẞß", "e\u0301 é", "\ufeffx\u00ad\u200by",
    "السلام عليكم", "שָׁלוֹם", "नमस्ते", "x" * 300, "a" + " " * 50 + "A",
)  # fmt: skip


def hard_strings(count: Any = 300) -> Any:
    """The same `count` strings every time: fixed ones, then drawn ones."""
    draws, texts = random.Random(0), list(FIXED)
    while len(texts) < count:
        few = draws.sample(RANGES, draws.choice((1, 1, 2, 3)))
        length = draws.choice((1, 4, 16, 40) if len(texts) % 50 else (2000,))
        ends = [[*map(ord, draws.choice(few))] for _ in range(length)]
        spaces = draws.choices(("", "", "", " "), k=length)
        text = "".join(chr(draws.randint(*e)) + s for e, s in zip(ends, spaces))
        form = draws.choice(("NFC", "NFD", "NFKC", "NFKD"))
        texts.append(unicodedata.normalize(form, text))
    return texts


def batches_of(task: Any, x: Any, y: Any = None, size: Any = 16) -> Any:
    """Yields batches `(x, y, sample_weight)` of what `fit` takes."""
    rows = task._memory_rows(task._read(x, y))
    batches = Batches(rows, size, "by_length", finish=task.finish_batch)
    for position in range(len(batches)):
        yield keras.utils.unpack_x_y_sample_weight(batches.batch(position))


def graph_inputs(x: Any) -> dict[str, Any]:
    """What a graph takes for the `x` of a batch."""
    return {name: x[field].astype("int64") for name, field in FIELDS.items()}


def texts_of(task: Any) -> Any:
    """Its tokenizer, a tagger's for whole words, and the most tokens a row."""
    text, longest = task.preprocessor, task.backbone.max_sequence_length
    tokenizer = getattr(text, "word_tokenizer", text.tokenizer)
    return tokenizer, min(text.sequence_length, longest)


def _hard_batches(task, folder):
    """As `batches_of`, of hard strings as the folder's tokenizer reads them.

    Also those of which the task's own makes other tokens.
    """
    texts, (ours, length) = hard_strings(), texts_of(task)
    pipeline = tokenizers.Tokenizer.from_file(os.fspath(folder / TOKENIZER))
    pipeline.enable_truncation(length)
    rows = [row.ids for row in pipeline.encode_batch(texts)]
    others = [
        text
        for text, row, ids in zip(texts, rows, ours.encode_batch(texts))
        if row[1:-1] != ids[: length - 2]
    ]
    x = make_rows(rows, map(len, rows), ours.pad_token_id)
    shape = x["token_ids"].shape
    if segment_id := getattr(task.preprocessor, "segment_id", 0):
        x["segment_ids"] = segment_id * x["padding_mask"]
    if "mask_positions" in task.input:  # a word for every token
        x["mask_positions"] = np.arange(shape[1]) + np.zeros(shape, "int32")
    if len(task.input["token_ids"].shape) == 3:  # two choices each
        x = {n: v.reshape(-1, 2, shape[1]) for n, v in x.items()}
    return list(batches_of(task, x)), others


def named_outputs(task: Any, outputs: Any) -> Any:
    """Outputs by their names in a graph, whose softmax is to be trusted."""
    if isinstance(outputs, dict):
        return outputs
    if hasattr(task, "pooling"):
        return {"sentence_embedding": outputs}
    calibrated = getattr(task, "calibrated", lambda logits: logits)
    return {"logits": calibrated(outputs)}


def _decisions(task, outputs, mask):
    """What outputs decide, `(decisions,)`; nothing where they are numbers."""
    kind = getattr(task, "problem_type", None)
    scores = outputs.get("logits", outputs.get("start_logits"))
    if scores is None or kind == "regression":
        return np.zeros(0)
    is_detector = "logits" in outputs and scores.shape == mask.shape
    is_apart = kind == "multi_label" or task.token_outputs and is_detector
    scores = scores > 0 if is_apart else scores.argmax(-1)
    return scores[mask > 0] if scores.shape == mask.shape else scores.ravel()


def _compare(task, run, batches, ours):
    """How far a graph is from the outputs `ours`, and decisions changed.

    Of batches with labels also the metrics, where the task has some.
    """
    largest, changed, count, outputs = {}, 0, 0, []
    for (x, *_), known in zip(batches, ours):
        found, mask = run(graph_inputs(x)), x["padding_mask"]
        if "mask_positions" in x:  # a graph predicts every token
            places = x["mask_positions"]
            mask = np.take_along_axis(mask, places, 1)
            places = places[:, :, None]
            found["logits"] = np.take_along_axis(found["logits"], places, 1)
        # Of equally good starts any may be among the best.
        for name in (name for name in known if "_top_" not in name):
            values = (np.float32(each[name]) for each in (known, found))
            difference = np.abs(np.subtract(*values))
            if task.token_labels and difference.shape[:2] == mask.shape:
                difference = difference[mask > 0]
            worst = difference.max(initial=largest.get(name, 0))
            largest[name] = float(worst)
        before, now = (_decisions(task, each, mask) for each in (known, found))
        changed, count = changed + int((before != now).sum()), count + now.size
        outputs.append({name: found[name] for name in known})
    result = {"largest_differences": largest}
    if count:
        result["decisions_changed"] = changed / count
    if batches[0][1] is not None and task.compiled:
        result["metrics"] = _metrics(task, batches, outputs)
    return result


def _metrics(task, batches, outputs):
    """The task's metrics with these outputs, but no loss."""
    task.reset_metrics()
    for (x, y, sample_weight), found in zip(batches, outputs):
        if not isinstance(task.output, dict):
            (found,) = found.values()
        data = x, y, found, sample_weight
        task.compute_metrics(*map_columns(keras.ops.convert_to_tensor, data))
    results = {n: float(v) for n, v in task.get_metrics_result().items()}
    results.pop("loss", None)
    return results


def write_report(task, form, folder, paths, validation_data):
    """Writes `parity.json` and `README.md`; an error for a wrong graph."""

    def outputs_of(batches):
        outputs = (keras.Model.predict_on_batch(task, x) for x, *_ in batches)
        outputs = [named_outputs(task, each) for each in outputs]
        return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

    (strings, others), rows = _hard_batches(task, folder), ""
    labelled = [*batches_of(task, *validation_data)] if validation_data else []
    of_strings, of_labelled = outputs_of(strings), outputs_of(labelled)
    report = {"format": form, "hard_strings": len(hard_strings())}
    report |= {"tokens_differ": others, "graphs": {}}
    if labelled and task.compiled:
        known = _metrics(task, labelled, of_labelled)
        report["metrics_of_task"] = known
    for path in paths:
        run, name = graphs.load(form, path), path.relative_to(folder).as_posix()
        files = [*path.rglob("*"), *path.parent.glob(f"{path.stem}.*")]
        size = sum(file.stat().st_size for file in files) / 1e6
        found = _compare(task, run, strings, of_strings)
        found = report["graphs"][name] = {"megabytes": size, **found}
        if labelled:
            some = _compare(task, run, labelled, of_labelled)
            found["on_labelled_data"] = some
        worst = max(found["largest_differences"].values())
        limit = 1e-2 if task.dtype_policy.name == "float32" else 1.0
        if path is paths[0] and not worst < limit:
            raise RuntimeError(
                f"The graph {path.name} gives other results than the task, "
                f"by up to {worst:.3g}. Nothing was written; try another."
            )
        share = found.get("decisions_changed", 0)
        rows += f"| {name} | {size:.1f} | {worst:.2g} | {share:.2%} |\n"
    write_json(folder / "parity.json", report)
    name = type(task).__name__
    library = "transformers.js" if form == "onnx" else form
    pipeline = PIPELINES.get(name, "fill-mask")
    write_card(folder, CARD.format(library, pipeline, KEPT, name, rows))
    if keras.config.is_interactive_logging_enabled():
        print(f"{folder.parent}: {json.dumps(report['graphs'])}")
