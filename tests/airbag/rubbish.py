"""Files that nobody should write and somebody will."""

from __future__ import annotations

_ROWS = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 10)]
BOMB = "x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "\n".join(_ROWS)
_MERGES = [f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 10)}]}}" for n in range(1, 10)]

RUBBISH = {
    "bomb": BOMB,
    "merge bomb": "x0: &x0 {a: 1}\n" + "\n".join(_MERGES),
    "deep lists": "[" * 20_000,
    "deep mappings": "{a: " * 20_000,
    "deep blocks": "- " * 20_000,
    "itself": "&a [*a]",
    "scalar": "just words",
    "number": "42",
    "list": "- a\n- b",
    "unfinished": "{a: [",
    "python": "!!python/object/apply:os.system ['true']",
    "binary": "value: !!binary aGk=",
    "set": "value: !!set {a, b}",
    "date": "value: !!timestamp x",
    "digits": "value: " + "9" * 5000,
    "list as key": "? [1, 2]\n: x",
    "control": "a: \x07",
    "twice": "a: 1\na: 2",
    "lone surrogate": 'value: {"\\ud800": 1}\nother: 1',
    "two documents": "--- a\n--- b",
}
