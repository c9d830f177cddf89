"""What ships as examples: word problems with gold answers, and documents about things that do not exist.

All of it is written for this project, so no model has read it and no licence but ours holds.
"""

from synthgain.examples.families import FAMILIES, SHOTS
from synthgain.examples.problems import problems, write
from synthgain.examples.reading import document_questions, documents, recorded_calls, write_documents

__all__ = [
    "FAMILIES",
    "SHOTS",
    "document_questions",
    "documents",
    "problems",
    "recorded_calls",
    "write",
    "write_documents",
]
