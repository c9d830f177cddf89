"""The laboratory: worlds in which everything the theory speaks of is known.

gmm    the paper's Gaussian-mixture simulation, as published and with exact densities
chain  small discrete worlds, enumerated: both sides of every inequality, and the counter-examples
gain   worlds where ΔI and the real benefit are both known
draw   pictures of any of their results
"""

from synthgain.simulate.chain import World, chain
from synthgain.simulate.gain import GainOptions, gain
from synthgain.simulate.gmm import gmm, scene, sentences
from synthgain.simulate.options import GmmOptions
from synthgain.simulate.pictures import draw
from synthgain.simulate.worlds import WORLDS

__all__ = ["WORLDS", "GainOptions", "GmmOptions", "World", "chain", "draw", "gain", "gmm", "scene", "sentences"]
