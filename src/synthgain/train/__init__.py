"""W: kept rows to a trained student. `FineTune` is the door; nothing heavy is imported before it is called."""

from synthgain.train.finetune import FineTune
from synthgain.train.replay import sample, write
from synthgain.train.rows import TrainingRows, data_digest, read_rows, reads
from synthgain.train.shapes import TrainingRow
from synthgain.train.siblings import Pairs, read_pairs
from synthgain.train.student import read_student, said_of_rows, student_record, weights_digest
from synthgain.train.trainer import Lora
from synthgain.train.weights import Scratch

__all__ = [
    "FineTune",
    "Lora",
    "Pairs",
    "Scratch",
    "TrainingRow",
    "TrainingRows",
    "data_digest",
    "read_pairs",
    "read_rows",
    "read_student",
    "reads",
    "said_of_rows",
    "sample",
    "student_record",
    "weights_digest",
    "write",
]
