"""W: kept rows to a trained student. `FineTune` is the door; nothing heavy is imported before it is called."""

from synthgain.train.data import data_digest, read_rows
from synthgain.train.finetune import FineTune
from synthgain.train.learn import Lora
from synthgain.train.replay import sample, write
from synthgain.train.siblings import Pairs, read_pairs
from synthgain.train.student import read_student, student_record, weights_digest

__all__ = [
    "FineTune",
    "Lora",
    "Pairs",
    "data_digest",
    "read_pairs",
    "read_rows",
    "read_student",
    "sample",
    "student_record",
    "weights_digest",
    "write",
]
