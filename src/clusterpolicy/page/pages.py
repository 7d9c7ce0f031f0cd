"""One HTML file from one executed notebook: cells, numbers, references, contents, provenance.

Anything that may not be published is written into the page as a fault (``data-fault``), which
`pagecheck.faults` reads back; so one run of the check names every fault at once.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters.ansi import strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from clusterpolicy.page import letters
from clusterpolicy.page.drawing import share_letters, share_words
from clusterpolicy.page.mathml import UnknownTex, to_mathml
from clusterpolicy.page.printing import CUE, OUTPUT_MARK
from clusterpolicy.wording import escape

if TYPE_CHECKING:
    import nbformat

    from clusterpolicy.report import PageSpec

TEMPLATE = Path(__file__).with_name("template")

# Tags that markdown may hold as HTML: small inline ones and MathML, with harmless attributes.
_TAGS = re.compile(
    "sub|sup|abbr|br|kbd|small|em|strong|math|mrow|mi|mn|mo|ms|mtext|mspace|mfrac|msqrt|mroot|msub"
    "|msup|msubsup|munder|mover|munderover|mtable|mtr|mtd|mstyle|mpadded|mphantom|menclose"
)
_ATTRIBUTES = {"display", "lang", "title", "mathvariant", "stretchy", "accent", "columnalign"}
_TAG = re.compile(r"</?([a-zA-Z][\w-]*)((?:\s+[\w-]+=\"[^\"<>]*\")*)\s*/?>")
_REFERENCE = re.compile(r"(<code.*?</code>|<[^>]*>)|\[@((?:fig|tab)-[^\]\s]+)\]", re.DOTALL)
_JAPANESE = (
    r"[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d]"
    r"[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]*"
)
_COLOURLESS = re.compile(r'<span class="(?:n|o|p|w)">([^<]*)</span>')
# Elements whose text is no reading text come first, whole; then tags; then runs of Japanese.
_TEXT = re.compile(
    rf"(<(style|title|desc|svg)\b.*?</\2>|<[^>]*>)|({_JAPANESE})", re.DOTALL | re.IGNORECASE
)


class Heading(NamedTuple):
    """One line of the contents."""

    level: int
    id: str
    markup: str


class Book:
    """What has to be known across cells: used ids, headings, numbers of figures and tables."""

    def __init__(self, notebook: nbformat.NotebookNode):
        self.headings: list[Heading] = []
        self.numbers: dict[str, str] = {}
        self.repeated: set[str] = set()
        self._used = {"main", "contents", "contents-title", "provenance"}
        counts = {"figure": 0, "table": 0}
        for output in _outputs(notebook):
            mark = output.get("metadata", {}).get(OUTPUT_MARK, {})
            if mark.get("kind") in counts:
                kind = mark["kind"]
                counts[kind] += 1
                key = f"{kind[:3]}-{mark['name']}"
                if key in self.numbers:
                    self.repeated.add(key)
                self.numbers[key] = f"{kind.capitalize()} {counts[kind]}"

    def add_heading(self, level: int, markup: str) -> Heading:
        """Give a heading an id made of its words, numbered if another one has it."""
        base = slug(markup)
        name, place = base, 1
        while name in self._used or name in self.numbers:
            place += 1
            name = f"{base}-{place}"
        self._used.add(name)
        heading = Heading(level, name, markup)
        self.headings.append(heading)
        return heading


def build(notebook: nbformat.NotebookNode, spec: PageSpec) -> str:
    """Make the page; see `report.page`."""
    book = Book(notebook)
    blocks = share_words(share_letters("\n".join(_blocks(notebook, book, spec.title))))
    first = next((plain(h.markup) for h in book.headings if h.level == 1), spec.title)
    exporter = _exporter()
    exporter.environment.filters["text"] = escape
    text, _ = exporter.from_notebook_node(
        notebook,
        resources={
            "spec": spec,
            "heading": first,
            "blocks": blocks,
            "contents": [h for h in book.headings if h.level in (2, 3)],
            "sources": _sources(blocks),
            "style": _style(),
        },
    )
    return _carry_letters(mark_japanese(text))


def slug(markup: str) -> str:
    """Make an id of a heading: its first Latin words in lower case, ``section`` if it has none."""
    text = unicodedata.normalize("NFKD", plain(markup)).lower()
    words = re.findall(r"[a-z0-9]+", text.replace("'", "").replace("’", ""))
    name = ""
    for word in words:
        if len(name) + len(word) > 40:
            break
        name = f"{name}-{word}" if name else word
    return name if name and name[0].isalpha() else f"section-{name}".rstrip("-")


def plain(markup: str) -> str:
    """Return the text of a piece of HTML."""
    return html.unescape(re.sub(r"<[^>]*>", "", markup)).strip()


def mark_japanese(text: str) -> str:
    """Wrap each run of Japanese text in ``<span lang="ja">``, for voices and fonts."""
    return _TEXT.sub(lambda m: m[1] if m[1] is not None else f'<span lang="ja">{m[3]}</span>', text)


def _carry_letters(page: str) -> str:
    """Put the font of the Japanese letters of a page into its style sheet."""
    try:
        return page.replace("<style>\n", f"<style>\n{letters.font_face(page)}\n", 1)
    except ValueError as error:
        return page.replace("</main>", f"{fault(str(error))}</main>", 1)


def fault(text: str) -> str:
    """Write a fault that a reader would see and that the check reports."""
    return f'<p class="fault" data-fault="{escape(text)}">{escape(text)}</p>'


# --- cells ------------------------------------------------------------------------------------


def _outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def _blocks(notebook: nbformat.NotebookNode, book: Book, title: str) -> list[str]:
    """Write every cell; the code of a section is folded at its end, under the results.

    Code that shows nothing, such as imports, joins the fold of the next section that does.
    ``[@title]`` in markdown stands for the title of the run, which no notebook can know.
    """
    blocks: list[str] = []
    sources: list[str] = []
    has_result = False
    for place, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code":
            if cell.source.strip():
                sources.append(cell.source)
            for output in cell.get("outputs", []):
                has_result = True
                _append(blocks, _output(output, place, book))
        elif cell.cell_type == "markdown":
            markup = _markdown(cell.source.replace("[@title]", _as_markdown(title)), book)
            if has_result and markup.startswith("<h"):
                blocks.append(_fold(sources))
                sources, has_result = [], False
            blocks.append(markup)
    if sources:
        blocks.append(_fold(sources))
    return blocks


def _append(blocks: list[str], block: str) -> None:
    """Add a block; a wide table takes the heading before it along to its landscape page."""
    if not re.match(r'<figure class="table[^"]* wide"', block):
        blocks.append(block)
        return
    start = len(blocks)
    while start > 0 and "<figure" not in blocks[start - 1]:
        start -= 1
        if blocks[start].startswith("<h"):
            blocks[start:] = [f'<div class="landscape">{"".join(blocks[start:])}{block}</div>']
            return
    blocks.append(f'<div class="landscape">{block}</div>')


def _fold(sources: list[str]) -> str:
    code = "".join(_coloured(source) for source in sources)
    words = "How this section was computed (program code)"
    return f'<details class="code"><summary>{words}</summary>{code}</details>'


def _coloured(source: str) -> str:
    """Write Python in colours; names, operators and blanks have none, so they need no element."""
    return _COLOURLESS.sub(r"\1", highlight(source, PythonLexer(), _formatter()))


@cache
def _formatter() -> HtmlFormatter:
    return HtmlFormatter(cssclass="highlight", wrapcode=True)


def _output(output: nbformat.NotebookNode, place: int, book: Book) -> str:
    """Write one output; what did not come through `report` is text or a fault."""
    if output.output_type == "error":
        return fault(f"cell {place} failed: {output.ename}: {strip_ansi(output.evalue)}")
    if output.output_type == "stream":
        if output.name == "stderr":
            return fault(f"cell {place} wrote to standard error: {_first_line(output.text)}")
        return f'<pre class="printed">{escape(strip_ansi(output.text))}</pre>'
    mark = output.get("metadata", {}).get(OUTPUT_MARK)
    if mark and "text/html" in output.data:
        return _ours(output.data["text/html"], mark, book)
    foreign = sorted(kind for kind in output.data if kind != "text/plain")
    if foreign:
        return fault(
            f"cell {place} shows {' and '.join(foreign)} by itself: hand it to report.show or "
            "report.say, so that it has caption, source and alternative text"
        )
    return f'<pre class="printed">{escape(output.data.get("text/plain", ""))}</pre>'


def _ours(markup: str, mark: dict, book: Book) -> str:
    if mark["kind"] not in ("figure", "table"):
        return markup
    key = f"{mark['kind'][:3]}-{mark['name']}"
    word = mark["kind"].capitalize()
    numbered = markup.replace(
        f'<b class="label">{word}</b>', f'<b class="label">{book.numbers[key]}</b>', 1
    )
    if key in book.repeated:
        return numbered + fault(f"the name {key} is used twice: give each its own")
    return numbered


def _first_line(text: str) -> str:
    lines = strip_ansi(text).strip().splitlines()
    return lines[0][:160] if lines else ""


# --- markdown ---------------------------------------------------------------------------------


def _as_markdown(text: str) -> str:
    """Write text so that markdown shows it as it is."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def _markdown(source: str, book: Book) -> str:
    markup = MarkdownWithMath(renderer=_Renderer(book)).render(source)
    return _REFERENCE.sub(lambda m: m[1] if m[1] is not None else _reference(m[2], book), markup)


def _reference(key: str, book: Book) -> str:
    key = html.unescape(key)
    if key not in book.numbers:
        return _inline_fault(f"unknown reference [@{key}]")
    number = book.numbers[key].replace(" ", "\N{NO-BREAK SPACE}")
    return f'<a href="#{escape(key)}">{number}</a>'


class _Renderer(IPythonRenderer):
    """Markdown of the notebooks: headings with ids, no scripts, no foreign HTML."""

    def __init__(self, book: Book):
        super().__init__(escape=False, allow_harmful_protocols=False, exclude_anchor_links=True)
        self.book = book

    def heading(self, text: str, level: int, **attrs) -> str:
        """Write a heading with an id for the contents."""
        heading = self.book.add_heading(level, text)
        return f'<h{level} id="{heading.id}">{text}</h{level}>\n'

    def block_html(self, html: str) -> str:
        """Let MathML and small inline tags through, show any other HTML as text."""
        return f"{self.inline_html(html)}\n"

    def inline_html(self, html: str) -> str:
        """Let MathML and small inline tags through, show any other HTML as text."""
        html = re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL)
        parts, end = [], 0
        for tag in _TAG.finditer(html):
            names = re.findall(r"([\w-]+)=\"", tag[2])
            known = _TAGS.fullmatch(tag[1]) and _ATTRIBUTES.issuperset(names)
            parts.append(_text(html[end : tag.start()]))
            parts.append(tag[0] if known else escape(tag[0]))
            end = tag.end()
        return "".join(parts) + _text(html[end:])

    def block_code(self, code: str, info: str | None = None) -> str:
        """Write a code block in the colours of the folded code."""
        if info and info.split()[0] in ("python", "py"):
            return _coloured(code)
        return f'<pre class="printed">{escape(code)}</pre>\n'

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Write a link to the web, to a place on the page or to a page beside it."""
        if re.match(r"(https?://|mailto:|#[\w-]+$|(\.\./)?[\w-]+(/[\w-]+)*\.html(#[\w-]+)?$)", url):
            return f'<a href="{escape(url)}">{text}</a>'
        return _inline_fault(
            f"link to {url}: only web addresses, ids of this page and pages beside it", text
        )

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Refuse pictures that have neither number nor source."""
        return _inline_fault(
            f"picture {url} in markdown: draw it with figures and hand it to report.show", text
        )

    def block_math(self, body: str) -> str:
        """Write a formula on a line of its own as MathML; a long one scrolls, by keyboard too."""
        return (
            '<span class="formula scroll" role="group" tabindex="0" aria-label="Formula">'
            f"{CUE}{_formula(body, block=True)}</span>"
        )

    def inline_math(self, body: str) -> str:
        """Write a formula within a line as MathML."""
        return _formula(body, block=False)

    def latex_environment(self, name: str, body: str) -> str:
        """Refuse environments, which are not translated."""
        return _inline_fault(f"formula environment {name}: write the formula between dollar signs")


def _formula(tex: str, block: bool) -> str:
    try:
        return to_mathml(tex, block)
    except UnknownTex as error:
        return _inline_fault(str(error))


def _inline_fault(text: str, shown: str = "") -> str:
    """Write a fault within a line; `shown` is markup."""
    return f'<span class="fault" data-fault="{escape(text)}">{shown or escape(text)}</span>'


def _text(text: str) -> str:
    """Escape text between tags, keeping references such as ``&beta;`` that are already escaped."""
    return re.sub(r"&amp;(#?\w+;)", r"&\1", html.escape(text, quote=False))


# --- the frame --------------------------------------------------------------------------------


@cache
def _exporter() -> TemplateExporter:
    return TemplateExporter(template_paths=[str(TEMPLATE)], template_file="html.j2")


@cache
def _style() -> str:
    """Return the style sheet without comments and needless blanks."""
    text = (TEMPLATE / "style.css").read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def _sources(blocks: str) -> list[str]:
    """List the sources named under figures and tables, each once, as escaped text."""
    found = re.findall(r'<span class="source">Source: (.*?)\.</span>', blocks)
    return list(dict.fromkeys(found))
