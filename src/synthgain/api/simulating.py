"""The laboratory's three commands as functions: the JSON of `synthgain simulate --json`, and pictures where asked."""

from synthgain.simulate import WORLDS, GainOptions, GmmOptions, chain, draw, gain, gmm, scene, sentences
from synthgain.simulate.gain import settings

__all__ = ["WORLDS", "GainOptions", "GmmOptions", "chain", "draw", "gain", "gmm", "scene", "sentences", "settings"]
