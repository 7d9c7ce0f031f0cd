"""Formulas as MathML, which browsers draw and read aloud without any script.

The notebooks' formulas use a small part of TeX; whatever lies outside it is refused by name, so
that no reader meets raw TeX.
"""

from __future__ import annotations

import re
import unicodedata

from clusterpolicy.wording import escape

# Words keep their blanks, so they are one token with their braces.
_WORDS = re.compile(r"\\(text|mathrm|operatorname)\s*\{([^{}]*)\}")
_TOKEN = re.compile(rf"{_WORDS.pattern}|\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|[A-Za-z]|\s+|.", re.DOTALL)

# Greek letters are found by their Unicode names, but for those that go by another one.
_LETTERS = {
    "epsilon": "ϵ",
    "varepsilon": "ε",
    "lambda": "λ",
    "Lambda": "Λ",
    "phi": "ϕ",
    "varphi": "φ",
    "ell": "ℓ",
    "infty": "∞",
    "partial": "∂",
}
_OPERATORS = {
    **{"times": "×", "cdot": "⋅", "pm": "±", "mp": "∓", "sum": "∑", "prod": "∏", "int": "∫"},
    **{"le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈"},
    **{"sim": "∼", "equiv": "≡", "in": "∈", "notin": "∉", "subset": "⊂", "cup": "∪", "cap": "∩"},
    **{"to": "→", "rightarrow": "→", "mid": "∣", "forall": "∀", "exists": "∃", "vert": "|"},
    **{"ldots": "…", "dots": "…", "cdots": "⋯"},
}
_FUNCTIONS = frozenset(("log", "ln", "exp", "max", "min", "Pr", "sin", "cos", "arg", "lim", "det"))
_ACCENTS = {"hat": "^", "widehat": "^", "bar": "¯", "overline": "¯", "tilde": "~", "dot": "˙"}
_SPACES = {",": "0.17em", ":": "0.22em", ";": "0.28em", " ": "0.3em", "quad": "1em", "qquad": "2em"}
# In a formula of its own, bounds stand above and below these.
_TALL = "∑∏"


class UnknownTex(ValueError):
    """A formula uses TeX outside the small part that is translated."""


def to_mathml(tex: str, block: bool = False) -> str:
    r"""Translate a formula.

    Parameters
    ----------
    tex : str
        Formula without its dollar signs, e.g. ``\log y_{pit} = \beta D_{pit}``.
    block : bool
        Whether the formula stands on a line of its own.

    Returns
    -------
    str
        A ``<math>`` element that carries the formula as its alternative text.

    Raises
    ------
    UnknownTex
        If a command is unknown or a brace is not closed; the message names it.
    """
    reader = _Reader(tex, block)
    body = reader.read_row(until="")
    display = ' display="block"' if block else ""
    return f'<math{display} alttext="{escape(tex.strip())}"><mrow>{body}</mrow></math>'


def _greek(name: str) -> str:
    size = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {name.upper()}")
    except KeyError:
        return ""


class _Reader:
    """Read tokens from left to right, one group at a time."""

    def __init__(self, tex: str, block: bool):
        self.tex = tex
        self.block = block
        self.tokens = [m[0] for m in _TOKEN.finditer(tex) if not m[0].isspace()]
        self.place = 0

    def _next(self) -> str:
        if self.place == len(self.tokens):
            raise UnknownTex(f"formula {self.tex!r} ends too early: close its braces")
        self.place += 1
        return self.tokens[self.place - 1]

    def _peek(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def read_row(self, until: str) -> str:
        """Read up to a closing token, with the indices each item carries."""
        parts = []
        while self._peek() != until:
            parts.append(self._with_indices(self._item()))
        if until:
            self._next()
        return "".join(parts)

    def _item(self) -> str:
        """Read one token, or the group that its brace opens."""
        token = self._next()
        if token == "{":
            return f"<mrow>{self.read_row(until='}')}</mrow>"
        words = _WORDS.fullmatch(token)
        if words:
            kind = "mtext" if words[1] == "text" else "mi"
            return f"<{kind}>{escape(words[2])}</{kind}>"
        if token.startswith("\\"):
            return self._command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        if token.isalpha():
            return f"<mi>{escape(token)}</mi>"
        if token in "^_}&#%~":
            raise UnknownTex(f"formula {self.tex!r}: {token!r} stands where it means nothing")
        return f"<mo>{escape('−' if token == '-' else token)}</mo>"

    def _command(self, name: str) -> str:
        letter = _LETTERS.get(name) or _greek(name)
        if letter:
            return f"<mi>{letter}</mi>"
        if name in _OPERATORS:
            return f"<mo>{_OPERATORS[name]}</mo>"
        if name in _FUNCTIONS:
            return f"<mrow><mi>{name}</mi><mo>\N{FUNCTION APPLICATION}</mo></mrow>"
        if name in _SPACES:
            return f'<mspace width="{_SPACES[name]}"></mspace>'
        if name in "{}%&#_$":
            return f"<mo>{escape(name)}</mo>"
        if name in _ACCENTS:
            return f'<mover accent="true">{self._item()}<mo>{_ACCENTS[name]}</mo></mover>'
        if name == "frac":
            return f"<mfrac>{self._item()}{self._item()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self._item()}</msqrt>"
        if name in ("left", "right"):
            fence = self._next().lstrip("\\")
            return "<mrow></mrow>" if fence == "." else f"<mo>{escape(fence)}</mo>"
        raise UnknownTex(f"formula {self.tex!r}: \\{name} is not translated; write it otherwise")

    def _with_indices(self, base: str) -> str:
        below = above = ""
        while self._peek() in ("^", "_"):
            if self._next() == "_":
                below = self._item()
            else:
                above = self._item()
        tall = self.block and base[4:5] in _TALL and base.startswith("<mo>")
        under, over, both = ("under", "over", "underover") if tall else ("sub", "sup", "subsup")
        if below and above:
            return f"<m{both}>{base}{below}{above}</m{both}>"
        if below:
            return f"<m{under}>{base}{below}</m{under}>"
        return f"<m{over}>{base}{above}</m{over}>" if above else base
