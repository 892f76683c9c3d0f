"""Questions, contexts and answers as users give them -> lists."""

from keras_electra.tasks.sentences import to_list


def to_questions(x):
    """Two lists, of questions and of contexts.

    Args:
        x: tuple of two columns of strings, or dict with `question` and
            `context`.

    Returns:
        `(questions, contexts)`, lists of str.

    Raises:
        TypeError: when `x` is anything else.
        ValueError: when the columns differ in length, or a string is empty.
    """
    if isinstance(x, dict) and {"question", "context"} <= set(x):
        x = (x["question"], x["context"])
    if not isinstance(x, tuple) or len(x) != 2:
        raise TypeError(
            "`x` must be a tuple of two lists, `(questions, contexts)`, or a "
            "dict with `question` and `context`. Received: "
            f"{type(x).__name__}."
        )
    columns = []
    for name, column in zip(("question", "context"), x):
        column = [_to_text(text) for text in to_list(column)]
        for index, text in enumerate(column):
            if not isinstance(text, str):
                raise TypeError(
                    f"A {name} must be a string. Number {index} is {text!r} "
                    f"of type {type(text).__name__}."
                )
            if not text.strip():
                raise ValueError(
                    f"A {name} must not be empty. Number {index} is {text!r}. "
                    "Leave it out."
                )
        columns.append(column)
    questions, contexts = columns
    if len(questions) != len(contexts):
        raise ValueError(
            "There must be one context a question. Received: "
            f"{len(questions)} questions and {len(contexts)} contexts."
        )
    return questions, contexts


def to_answers(y, count):
    """Texts of answers, and where they start.

    Args:
        y: for each question a string that occurs in the context, a tuple of
            the string and the number of its first character, a dict in the
            form of SQuAD with `text` and `answer_start` (lists, of which the
            first counts), or `None`, an empty string or empty lists where
            the context has no answer. Or a tuple of two columns, the strings
            and the numbers, as data sets have.
        count: int. Number of questions.

    Returns:
        List of `(text, start)`; `start` is `None` where it is not given, and
        the whole `None` where there is no answer.

    Raises:
        TypeError: when an answer is of another kind.
        ValueError: when there are more or fewer answers than questions.
    """
    is_columns = (
        isinstance(y, tuple)
        and len(y) == 2
        and all(hasattr(column, "__len__") for column in y)
        and not any(isinstance(column, (str, bytes)) for column in y)
    )
    if is_columns:
        y = list(zip(*map(to_list, y), strict=True))
    y = to_list(y)
    if len(y) != count:
        raise ValueError(
            "`y` must hold one answer a question. Received: "
            f"{count} questions and {len(y)} answers."
        )
    return [_to_answer(answer, index) for index, answer in enumerate(y)]


def _to_answer(answer, index):
    text, start = answer, None
    if isinstance(answer, dict) and "text" in answer:
        text, start = answer["text"], answer.get("answer_start")
        if isinstance(text, (list, tuple)):
            text = text[0] if len(text) else ""
        if isinstance(start, (list, tuple)):
            start = start[0] if len(start) else None
    elif isinstance(answer, (list, tuple)) and len(answer) == 2:
        text, start = answer
    text = _to_text(text)
    if text is None or text == "":
        return None
    is_place = start is None or (
        not isinstance(start, (str, float)) and int(start) == start
    )
    if not isinstance(text, str) or not is_place:
        raise TypeError(
            "An answer must be a string, a tuple `(text, start)`, a dict with "
            "`text` and `answer_start`, or None. Number "
            f"{index} is {answer!r}."
        )
    return text, None if start is None or start < 0 else int(start)


def _to_text(text):
    return text.decode("utf-8") if isinstance(text, bytes) else text
