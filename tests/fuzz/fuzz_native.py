"""Coverage-guided fuzzing of the parser of TF Serving's metrics page.

As long as you like, here for an hour: `python tests/fuzz/fuzz_native.py -max_total_time=3600`. Every flag of libFuzzer
works (`-jobs=2`, `-seed=7`). It ends with an exit code other than 0 at the first finding and prints the input as
base64, which `python tests/fuzz/fuzz_native.py --input=BASE64` runs again. The corpus is built anew from the real
server's page and forgotten at the end; name a folder to keep it: `python tests/fuzz/fuzz_native.py FOLDER`.
"""

from __future__ import annotations

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["airbag_exporters.serving.native", "airbag_exporters.serving.defects"]):
    from airbag_exporters.serving.native import Counter, Page, Parser, Requests, parse

from tests.exporters.native_page import write  # noqa: E402

SAMPLE = ROOT / "tests" / "golden" / "tf-serving-metrics-page.txt"
VICTIM = "nobody writes this name by chance"
GOOD: dict[Counter, int] = {Requests(VICTIM, "OK"): 7, Requests(VICTIM, "INTERNAL"): 2}
GOOD_PAGE = write(GOOD)
WORDS = [":tensorflow:serving:request_", "count{", "latency_bucket{", "model_name=", "status=", "API=", "entrypoint=",
         "le=", '="', '",', '"} 5\\x0a', '\\\\', '\\x0a', "+Inf", " 1e3", "# TYPE "]  # fmt: skip


def check(data: bytes) -> None:
    """What holds for any bytes, as a page and as a name."""
    parser = Parser()
    page = parser.parse(data)
    for example in (defect.example for defect in page.defects):
        assert len(example) < 600
        assert example.isprintable()
    assert all(value >= 0 for value in page.counters.values())
    assert parser.parse(data) == page, "the second reading differs from the first"
    check_beside_good_lines(data, parser)
    check_as_name(data)


def check_beside_good_lines(data: bytes, parser: Parser) -> None:
    """Garbage takes no good line with it, before or after it."""
    if VICTIM.encode() not in data:
        for page in (GOOD_PAGE + data, data + b"\n" + GOOD_PAGE):
            found = parser.parse(page)
            assert found.counters.items() >= GOOD.items(), "a good line is lost"
            assert found == parse(page), "what was learned changes what is read"


def check_as_name(data: bytes) -> None:
    """A model name of any bytes forges nothing, also where the page is cut off."""
    name = data.decode(errors="surrogateescape")
    for counters in ({Requests(name, "NOT_FOUND"): 1, **GOOD}, {**GOOD, Requests(name, "OK"): 1}):
        page = write(counters)
        assert parse(page).counters == counters, "a name changes what is counted"
        cut: Page = parse(page[: len(page) - len(data) // 2 - 1])
        assert cut.counters.items() <= counters.items(), "a name forges a counter on a torn page"


def write_seeds(folder: Path) -> None:
    """Pieces of the real page, and names that try to forge."""
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    ours = [line for line in lines if b":tensorflow:serving:request_" in line]
    pieces = [b"".join(ours[start : start + 40]) for start in range(0, len(ours), 40)]
    forged = GOOD_PAGE[:400].replace(VICTIM.encode(), b"m")
    names = [b'x"} 5\n' + forged, b"x\n" + forged + b"model_name=", b"\xff\xfe", b'a\\"} 1e3 1700000000000\n']
    for number, seed in enumerate([*pieces, *names, *ours[:20], b"".join(lines)[:4000]]):
        (folder / f"seed-{number}").write_bytes(seed)


def main(arguments: list[str]) -> int:
    """Fuzz in a child, since libFuzzer ends its process without tidying up."""
    for argument in arguments:
        if argument.startswith("--input="):
            check(base64.b64decode(argument.removeprefix("--input=")))
            return 0
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder, "seeds")
        seeds.mkdir()
        write_seeds(seeds)
        words = Path(folder, "words")
        words.write_text("".join('"{}"\n'.format(word.replace('"', '\\"')) for word in WORDS))
        flags = [f"-dict={words}", "-max_len=4096", "-timeout=20", f"-artifact_prefix={folder}/", *arguments]
        return subprocess.run([sys.executable, __file__, "--child", *flags, str(seeds)], cwd=folder).returncode


if __name__ == "__main__":
    if "--child" in sys.argv:
        sys.argv.remove("--child")
        atheris.Setup(sys.argv, check)
        atheris.Fuzz()
    sys.exit(main(sys.argv[1:]))
