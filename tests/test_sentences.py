"""Sentences that said more than was known: each kind is held to what it may say."""

from dataclasses import asdict, replace
from types import SimpleNamespace

import pandas as pd
import pytest
from small_results import record

from clusterpolicy import effects, wording
from clusterpolicy.findings import answers
from clusterpolicy.projects import profilewords


def test_a_sample_is_described_by_what_it_is():
    """Of 314 cells that were compared, 46 shared both prefecture and industry with a target."""
    said = answers._strength(pd.Series(asdict(record(n_cells=348, n_targeted=34))))
    assert "34 targeted cells against 314 that were not targeted" in said
    assert "same prefectures" not in said


def test_a_term_is_judged_for_the_years_it_is_judged_on(real_study):
    """The third term was planned to FY2020; the figures of its main base end with FY2014."""
    design = effects.main_design(real_study, 3, "funded", "broad")
    first, last = design.term_years
    assert (first, last) == (2010, 2014) != design.term.years
    said = wording.effect_sentence(asdict(record(term=3, term_years=f"{first}-{last}")))
    assert "FY2010-14" in said
    assert "2020" not in said


def test_a_difference_found_by_chance_is_counted_over_the_territories_tested():
    """Eighteen projects lie in fewer territories, and only territories are tested."""
    projects = pd.DataFrame({"prefectures": ["01", "02;03", "02;03"]})
    study = SimpleNamespace(projects_of_term=lambda term: projects)
    profile = SimpleNamespace(study=study, term=SimpleNamespace(number=2))
    said = profilewords._seen(profile, pd.Series({"low": 1.0, "high": 2.0}))
    assert "of the 2 territories tested" in said


def test_a_sample_of_output_is_no_sample_of_jobs(real_study):
    design = effects.main_design(real_study, 2, "funded", "broad")
    with pytest.raises(ValueError, match="found 'employees': the accounts hold output only"):
        effects.cell_sample(real_study, replace(design, outcome="employees"))
