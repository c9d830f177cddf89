"""One round of the chain (`Round`); what is asked for (`Request`); and what buys calls, for others that ask models."""

from synthgain.chain.buying import Buyer, NotBought
from synthgain.chain.desk import Desk
from synthgain.chain.groups import PASS, Numbered
from synthgain.chain.request import Named, Reached, Recorded, Request
from synthgain.chain.round import Outcome, Round
from synthgain.chain.tally import Tally
from synthgain.chain.wave import Opened, Shard, draft

__all__ = [
    "PASS",
    "Buyer",
    "Desk",
    "Named",
    "NotBought",
    "Numbered",
    "Opened",
    "Outcome",
    "Reached",
    "Recorded",
    "Request",
    "Round",
    "Shard",
    "Tally",
    "draft",
]
