"""Documents to text, in a process of its own: run as a script by `documents.py`, never imported.

A line of JSON in (a path), a line of JSON out (the text, or what is wrong). What a document does to this process, it does to no other:
it may run out of memory, never end, or crash.
"""

import json
import os
import sys

MEMORY = 4 << 30  # bytes
MARKDOWN = (
    ".docx",
    ".odt",
    ".epub",
    ".xlsx",
)  # of these it is whole; of .pptx it has no notes, and of .html a false title


def text_of(path: str) -> str:
    """The document's text, by the library's own bounds on what is packed in it (100 MB a part)."""
    from kreuzberg import ExtractionConfig, extract_file_sync

    form = "markdown" if os.path.splitext(path)[1].lower() in MARKDOWN else "plain"
    config = ExtractionConfig(use_cache=False, ocr=None, output_format=form, enable_quality_processing=False)
    text: str = extract_file_sync(path, config=config).content
    return text.replace("\r\n", "\n")


def main() -> None:
    """Until standard input ends."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):  # Windows, or a limit that is lower already
        pass
    for line in sys.stdin:
        try:
            said = {"text": text_of(json.loads(line))}
        except Exception as error:  # whatever the library raises for a damaged document
            parts = dict.fromkeys(" ".join(str(error).split()).split(": "))  # it repeats itself
            said = {"wrong": ": ".join(parts)[:300]}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
