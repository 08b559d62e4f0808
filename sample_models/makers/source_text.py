"""Python source as training text: the standard library's files, and what each character of a file is.

Runs under Python 3.7 too: the samples are made by the releases that users' files come from.
"""

import io
import os
import sysconfig
import tokenize

# Never trained on: `generate.py units` measures what the units follow on these.
HELD_OUT = ("argparse.py", "configparser.py", "sched.py", "textwrap.py", "zipfile.py")
# Tests and tables: much text, little that reads like code.
LEFT_OUT = {
    "__pycache__", "encodings", "ensurepip", "idle_test", "idlelib", "lib2to3", "pydoc_data", "site-packages",
    "test", "tests", "turtledemo",
}  # fmt: skip
FEATURES = ("text", "string", "docstring", "quoted", "comment", "parentheses", "indentation", "column", "name")


def files():
    """`{path below the standard library: text}` of the running Python, ASCII files only, in a fixed order."""
    root = sysconfig.get_paths()["stdlib"]
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if name.endswith(".py"):
                with open(path, "rb") as file:
                    data = file.read().replace(b"\r\n", b"\n")
                if data and max(data) < 128:
                    found[os.path.relpath(path, root).replace(os.sep, "/")] = data.decode("ascii")
    return found


def split():
    """`(training, held out)`: two such dictionaries."""
    every = files()
    held_out = {name: every[name] for name in HELD_OUT}
    return {name: text for name, text in every.items() if name not in held_out}, held_out


def lines(text):
    """The lines of `text` with their ends: unlike `str.splitlines`, a form feed ends none."""
    return list(io.StringIO(text))


def features(text):
    """What each character of a Python source is: `{feature: [len(text)] floats}` for every one of `FEATURES`.

    `string` holds for the characters of any string literal, its quotes included, `docstring` for those of triple-quoted
    ones and `quoted` for those of the others; `text` for those of a string or a comment; `name` for names and keywords;
    `parentheses` is the depth of open brackets; `indentation` is the number of leading spaces of the character's own
    line, whatever the line holds; `column` counts from 0.

    Raises:
        tokenize.TokenError, IndentationError: the text is no complete Python source.
    """
    starts = [0]
    for line in lines(text):
        starts.append(starts[-1] + len(line))
    values = {name: [0.0] * len(text) for name in FEATURES}
    for start, stop in zip(starts, starts[1:]):  # noqa: B905, RUF007  Python 3.7 has neither
        line = text[start:stop]
        indent = float(len(line) - len(line.lstrip(" ")))
        values["indentation"][start:stop] = [indent] * (stop - start)
        values["column"][start:stop] = [float(i) for i in range(stop - start)]
    depth, last = 0.0, 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.start[0] > len(starts) - 1:
            break
        start = starts[token.start[0] - 1] + token.start[1]
        stop = min(starts[min(token.end[0], len(starts)) - 1] + token.end[1], len(text))
        kind = {tokenize.STRING: "string", tokenize.COMMENT: "comment", tokenize.NAME: "name"}.get(token.type)
        if kind:
            values[kind][start:stop] = [1.0] * (stop - start)
        if kind == "string":
            triple = token.string.endswith(('"""', "'''"))
            values["docstring" if triple else "quoted"][start:stop] = [1.0] * (stop - start)
        values["parentheses"][last:stop] = [depth] * (stop - last)
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        last = stop
    values["text"] = [a + b for a, b in zip(values["string"], values["comment"])]  # noqa: B905
    return values
