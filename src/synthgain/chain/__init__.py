"""One round of the chain: `run_round`; and what buys its calls, for others that ask models (`Buyer`, `Desk`)."""

from synthgain.chain.buying import Buyer, Desk, Tally
from synthgain.chain.round import PASS, Outcome, Request, run_round

__all__ = ["PASS", "Buyer", "Desk", "Outcome", "Request", "Tally", "run_round"]
