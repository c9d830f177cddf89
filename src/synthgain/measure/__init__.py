"""The meter: pure functions from data to Readings with intervals."""

from synthgain.measure.after_training import after_training
from synthgain.measure.compare import Side, differences
from synthgain.measure.data import Data, even_sample
from synthgain.measure.meter import Instruments, Rescoring, meter
from synthgain.measure.proxy import held_out_gains, judged
from synthgain.measure.ranking import sentences
from synthgain.measure.running import Running, Thresholds

__all__ = [
    "Data",
    "Instruments",
    "Rescoring",
    "Running",
    "Side",
    "Thresholds",
    "after_training",
    "differences",
    "even_sample",
    "held_out_gains",
    "judged",
    "meter",
    "sentences",
]
