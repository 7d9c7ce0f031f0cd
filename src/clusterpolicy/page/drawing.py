"""A figure as a page holds it: small inline SVG, or a PNG where there are too many marks.

Matplotlib writes text as outlines, one definition per letter and one reference per use, with six
decimals everywhere. Most of the size of a report would be those digits, so paths are written
relative to the last point and rounded to what a printer can place.
"""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from clusterpolicy.wording import escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKS_OF_AN_SVG = 2_000
# Letters are drawn in units of a 6,400th of their size; a 640th is below what a printer can place.
_LETTER_SCALE = 'transform="scale(0.015625)"'
_SMALLER_LETTER_SCALE = 'transform="scale(.15625)"'
# Hundredths of the letters' size: a blank of either font is wider than this.
NARROWEST_BLANK = 20
# Pixels: a figure up to this width shrinks to a phone and can still be read; one above this height
# may be taller than others on paper.
WIDTH_OF_A_PHONE_FIGURE = 520
HEIGHT_OF_A_TALL_FIGURE = 500
WHOLE = "whole"  # gid of a figure that pages always show whole, as theme gives it
SHORTEST_SHARED_WORD = 3
_PLACED = re.compile(r'<use href="#(l\d+)"(?: x="(-?\d+)")?/>')
_RUN = re.compile(rf"(?:{_PLACED.pattern.replace('(l', '(?:l').replace('(-?', '(?:-?')}){{3,}}")
_LETTER = re.compile(rf'<path id="([^"]*)" d="([^"]*)" {re.escape(_SMALLER_LETTER_SCALE)}/>')


def draw(figure: Figure, prefix: str, alt: str) -> str:
    """Draw a figure for a page, as SVG up to about 2,000 marks and as PNG beyond.

    Parameters
    ----------
    figure : Figure
        Of matplotlib or seaborn.
    prefix : str
        Put before every id, so that figures of one page do not share any.
    alt : str
        Alternative text.

    Returns
    -------
    str
        ``<svg>`` or ``<img>``, the same bytes each time.
    """
    drawing = svg_of(figure, prefix, alt)
    return drawing if count_marks(drawing) <= MARKS_OF_AN_SVG else png_of(figure, alt)


def svg_of(figure: Figure, prefix: str, alt: str = "") -> str:
    """Draw a figure as inline SVG: outlines for text, own ids, no date, no maker.

    Returns
    -------
    str
        ``<svg role="img">`` whose description is `alt`, the same bytes each time. Its class tells
        the style sheet whether it may shrink to a phone, and whether it is tall.
    """
    import matplotlib

    buffer = io.StringIO()
    settings = {"svg.fonttype": "path", "svg.hashsalt": prefix, "svg.image_inline": True}
    with matplotlib.rc_context(settings):
        figure.savefig(
            buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None}
        )
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :].strip()
    # Its style rule would hold for the whole page, so the root element says the same for itself;
    # its links would be followed out of a picture.
    drawn = re.sub(
        r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>|</?a\b[^>]*>",
        "",
        drawn,
        flags=re.DOTALL,
    )
    drawn = _unwrap(re.sub(r">\s+<", "><", _shorten(_own_ids(drawn, prefix))))
    drawn = _share_styles(drawn)
    head = re.match(r"<svg[^>]*>", drawn).group()
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', head)
    width, height = (round(float(points) * 4 / 3) for points in box.groups())
    classes = [
        *(["narrow"] if width <= WIDTH_OF_A_PHONE_FIGURE else []),
        *([WHOLE] if figure.get_gid() == WHOLE else []),
        *(["tall"] if height > HEIGHT_OF_A_TALL_FIGURE else []),
    ]
    kind = f' class="{" ".join(classes)}"' if classes else ""
    opening = (
        f'<svg{kind} role="img" aria-labelledby="{prefix}-alt" width="{width}" height="{height}" '
        f'stroke-linejoin="round" {box.group()}><desc id="{prefix}-alt">{escape(alt)}</desc>'
    )
    return opening + drawn[len(head) :]


def png_of(figure: Figure, alt: str) -> str:
    """Draw a figure as a picture of 144 dots per inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=144, metadata={"Software": None})
    width, height = (round(inches * 96) for inches in figure.get_size_inches())
    code = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{code}" alt="{escape(alt)}" '
        f'width="{width}" height="{height}">'
    )


def count_marks(drawing: str) -> int:
    """Count what is drawn, letters left out: they are references into the font's outlines."""
    letters = {name for name, _ in _LETTER.findall(drawing)}
    uses = re.findall(r'<use href="#([^"]*)"', drawing)
    paths = len(re.findall(r"<path\b", drawing)) - len(letters)
    return paths + sum(name not in letters for name in uses)


def share_letters(page: str) -> str:
    """Define each letter of the figures once in a page, under a short name.

    Parameters
    ----------
    page : str
        HTML with drawings of `svg_of`.

    Returns
    -------
    str
        The same page; the first figure that uses a letter defines it for all.
    """
    names: dict[str, str] = {}
    letters: dict[str, str] = {}

    def define(match: re.Match) -> str:
        known = match[2] in letters
        names[match[1]] = letters.setdefault(match[2], f"l{len(letters)}")
        return "" if known else match[0].replace(match[1], names[match[1]], 1)

    page = _LETTER.sub(define, page)
    page = re.sub(r'<use href="#([^"]*)"', lambda m: f'<use href="#{names.get(m[1], m[1])}"', page)
    return page.replace("<defs></defs>", "")


def share_words(page: str) -> str:
    """Define each word that the figures of a page draw more than once, and refer to it after that.

    A word is a run of letters without a wider gap. Which gaps are wider is learnt from the page:
    after a letter, the narrowest step found is its own width. Letters of the same word are placed
    alike to a hundredth of their size, which is what rounding leaves of their places.

    Parameters
    ----------
    page : str
        HTML after `share_letters`.

    Returns
    -------
    str
        The same page, with ``<use>`` of a word in place of its letters.
    """
    texts = [_letters_of(run[0]) for run in _RUN.finditer(page)]
    widths: dict[str, int] = {}
    for (letter, x), (_, next_x) in (pair for text in texts for pair in pairwise(text)):
        widths[letter] = min(widths.get(letter, next_x - x), next_x - x)
    counts = Counter(
        tuple(letter for letter, _ in word) for text in texts for word in _words(text, widths)
    )
    shared: dict[tuple[str, ...], tuple[str, list[int]]] = {}

    def write(word: list[tuple[str, int]]) -> str:
        letters, start = tuple(letter for letter, _ in word), word[0][1]
        steps = [x - start for _, x in word]
        plain = "".join(_use(letter, x) for letter, x in word)
        if len(word) < SHORTEST_SHARED_WORD or counts[letters] < 2:
            return plain
        if letters not in shared:
            shared[letters] = f"w{len(shared)}", steps
            name = shared[letters][0]
            inside = "".join(map(_use, letters, steps))
            return f'<defs><g id="{name}">{inside}</g></defs>{_use(name, start)}'
        name, known = shared[letters]
        is_alike = all(abs(a - b) <= 1 for a, b in zip(known, steps, strict=True))
        return _use(name, start) if is_alike else plain

    return _RUN.sub(lambda run: "".join(map(write, _words(_letters_of(run[0]), widths))), page)


def _letters_of(run: str) -> list[tuple[str, int]]:
    return [(letter, int(x or 0)) for letter, x in _PLACED.findall(run)]


def _words(text: list[tuple[str, int]], widths: Mapping[str, int]) -> list[list[tuple[str, int]]]:
    """Cut a line of letters where the step to the next is wider than the letter."""
    words = [text[:1]]
    for (letter, x), following in pairwise(text):
        if not 0 <= following[1] - x - widths[letter] < NARROWEST_BLANK:
            words.append([])
        words[-1].append(following)
    return words


def _use(name: str, x: int) -> str:
    return f'<use href="#{name}" x="{x}"/>' if x else f'<use href="#{name}"/>'


def _own_ids(drawn: str, prefix: str) -> str:
    """Rename the ids that something refers to, and drop the others."""
    used = re.findall(r'(?:href="#|url\(#)([^")]+)', drawn)
    number = {old: f"{prefix}-{place}" for place, old in enumerate(dict.fromkeys(used))}
    drawn = re.sub(
        r' id="([^"]*)"', lambda m: f' id="{number[m[1]]}"' if m[1] in number else "", drawn
    )
    drawn = re.sub(r'xlink:href="#([^"]*)"', lambda m: f'href="#{number[m[1]]}"', drawn)
    drawn = re.sub(r"url\(#([^)]*)\)", lambda m: f"url(#{number[m[1]]})", drawn)
    return drawn.replace("xlink:href=", "href=")


def _unwrap(drawn: str) -> str:
    """Remove groups that say nothing."""
    parts: list[str] = []
    kept: list[bool] = []
    for part in re.split(r"(<g(?: [^>]*)?>|</g>)", drawn):
        if part == "</g>":
            if kept.pop():
                parts.append(part)
        elif re.match(r"<g[ >]", part):
            kept.append(part != "<g>")
            if kept[-1]:
                parts.append(part)
        else:
            parts.append(part)
    return "".join(parts)


def _share_styles(drawn: str) -> str:
    """Say once what neighbours have in common: the look of many markers, the letters of a halo."""
    # Text with a halo is drawn twice, first wider; SVG can put the outline behind by itself.
    drawn = re.sub(
        r'<path d="([^"]*)" style="(fill:[^;"]*)(;[^"]*)"/><path d="\1" style="\2"/>',
        r'<path d="\1" style="\2\3;paint-order:stroke"/>',
        drawn,
    )
    return re.sub(
        r'<use [^>]*? style="([^"]*)"/>(?:<use [^>]*? style="\1"/>)+',
        lambda m: f'<g style="{m[1]}">' + re.sub(r' style="[^"]*"', "", m[0]) + "</g>",
        drawn,
    )


def _shorten(drawn: str) -> str:
    drawn = re.sub(
        rf' d="([^"]*)" {re.escape(_LETTER_SCALE)}',
        lambda m: f' d="{_relative(m[1], -1)}" {_SMALLER_LETTER_SCALE}',
        drawn,
    )
    drawn = re.sub(r' d="([^"]*[A-Z] [^"]*)"', lambda m: f' d="{_relative(m[1], 2)}"', drawn)
    # The place of a letter in its word, in hundredths of the letter's size.
    drawn = re.sub(
        r'(<use href="[^"]*") transform="translate\(([-\d.]+) ([-\d.]+)\)"/>',
        lambda m: f"{m[1]}{_place('x', m[2])}{_place('y', m[3])}/>",
        drawn,
    )
    drawn = re.sub(r' style="[^"]*"', lambda m: m[0].replace("; ", ";").replace(": ", ":"), drawn)
    return re.sub(
        r'translate\(([-\d.]+) ([-\d.]+)\)|\b([xy])="([-\d.]+)"',
        lambda m: (
            f'{m[3]}="{_digits(m[4], 2)}"'
            if m[3]
            else f"translate({_digits(m[1], 2)} {_digits(m[2], 2)})"
        ),
        drawn,
    )


def _place(axis: str, value: str) -> str:
    short = _digits(value, 0)
    return "" if short == "0" else f' {axis}="{short}"'


def _digits(value: str, decimals: int) -> str:
    return _number(round(float(value) * 10**decimals), decimals)


def _number(whole: int, decimals: int) -> str:
    """Write ``whole / 10**decimals`` in as few characters as SVG allows."""
    if decimals <= 0:
        return str(whole)
    text = f"{abs(whole):0{decimals + 1}d}"
    text = f"{text[:-decimals]}.{text[-decimals:]}".rstrip("0").rstrip(".")
    text = text.removeprefix("0") or "0"
    return f"-{text}" if whole < 0 else text


def _relative(path: str, decimals: int) -> str:
    """Write a path relative to its last point, rounded; sums of rounded steps do not drift.

    `decimals` may be negative: letters lose their last digit, and their scale grows instead.
    """
    parts: list[str] = []
    last = ""
    for command, steps in _steps(path, decimals):
        numbers = [_number(step, decimals) for step in steps]
        text = "".join(
            number if place == 0 or number.startswith("-") else f" {number}"
            for place, number in enumerate(numbers)
        )
        repeated = command == last and command in "lhvqc"
        glue = "" if not repeated or text.startswith("-") else " "
        parts.append(f"{glue}{text}" if repeated else f"{command}{text}")
        last = command
    return "".join(parts)


def _steps(path: str, decimals: int) -> Iterator[tuple[str, list[int]]]:
    """Yield each command with its points as steps from the last point, in rounded units."""
    x = y = start_x = start_y = 0
    for command, text in re.findall(r"([MLQCz])([^MLQCz]*)", path):
        values = [round(float(value) * 10.0**decimals) for value in text.split()]
        if command == "z":
            x, y = start_x, start_y
            yield "z", []
            continue
        steps = [value - (y if place % 2 else x) for place, value in enumerate(values)]
        x, y = values[-2:]
        if command == "M":
            start_x, start_y = x, y
        if command == "L" and 0 in steps and steps != [0, 0]:
            yield ("h", steps[:1]) if steps[1] == 0 else ("v", steps[1:])
        else:
            yield command.lower(), steps
