"""The questions that the original program was run on, from its files."""

import json


def questions(golden, name):
    """Yields `(id, question, context, answer)`, the answer with its start.

    Args:
        golden: folder of the recorded numbers.
        name: string. `"squad"`, `"squadv1"` or `"newsqa"`.
    """
    folder = golden / "finetune_raw"
    if name == "newsqa":
        text = (folder / "newsqa.jsonl").read_text(encoding="utf-8")
        paragraphs = [json.loads(line) for line in text.splitlines()]
        paragraphs = [p for p in paragraphs if "header" not in p]
    else:
        text = (folder / f"{name}.json").read_text(encoding="utf-8")
        entries = json.loads(text)["data"]
        paragraphs = [p for entry in entries for p in entry["paragraphs"]]
    for paragraph in paragraphs:
        for qa in paragraph["qas"]:
            answer = None
            if "detected_answers" in qa:
                first = qa["detected_answers"][0]
                answer = (first["text"], first["char_spans"][0][0])
            elif qa["answers"]:
                first = qa["answers"][0]
                answer = (first["text"], first["answer_start"])
            id = qa.get("id", qa.get("qid"))
            yield id, qa["question"], paragraph["context"], answer
