"""The paper's quantities and inequalities in one enumerated world, and the conditions under which they do hold.

Equation numbers are those of arXiv 2410.01720. Where a step of a proof is false in general, the step that is
true stands beside it, marked `corrected`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synthgain.simulate.chain import CLOSE, Joint, World
from synthgain.simulate.mixtures import Array

Quantities = dict[str, float | None]


@dataclass(frozen=True)
class Inequality:
    """left ≤ right. `slack` is right − left; None where the right side is the root of a negative number."""

    name: str
    left: float
    right: float | None
    slack: float | None
    holds: bool
    shows: str = ""


@dataclass(frozen=True)
class Condition:
    """An assumption: `value` is the nats by which it is missed (0 where it is met), `then` what it makes true."""

    name: str
    value: float
    met: bool
    then: str


def quantities(w: World, q: Joint) -> Quantities:
    """Everything the paper names, in nats (λ, α and the distances are pure numbers; None: not defined here)."""
    e_p_m = q.i("e_p", "M")
    noise_loss = q.i("M", "W") - q.i("S_gen", "W")  # δ_ε
    left_over, left_over_control = q.h("S_anchor", given=["W"]), q.h("S_anchor", given=["W'"])
    i_control, i_gen = q.i("S_anchor", "W'"), q.i("S_gen", "W")
    found: Quantities = {
        "H(S_anchor)": q.h("S_anchor"),
        "H(e_p)": q.h("e_p"),
        "H(h(e_p))": q.h("h"),
        "H(e_M)": q.h("e_M"),
        "H(g(e_M))": q.h("g"),
        "H(M(p))": q.h("M"),
        "H(S_gen)": q.h("S_gen"),
        "I(h(e_p);M(p))": q.i("h", "M"),
        "I(e_p;M(p))": e_p_m,
        "I(S_anchor;M(p))": q.i("S_anchor", "M"),
        "I(M(p);W)": q.i("M", "W"),
        "I(S_gen;W)": i_gen,
        "I(S_anchor;W')": i_control,
        "I(e_p;W)": q.i("e_p", "W"),
        "I(e_M;W)": q.i("e_M", "W"),
        "H(S_gen|W)": q.h("S_gen", given=["W"]),
        "H(S_anchor|W)": left_over,
        "H(S_anchor|W')": left_over_control,
        "H(S_anchor|M(p))": q.h("S_anchor", given=["M"]),
        "delta_I": q.h("M") - q.i("h", "M"),  # ΔI
        "b_syn": q.i("e_M", "W") + q.i("e_p", "W"),  # B_syn
        "lambda": q.h("e_p") / e_p_m if e_p_m > CLOSE else None,  # lemma E.1
        "delta_epsilon": noise_loss,  # δ_ε
        "delta_epsilon_p": q.h("e_p") - e_p_m - noise_loss,  # δ_{ε,p} = (λ − 1) I(e_p;M(p)) − δ_ε
        "delta_h": q.h("S_anchor") - q.h("S_gen"),  # ΔH
        "epsilon_w_p": left_over - q.h("S_anchor", given=["M"]),  # ε_{W,p}
        "alpha": left_over_control / left_over if left_over > CLOSE else None,  # α
        "ggmi": i_control - i_gen,
        "ggmi_per_example": i_control / w.sizes[1] - i_gen / w.sizes[0],
    }
    return found | _distances(w, q)


def _distances(w: World, q: Joint) -> Quantities:
    size = len(w.learn)
    said, kept = q.values("M", size), q.values("S_gen", size)
    real = np.array(w.target) if w.target else said
    loss = np.array(w.loss)
    error = (loss @ real)[q.columns["W"]] - loss[q.columns["W"], q.columns["S_gen"]]
    gap = (loss @ kept)[q.columns["W"]] - loss[q.columns["W"], q.columns["S_gen"]]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(kept > 0, kept * np.log(kept / said), 0.0)
    return {
        "D_TV(D,D_M)": tv(real, said),
        "D_TV(D_M,D_gen)": tv(said, kept),
        "D_TV(D,D_gen)": tv(real, kept),
        "KL(D_gen||D_M)": float(ratio.sum()) if np.isfinite(ratio).all() else None,
        "acceptance": float(q.mass @ np.array(w.keep)[q.columns["M"]]) if w.keep else 1.0,
        "C": float(loss.max()),
        "E|Err|": float(q.mass @ np.abs(error)),
        "E|gap|": float(q.mass @ np.abs(gap)),
        "|E gap|": abs(float(q.mass @ gap)),
    }


def tv(p: Array, q: Array) -> float:
    """Total variation distance of two laws over the same values."""
    return float(0.5 * np.abs(p - q).sum())


def inequalities(w: World, q: Joint, found: Quantities) -> list[Inequality]:
    """Each step of the paper, in its order, and beside a false one the true one."""
    v = {name: value for name, value in found.items() if value is not None}
    bound = lemma_4_5(v)
    distance = v["D_TV(D,D_M)"] + v["D_TV(D_M,D_gen)"]
    raised = v["H(S_gen)"] - v["H(M(p))"]
    return [
        _at_most(
            "eq. 12: integral |P - Q| <= D_TV", 2 * v["D_TV(D_M,D_gen)"], v["D_TV(D_M,D_gen)"], "M1: it is 2 D_TV"
        ),
        _at_most("lemma 3.1: D_TV(D,D_gen) <= D_TV(D,D_M) + D_TV(D_M,D_gen)", v["D_TV(D,D_gen)"], distance, "M2"),
        _at_most("eq. 15: H(S_gen) <= H(M(p))", v["H(S_gen)"], v["H(M(p))"], "M3: independent noise raises entropy"),
        _at_most("eq. 16: I(S_gen;W) <= I(M(p);W)", v["I(S_gen;W)"], v["I(M(p);W)"], "M4: the arrow is the other way"),
        _at_most(
            "corrected 16: I(M(p);W) <= I(S_gen;W)", v["I(M(p);W)"], v["I(S_gen;W)"], "M4, where M(p)-S_gen-W is Markov"
        ),
        _at_most("eq. 18: H(h(e_p)) <= H(e_p)", v["H(h(e_p))"], v["H(e_p)"], "M5: true for discrete variables"),
        _at_most("eq. 18: H(g(e_M)) <= H(e_M)", v["H(g(e_M))"], v["H(e_M)"], "M5: true for discrete variables"),
        _at_most(
            "eq. 21: I(h+g;W) <= I(h;W) + I(g;W)",
            v["I(M(p);W)"],
            q.i("h", "W") + q.i("g", "W"),
            "M6: W may know the sum better",
        ),
        _at_most("eq. 21: I(M(p);W) <= B_syn", v["I(M(p);W)"], v["b_syn"], "M6"),
        _at_most(
            "corrected 21: I(M(p);W) <= B_syn + I(e_p;e_M|W) - I(e_p;e_M)",
            v["I(M(p);W)"],
            v["b_syn"] + q.i("e_p", "e_M", given=["W"]) - q.i("e_p", "e_M"),
            "M6: always, with the synergy of the factors",
        ),
        _at_most(
            "eq. 23: I(M(p);W) <= -dI + B_syn + H(e_M)",
            v["I(M(p);W)"],
            -v["delta_I"] + v["b_syn"] + v["H(e_M)"],
            "M10: drops (lambda - 1) I(e_p;M(p))",
        ),
        _at_most(
            "eq. 24: H(M(p)) - H(e_p) <= H(e_M)",
            v["H(M(p))"] - v["H(e_p)"],
            v["H(e_M)"],
            "M5: true for discrete variables",
        ),
        _at_most(
            "lemma 4.5: I(S_gen;W) <= -dI + B_syn + H(e_M) + delta",
            v["I(S_gen;W)"],
            bound,
            "M8: false for a learner of the relation",
        ),
        *(_losses(v, bound) if w.sizes[0] == 1 else []),
        _at_most(
            "eq. 29: I(h(e_p);M(p)) <= I(S_anchor;M(p))",
            v["I(h(e_p);M(p))"],
            v["I(S_anchor;M(p))"],
            "M12: an equality in a Markov chain",
        ),
        _at_most(
            "eq. 30: H(S_gen) - I(S_anchor;M(p)) <= dI", v["H(S_gen)"] - v["I(S_anchor;M(p))"], v["delta_I"], "M3"
        ),
        _at_most(
            "theorem 4.10: GGMI <= dI - (alpha+1) H(S_anchor|W) + 2 dH + H(S_gen|W) + eps",
            v["ggmi"],
            theorem_4_10(v),
            "M13: the definition of GGMI rewritten",
        ),
        _at_most(
            "corrected 4.10: GGMI <= the same + max(0, H(S_gen) - H(M(p)))",
            v["ggmi"],
            theorem_4_10(v) + max(0.0, raised),
            "M13",
        ),
        *_identities(q, v),
    ]


def _losses(v: dict[str, float], bound: float) -> list[Inequality]:
    """What the paper says of losses, for one example (n = 1). The layers' factor is 1, the largest it can be."""
    twice = v["C"] ** 2 / 2  # 2 σ²: a loss in [0, C] is C/2-sub-Gaussian
    known = v["I(S_gen;W)"]
    distance = v["C"] * (v["D_TV(D,D_M)"] + v["D_TV(D_M,D_gen)"])
    return [
        _root(
            "lemma 4.6: E|gap| <= sqrt(2 sigma^2 bound / n)",
            v["E|gap|"],
            0.0,
            twice * bound,
            "M16: E|gap| needs I + ln 2",
        ),
        _root(
            "corrected 4.6: |E gap| <= sqrt(2 sigma^2 I(S_gen;W) / n)",
            v["|E gap|"],
            0.0,
            twice * known,
            "M16: Xu and Raginsky",
        ),
        _root(
            "corrected 4.6: E|gap| <= sqrt(2 sigma^2 (I(S_gen;W) + ln 2) / n)",
            v["E|gap|"],
            0.0,
            twice * (known + math.log(2)),
            "M16",
        ),
        _root(
            "theorem 4.7: E|Err| <= C (D_TV + D_TV) + sqrt(2 sigma^2 bound / n)",
            v["E|Err|"],
            distance,
            twice * bound,
            "M2, M8, M16, M18",
        ),
    ]


def _identities(q: Joint, v: dict[str, float]) -> list[Inequality]:
    slack = theorem_4_10(v) - v["ggmi"]
    rewritten = v["H(M(p))"] - v["H(S_gen)"] + v["I(S_anchor;M(p))"] - v["I(h(e_p);M(p))"]
    rest = q.i("e_M", "h") + q.h("e_M", given=["g", "h"])
    return [
        _equal(
            "identity: -dI + H(e_M) = I(e_M;h(e_p)) + H(e_M|g(e_M),h(e_p))",
            v["H(e_M)"] - v["delta_I"],
            rest,
            "M9: dI is no lever of lemma 4.5",
        ),
        _equal(
            "identity: slack of 4.10 = [H(M(p)) - H(S_gen)] + [I(S_anchor;M(p)) - I(h(e_p);M(p))]",
            slack,
            rewritten,
            "M13",
        ),
    ]


def lemma_4_5(v: dict[str, float]) -> float:
    """The right side of lemma 4.5."""
    return -v["delta_I"] + v["b_syn"] + v["H(e_M)"] + v["delta_epsilon_p"]


def theorem_4_10(v: dict[str, float]) -> float:
    """The right side of theorem 4.10; (α + 1) H(S_anchor|W) is written out, so that α may be undefined."""
    left_over = v["H(S_anchor|W')"] + v["H(S_anchor|W)"]
    return v["delta_I"] - left_over + 2 * v["delta_h"] + v["H(S_gen|W)"] + v["epsilon_w_p"]


def conditions(q: Joint, found: Quantities) -> list[Condition]:
    """The assumptions that make the bounds true, and whether this world meets them."""
    raised = (found["H(S_gen)"] or 0.0) - (found["H(M(p))"] or 0.0)
    synergy = q.i("e_p", "e_M", given=["W"]) - q.i("e_p", "e_M")
    return [
        _condition(
            "curation does not raise entropy: H(S_gen) <= H(M(p))",
            raised,
            "eq. 15, eq. 30 and theorem 4.10 hold (an edit never raises it, independent noise always does)",
        ),
        _condition(
            "the factors meet W without synergy: I(e_p;e_M|W) <= I(e_p;e_M)", synergy, "eq. 21 and lemma 4.5 hold"
        ),
        _condition(
            "M(p) -> e_M -> W is a Markov chain (section 4.1)",
            q.i("M", "W", given=["e_M"]),
            "lemma 4.5 holds, but then I(e_p;W) = 0 where the factors are independent: training cannot depend on the prompt (M7)",
        ),
        _condition(
            "the factors are independent: I(e_p;e_M) = 0",
            q.i("e_p", "e_M"),
            "-dI + H(e_M) = H(e_M|g(e_M)), whatever dI is (M9)",
        ),
        _condition(
            "S_anchor -> h(e_p) -> M(p) is a Markov chain",
            q.i("S_anchor", "M", given=["h"]),
            "eq. 29 is an equality (M12)",
        ),
    ]


def _condition(name: str, missed: float, then: str) -> Condition:
    return Condition(name, max(0.0, missed) if abs(missed) > CLOSE else 0.0, missed <= CLOSE, then)


def _at_most(name: str, left: float, right: float, shows: str) -> Inequality:
    return Inequality(name, left, right, right - left, left <= right + CLOSE, shows)


def _equal(name: str, left: float, right: float, shows: str) -> Inequality:
    return Inequality(name, left, right, right - left, abs(right - left) <= CLOSE, shows)


def _root(name: str, left: float, plus: float, square: float, shows: str) -> Inequality:
    if square < -CLOSE:
        return Inequality(name, left, None, None, False, f"{shows}; the bound under the root is negative")
    return _at_most(name, left, plus + math.sqrt(max(0.0, square)), shows)
