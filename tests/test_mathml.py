"""Formulas as MathML."""

import xml.etree.ElementTree as ElementTree

import pytest

from clusterpolicy.page.mathml import UnknownTex, to_mathml

INDEX = "<mrow><mi>p</mi><mi>i</mi></mrow>"


@pytest.mark.parametrize(
    ("tex", "body"),
    [
        ("x", "<mi>x</mi>"),
        (r"\beta D_{pi}", f"<mi>β</mi><msub><mi>D</mi>{INDEX}</msub>"),
        ("x^2", "<msup><mi>x</mi><mn>2</mn></msup>"),
        ("x_i^2", "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>"),
        ("x^2_i", "<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>"),
        ("a - 1.5", "<mi>a</mi><mo>−</mo><mn>1.5</mn>"),
        (r"\frac{a}{2}", "<mfrac><mrow><mi>a</mi></mrow><mrow><mn>2</mn></mrow></mfrac>"),
        (r"\sqrt n", "<msqrt><mi>n</mi></msqrt>"),
        (r"\hat\Gamma", '<mover accent="true"><mi>Γ</mi><mo>^</mo></mover>'),
        (r"\text{ if } x < 3", "<mtext> if </mtext><mi>x</mi><mo>&lt;</mo><mn>3</mn>"),
        (r"\left( a \right.", "<mo>(</mo><mi>a</mi><mrow></mrow>"),
        (r"\log y", "<mrow><mi>log</mi><mo>\N{FUNCTION APPLICATION}</mo></mrow><mi>y</mi>"),
        (r"\tau\, T", '<mi>τ</mi><mspace width="0.17em"></mspace><mi>T</mi>'),
    ],
)
def test_formula(tex, body):
    found = to_mathml(tex)
    assert found.endswith(f"<mrow>{body}</mrow></math>")
    ElementTree.fromstring(found)


def test_bounds_of_a_sum_stand_above_and_below_only_on_a_line_of_its_own():
    assert "<munderover><mo>∑</mo>" in to_mathml(r"\sum_{i=1}^n x_i", block=True)
    assert "<msubsup><mo>∑</mo>" in to_mathml(r"\sum_{i=1}^n x_i")


def test_formula_carries_its_source_as_alternative_text():
    assert 'alttext="a &lt; &quot;b&quot;"' in to_mathml('a < "b"')


@pytest.mark.parametrize(
    ("tex", "named"),
    [
        (r"\unknown x", r"\\unknown"),
        (r"\href{javascript:alert(1)}{x}", r"\\href"),
        ("{x", "close its braces"),
        ("x_", "close its braces"),
        ("x}", "'}'"),
        ("^2", r"'\^'"),
        (r"\begin x", r"\\begin"),
    ],
)
def test_what_is_not_translated_is_named(tex, named):
    with pytest.raises(UnknownTex, match=named):
        to_mathml(tex)
