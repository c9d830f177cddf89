"""The meter: pure functions from data to Readings with intervals."""

from synthgain.measure.first import first_figures

__all__ = ["first_figures"]
