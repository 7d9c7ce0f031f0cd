"""The Japanese letters of a page, as a font of just these letters that travels inside the page.

A reader's machine may have no Japanese font, and then shows boxes. The font of the figures, IPAex
Gothic, comes with the environment; a page carries as much of it as it prints.
"""

import base64
import io
import re
from importlib.resources import files

FAMILY = "Page Gothic"
# Steps to the height of a letter: a seventh of a pixel on a large screen, and a quarter less data.
UNITS = 256
RANGES = ((0x3000, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xFF01, 0xFFEF))
_LETTERS = re.compile("[" + "".join(f"{chr(low)}-{chr(high)}" for low, high in RANGES) + "]")
# Layout of vertical text, and names that nobody sees.
_UNUSED = ("BASE", "GDEF", "GPOS", "GSUB", "vhea", "vmtx")


def letters_of(page: str) -> str:
    """Return the Japanese letters of a page, each once, in the order of their codes."""
    return "".join(sorted(set(_LETTERS.findall(page))))


def font_face(page: str) -> str:
    """Return the style rule that carries the Japanese letters of a page; empty if it has none.

    Parameters
    ----------
    page : str
        HTML.

    Returns
    -------
    str
        ``@font-face`` with a WOFF as data, for :data:`FAMILY`; the same page gives the same bytes.

    Raises
    ------
    ValueError
        If the font lacks a letter: it would be a box, or another face, on some machines.
    """
    letters = letters_of(page)
    if not letters:
        return ""
    data = base64.b64encode(_subset(letters)).decode("ascii")
    ranges = ",".join(f"U+{low:X}-{high:X}" for low, high in RANGES)
    return (
        f'@font-face{{font-family:"{FAMILY}";src:url(data:font/woff;base64,{data})format("woff");'
        f"unicode-range:{ranges}}}"
    )


def _subset(letters: str) -> bytes:
    # Heavy, and only the process that writes a page needs it.
    from fontTools import subset, ttLib
    from fontTools.ttLib.scaleUpem import scale_upem

    font = ttLib.TTFont(_font_file(), lazy=True, recalcTimestamp=False)
    absent = [letter for letter in letters if ord(letter) not in font.getBestCmap()]
    if absent:
        raise ValueError(
            f"page: found {' '.join(absent)}: the font of the reports has no such letter: write it "
            "otherwise in data/raw or the notebook"
        )
    options = subset.Options(
        hinting=False, layout_features=[], name_IDs=[], glyph_names=False, notdef_outline=False
    )
    options.drop_tables += _UNUSED
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=letters)
    subsetter.subset(font)
    scale_upem(font, UNITS)
    font.flavor = "woff"
    file = io.BytesIO()
    font.save(file)
    return file.getvalue()


def _font_file() -> str:
    return str(files("matplotlib_fontja") / "fonts" / "ipaexg.ttf")
