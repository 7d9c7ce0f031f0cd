"""No digit of a record depends on how the rows of a raw table stand, or on what is called what."""

import pandas as pd
import pytest

from clusterpolicy import effects, inference, panel, results
from clusterpolicy.otherdesigns import robustness, spillovers
from clusterpolicy.projects import portfolio, profiles

DRAWS = 9
# One lies in one prefecture; the other one in two blocks.
PROJECTS = ("hokkaido-super-t2", "kansai-front-runner-t2")
NAMED = ["sample", "outcome_label", "input_hash"]  # columns of a record that hold or hash a name


def shuffle(raw, seed=20010401):
    """Shuffle the rows of every raw table; each keeps its line, as the reader gives it."""
    shuffled = {}
    for place, (name, table) in enumerate(raw.items()):
        shuffled[name] = table.sample(frac=1, random_state=seed + place)
        shuffled[name].attrs = table.attrs
    return shuffled


def rename(raw):
    """Call bureaus, prefectures and projects by names that sort the other way round."""
    bureaus = sorted(set(raw["prefectures"]["bureau"]), reverse=True)
    called = {bureau: f"{place:02d}" for place, bureau in enumerate(bureaus)}
    renamed = dict(raw)
    for name in ("prefectures", "projects"):
        renamed[name] = raw[name].assign(bureau=raw[name]["bureau"].map(called))
        renamed[name].attrs = raw[name].attrs
    for name, word in (("prefectures", "Place"), ("projects", "Project")):
        numbers = reversed(range(len(raw[name])))
        renamed[name] = renamed[name].assign(name_en=[f"{word} {number:02d}" for number in numbers])
        renamed[name].attrs = raw[name].attrs
    return renamed


@pytest.fixture(scope="module")
def shuffled(raw_tables):
    return panel.clean_all(shuffle(raw_tables))


def records_of(study, terms=(1, 2, 3), projects=PROJECTS):
    """Estimate the main design of terms, what stands beside that of the second, and projects."""
    parts = []
    for number in terms:
        parts.append(results.estimate_term(study, number, DRAWS))
        if number == 2:
            main = results.main_estimate(parts[-1], number, "funded", "broad")
            case = robustness.open_case(study, main, DRAWS)
            checks = [*spillovers.spillovers(case), *robustness.leave_one_out(case)]
            checks += [*robustness.placebo_industries(case), *spillovers.selection(case)]
            parts.append(results.to_frame(checks))
    for project in projects:
        parts.append(profiles.estimate(profiles.profile(study, project, "funded", "broad")))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def main_only():
    """Leave the main design alone of those of a term: the others take the same way."""
    every = effects.designs_of_term

    def main_design(study, number):
        return [
            design
            for design in every(study, number)
            if design.is_main and (design.term.clock, design.fields_map) == ("funded", "broad")
        ]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effects, "designs_of_term", main_design)
        yield


@pytest.fixture(scope="module")
def records(real_study, main_only):
    return records_of(real_study)


def test_rows_that_were_moved_in_a_raw_table_are_not_seen_in_a_clean_one(
    real_study, shuffled, raw_tables
):
    """Tables that people read from top to bottom keep their order, and no estimate asks for it."""
    as_written = {"evaluations", *panel.AS_WRITTEN}
    for name, table in real_study.items():
        moved = getattr(shuffled, name)
        if name in as_written:
            columns = list(table.columns)
            table, moved = (each.sort_values(columns) for each in (table, moved))
            table, moved = (each.reset_index(drop=True) for each in (table, moved))
        pd.testing.assert_frame_equal(moved, table, check_exact=True, obj=name)


def test_rows_that_were_moved_change_no_digit_of_any_record(shuffled, records):
    pd.testing.assert_frame_equal(records_of(shuffled), records, check_exact=True)
    assert records["result_id"].is_unique
    assert len(records) > 90


def test_another_name_of_a_bureau_or_project_changes_no_digit(raw_tables, records):
    renamed = records_of(panel.clean_all(rename(raw_tables)), terms=[2], projects=PROJECTS[1:])
    plain = records[records["result_id"].isin(renamed["result_id"])]
    pd.testing.assert_frame_equal(
        renamed.drop(columns=NAMED),
        plain.drop(columns=NAMED).reset_index(drop=True),
        check_exact=True,
    )
    left_out = renamed.loc[renamed["design"] == robustness.LEFT_OUT, "sample"]
    assert left_out.str.contains("Project").any()  # what is printed follows the name


def test_cells_in_another_order_get_the_same_draws_and_the_same_test(real_study, main_only):
    design = effects.main_design(real_study, 2, "funded", "broad")
    sample = effects.cell_sample(real_study, design)
    order = sample.cells.sample(frac=1, random_state=1).index
    plain = inference.permute_targets(sample.cells, DRAWS)
    moved = inference.permute_targets(sample.cells.loc[order], DRAWS)
    assert (moved.labels == plain.labels).all()
    assert (moved.unit == plain.unit[order]).all()


@pytest.mark.slow
def test_whole_files_with_their_rows_moved_give_every_record_again(
    raw_tables, real_study, tmp_path
):
    for name, table in shuffle(raw_tables, seed=7).items():
        table.to_csv(tmp_path / f"{name}.csv", index=False, lineterminator="\n")
    study = panel.clean_all(panel.read_raw(tmp_path))
    for number in (1, 2, 3):
        tables = []
        for each in (real_study, study):
            estimates = results.estimate_term(each, number, DRAWS)
            case = robustness.open_case(
                each, results.main_estimate(estimates, number, "funded", "broad"), DRAWS
            )
            curve = robustness.specification_curve(each, number, DRAWS)
            tables.append(pd.concat([estimates, spillovers.estimate_checks(case, curve)]))
        pd.testing.assert_frame_equal(tables[1], tables[0], check_exact=True)
    for project in portfolio.with_page(real_study.projects)["project_id"]:
        found = [
            profiles.estimate(profiles.profile(each, project, "funded", "broad"))
            for each in (study, real_study)
        ]
        pd.testing.assert_frame_equal(*found, check_exact=True)
