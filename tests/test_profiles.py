"""The page of a project: figures added up again from the tables, and words that are its own."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from clusterpolicy import results
from clusterpolicy.cells.stars import DEFAULT
from clusterpolicy.checks import register
from clusterpolicy.otherdesigns import synthetic
from clusterpolicy.page.theme import number
from clusterpolicy.projects import (
    placecharts,
    portfolio,
    profilecharts,
    profiles,
    profiletables,
    profilewords,
)

SILICON = "kyushu-silicon-t2"
KYUSHU = ["40", "41", "42", "43", "44", "45", "46"]


@pytest.fixture(scope="module")
def silicon(real_study):
    return profiles.profile(real_study, SILICON, "funded", "broad")


def product(study, base, industry, fy, inside):
    """Add product up by hand: one industry, one year, Kyushu or all other prefectures."""
    rows = study.cell_panel
    rows = rows[(rows["base"] == base) & (rows["industry"] == industry) & (rows["fy"] == fy)]
    return rows.loc[rows["pref_code"].isin(KYUSHU) == inside, "product_million_yen"].sum()


# --- figures ----------------------------------------------------------------------------------


def test_growth_is_that_of_its_cells_and_of_the_same_industry_elsewhere(real_study, silicon):
    rates = []
    for inside in (True, False):
        start, end = (
            product(real_study, "b2005", "general_machinery", fy, inside) for fy in (2005, 2009)
        )
        rates.append(100 * ((end / start) ** 0.25 - 1))
    row = silicon.growth.set_index(["industry", "period"]).loc["general_machinery", "during"]
    assert row["own"] == pytest.approx(rates[0])
    assert row["elsewhere"] == pytest.approx(rates[1])
    assert row["gap"] == pytest.approx(rates[0] - rates[1])


def test_all_its_cells_are_held_against_their_own_mix_of_industries(real_study, silicon):
    mix = ["electrical_machinery", "general_machinery"]
    weights = np.array([product(real_study, "b2005", each, 2005, True) for each in mix])
    factors = np.array(
        [
            product(real_study, "b2005", each, 2009, False)
            / product(real_study, "b2005", each, 2005, False)
            for each in mix
        ]
    )
    expected = 100 * ((weights @ factors / weights.sum()) ** 0.25 - 1)
    row = silicon.growth.set_index(["industry", "period"]).loc["all", "during"]
    assert row["elsewhere"] == pytest.approx(expected)


def test_no_growth_crosses_from_one_base_into_the_other(silicon):
    assert [(p.base, p.start, p.end) for p in silicon.periods] == [
        ("b2000", 1996, 2000),
        ("b2000", 2000, 2005),
        ("b2005", 2005, 2009),
        ("b2005", 2009, 2014),
    ]
    joined = silicon.paths[silicon.paths["fy"] == 2005]
    assert set(joined["base"]) == {"b2000", "b2005"}
    np.testing.assert_allclose(joined[["own", "elsewhere"]], 100)
    assert (silicon.paths.loc[silicon.paths["base"] == "b2000", "fy"] <= 2005).all()


def test_the_planned_clock_moves_the_end_of_the_term(real_study):
    planned = profiles.profile(real_study, SILICON, "planned", "broad")
    assert [(p.start, p.end) for p in planned.periods][2:] == [(2005, 2010), (2010, 2014)]


def test_a_cell_with_a_hidden_year_is_left_out_of_every_year_and_counted(real_study, silicon):
    panel = real_study.cell_panel.copy()
    keys = ["base", "pref_code", "industry", "fy"]
    hidden = (panel[keys] == ["b2005", "41", "general_machinery", 2011]).all(axis=1)
    panel.loc[hidden, ["product_million_yen", "status"]] = [np.nan, "hidden"]
    changed = profiles.profile(replace(real_study, cell_panel=panel), SILICON, "funded", "broad")
    before, after = (
        p.paths.set_index(["base", "industry", "fy"]).sort_index().loc["b2005", "general_machinery"]
        for p in (silicon, changed)
    )
    saga = real_study.cell_panel[
        (real_study.cell_panel[keys[:3]] == ["b2005", "41", "general_machinery"]).all(axis=1)
    ].set_index("fy")["product_million_yen"]
    lost = before["own_million_yen"] - after["own_million_yen"]
    np.testing.assert_allclose(lost, saga.loc[2005:2014])
    assert after["n_hidden"].unique().tolist() == [1]
    assert "How 1 of its cells moved" in " ".join(profilewords.unknowns(changed))


def test_a_project_without_a_cell_in_the_narrow_reading_says_which_is_shown(real_study):
    narrow = profiles.profile(real_study, "kanto-regional-t2", "funded", "narrow")
    assert (narrow.asked, narrow.reading) == ("narrow", "broad")
    assert "the broad reading is shown" in profilewords.target_sentence(narrow)
    other = profiles.profile(real_study, SILICON, "funded", "narrow")
    assert other.reading == "narrow"
    assert "is shown" not in profilewords.target_sentence(other)


def test_an_unknown_project_is_named(real_study):
    with pytest.raises(ValueError, match="project: found 'tama'"):
        profiles.profile(real_study, "tama", "funded", "broad")


def test_a_project_whose_fields_stand_for_no_industry_says_what_to_do(real_study):
    cells = real_study.cells.assign(projects_2="")
    with pytest.raises(ValueError, match=r"add one to data/raw/field_industries\.csv"):
        profiles.profile(replace(real_study, cells=cells), SILICON, "funded", "broad")


def test_a_project_of_the_first_term_that_nobody_followed_gets_its_own_years(real_study):
    projects = real_study.projects
    is_silicon = projects["project_id"] == SILICON
    left = replace(real_study, projects=projects[~is_silicon])
    assert "kyushu-silicon-t1" in set(portfolio.with_page(left.projects)["project_id"])
    ended = profiles.profile(left, "kyushu-silicon-t1", "funded", "broad")
    assert [p.base for p in ended.periods] == ["b1995", "b2000", "b2000"]
    assert profilewords.lineage_sentence(ended) == "No project of term 2 followed it."
    estimates = profiles.estimate(ended)
    assert len(profilewords.answer(ended, estimates)) == 5
    assert profilecharts.plot_paths(ended).data["fy"].min() == 1995


def test_the_records_of_a_project_are_its_growth_and_its_counterparts(silicon):
    records = profiles.estimate(silicon).set_index("result_id")
    gap = records.loc[f"{SILICON}-funded-gap-during"]
    row = silicon.growth.set_index(["industry", "period"]).loc["all", "during"]
    assert gap["estimate"] == row["gap"]
    assert gap["grade"] == 1
    assert pd.isna(gap["low"])
    assert {2, 3} == set(records.loc[records["design"] != profiles.GAP, "term"])
    assert records["grade"].max() <= 2


@pytest.mark.parametrize("project_id", [SILICON, "kanto-bio-t2"])  # the second with Tokyo
def test_bands_and_counterpart_are_told_from_records_as_they_were_estimated(
    project_id, real_study, tmp_path
):
    estimated = profiles.profile(real_study, project_id, "funded", "broad")
    results.save_results(profiles.estimate(estimated), "project", tmp_path)
    records = results.load_results(["project"], tmp_path)
    told = replace(estimated, records=records)
    bands = estimated.path_bands.drop(columns="factor")
    pd.testing.assert_frame_equal(told.path_bands, bands, check_dtype=False)
    for indicator in synthetic.INDICATORS:
        fit = estimated.counterpart(indicator)
        years, n_sets, reason = told.counterpart_gaps(indicator)
        assert (n_sets, reason) == (len(fit.placebo_sets), fit.reason)
        expected = fit.years.assign(gap=100 * fit.years["gap"])
        if not fit.reason:
            expected = expected.assign(low=100 * fit.band().low, high=100 * fit.band().high)
        pd.testing.assert_frame_equal(years, expected, check_dtype=False, rtol=1e-12)


def test_the_lines_of_a_project_are_drawn_with_their_bands(silicon):
    """A reader of the line, or of its text alone, learns how far chance runs."""
    gap = profilecharts.plot_synthetic(silicon)
    bands = [each for each in gap.figure.axes[0].collections if each.get_gid() == "band"]
    assert len(bands) == 1
    since = gap.data[gap.data["year"] >= 2001]
    outside = int(((since["gap"] < since["low"]) | (since["gap"] > since["high"])).sum())
    widest = since.loc[since["gap"].abs().idxmax()]
    assert f"from {number(widest['low'], signed=True)} to" in gap.alt
    assert f"inside their band in {len(since) - outside} years and outside in {outside}" in gap.alt
    paths = profilecharts.plot_paths(silicon)
    panels = [axes for axes in paths.figure.axes if axes.lines]
    for axes in panels:  # one band for each base that has a path
        assert sum(each.get_gid() == "band" for each in axes.collections) in (1, 2)
    assert "groups of adjoining prefectures" in paths.alt
    told = " ".join(profilewords.chance_sentences(silicon))
    assert "within the" in told
    assert "499 groups of 7 adjoining prefectures" in told
    assert "electrical machinery in Oita" in told


def test_the_table_of_counts_holds_what_is_said_of_the_project_or_says_that_nothing_is(
    real_study, silicon
):
    hokkaido = profiles.profile(real_study, "hokkaido-super-t2", "funded", "broad")
    counts = profiletables.counts_table(hokkaido).data
    assert {"hokkaido it firms", "hokkaido bio sales"} <= set(counts["indicator"])
    assert "1" in set(counts["term"])  # those of the project it came out of
    assert profiletables.counts_table(silicon).data["value"].tolist() == ["not found"]
    bio = profiles.profile(real_study, "kyushu-bio-t2", "funded", "broad")
    members = profiletables.counts_table(bio).data  # as the register counts them
    assert members[["indicator", "value"]].to_numpy().tolist() == [["firms taking part", "177"]]


def test_outlines_are_carried_for_every_prefecture_the_mainland_first(real_study):
    rings = profiles.read_outlines(real_study)
    assert (len(rings), sum(map(len, rings.values()))) == (47, 168)
    assert rings["01"][0][:, 1].max() > 45  # Hokkaido, in the north
    assert all((ring[0] == ring[-1]).all() for of_one in rings.values() for ring in of_one)


def test_with_boundaries_the_prefectures_are_drawn_by_them(silicon):
    square = np.array([[0, 0], [0, 1], [0.5, 1.2], [1, 1], [1.2, 0.5], [1, 0], [0, 0]])
    rings = {code: [square + np.array([130 + k, 32])] for k, code in enumerate(KYUSHU)}
    tiles = placecharts.plot_place(silicon, {})
    drawn = placecharts.plot_place(silicon, rings)
    assert "boundaries: MLIT" in drawn.source
    assert "MLIT" not in tiles.source
    pd.testing.assert_frame_equal(drawn.data, tiles.data)


# --- words ------------------------------------------------------------------------------------

# How to read, the same everywhere on purpose.
FIXED = {DEFAULT.in_words()}


def sentences(study, project_id):
    """Everything the page of a project says in sentences of its own."""
    profile = profiles.profile(study, project_id, "funded", "broad")
    estimates = profiles.estimate(profile)
    said = [
        *profilewords.answer(profile, estimates),
        *profilewords.weigh(profile).values(),
        *profilewords.area_sentences(profile),
        *profilewords.star_sentences(profile),
        *profilewords.unknowns(profile),
    ]
    assert all(text.strip() for text in said)
    whole = [text for text in said if text not in FIXED]
    return {part for text in whole for part in re.split(r"(?<=[.]) (?=[A-Z])", text)}


def said_by_all(pages):
    """Sentences that stand on every page."""
    counts = Counter(sentence for page in pages for sentence in page)
    return {sentence for sentence, count in counts.items() if count == len(pages)}


@pytest.fixture(scope="module")
def every_page(real_study):
    ids = portfolio.with_page(real_study.projects)["project_id"]
    return {project_id: sentences(real_study, project_id) for project_id in ids}


def test_no_sentence_would_be_true_of_any_project(every_page):
    assert len(every_page) == 18
    assert said_by_all(list(every_page.values())) == set()


def test_the_comparison_finds_a_sentence_that_all_share():
    assert said_by_all([{"A.", "It is a project."}, {"B.", "It is a project."}]) == {
        "It is a project."
    }


def test_every_page_names_its_own_project_and_says_little_that_others_say(real_study, every_page):
    names = portfolio.with_page(real_study.projects).set_index("project_id")
    for project_id, page in every_page.items():
        title = register.title_of(names.loc[project_id].to_dict())
        assert any(title in sentence for sentence in page), project_id
        assert not any("nan" in re.findall(r"[a-z]+", each) for each in page), project_id
        assert not any("not defined" in sentence for sentence in page), project_id
    shared = Counter(sentence for page in every_page.values() for sentence in page)
    assert {sentence: n for sentence, n in shared.items() if n > len(every_page) / 2} == {}


# --- a build ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """All that a build reads, and a project more in the facts."""
    folder = tmp_path_factory.mktemp("facts") / "事実 copy"
    for name in ("src", "notebooks", "data/raw"):
        ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


def build(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "clusterpolicy", "report", *arguments],
        env={"PYTHONPATH": str(folder / "src"), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


NEW = (
    'shinano-optics-t2,2,"Shinano Optics, Test Project",信濃光学プロジェクト,Kanto,2008,2010,2009,'
    "documented,,19;20,optics,,35,2008,,,no,P009,medium,\n"
)


def add(folder, line):
    table = folder / register.TABLE
    table.write_text(table.read_text(encoding="utf-8") + line, encoding="utf-8")
    return len(table.read_text(encoding="utf-8").splitlines())


@pytest.mark.slow
def test_a_project_added_to_the_facts_gets_its_page_with_no_change_of_code(copy):
    add(copy, NEW)
    done = build(copy, "--project=shinano-optics-t2")
    assert (done.returncode, done.stderr) == (0, "")
    page = (copy / "reports/projects/shinano-optics-t2.html").read_text(encoding="utf-8")
    assert '<h1 id="shinano-optics-test-project">Shinano Optics, Test Project</h1>' in page
    assert "It was new in FY2008: no project of term 1 came before it." in page
    assert 'href="../index.html"' in page
    assert re.search(r'href="shinano-optics-t2.html" aria-current="page"', page)
    assert page.count('aria-current="page"') == 1
    assert len(page.encode()) < 400_000
    assert build(copy, "--project=shinano-optics-t2").stdout.startswith("nothing to do")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("good", "bad", "column"),
    [
        (",19;20,", ",19;48,", "prefectures: found '19;48': not a list of prefecture codes"),
        (",optics,", ",optik,", "fields: found 'optik': unknown code: correct it, or add it to"),
        (",Kanto,2008", ",Canto,2008", "bureau: found 'Canto': unknown code"),
    ],
)
def test_a_fault_in_the_facts_stops_the_build_with_its_line_before_anything_is_published(
    copy, good, bad, column
):
    table = copy / register.TABLE
    before = table.read_bytes()
    pages = {path: path.read_bytes() for path in (copy / "reports").rglob("*.html")}
    table.write_text(
        "".join(
            line
            for line in table.read_text(encoding="utf-8").splitlines(keepends=True)
            if not line.startswith("shinano")
        ),
        encoding="utf-8",
    )
    line = add(copy, NEW.replace(good, bad, 1))
    done = build(copy, "--project=shinano-optics-t2")
    table.write_bytes(before)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0].startswith(f"data/raw/projects.csv:{line}: column {column}")
    assert {path: path.read_bytes() for path in (copy / "reports").rglob("*.html")} == pages


def test_cards_hold_no_figure_that_could_be_read_as_a_ranking(real_study):
    cards = profilewords.project_cards(real_study).set_index("name")["answer"]
    assert len(cards) == len(portfolio.with_page(real_study.projects))
    assert not cards.str.contains(r"\d").any()
    outside = "Wholly or mostly outside manufacturing, so hardly seen here"
    assert cards["kanto-it-t2"] == f"Kanto: IT and content. {outside}: IT and content."
    assert outside not in cards["kyushu-silicon-t2"]


def test_what_is_observed_is_not_called_evidence_of_the_project(every_page, real_study):
    for project_id in every_page:
        profile = profiles.profile(real_study, project_id, "funded", "broad")
        strongest = profilewords.weigh(profile)["strongest"]
        assert f"no evidence that {profilewords.title(profile.project)} had an effect" in strongest


def test_a_page_says_how_small_its_p_can_be_and_never_ends_in_a_printed_zero(real_study):
    profile = profiles.profile(real_study, "okinawa-t2", "funded", "broad")
    record = profilewords.main_record(profile, profiles.estimate(profile))
    said = profilewords.effect_sentence(profile, record)
    assert "interval −42.76 to −0.05" in said
    assert f"a rank among {record['draws']} sets that stand in" in said
    assert f"not below {record['smallest_p']:.3f}" in said
