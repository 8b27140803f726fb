"""Published files of the language tasks become examples; mistakes in them are reported with file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.language_tasks import mnli_folder, sst2_folder, task_settings, write_csv, write_tsv

from runtime.errors import UserError
from training.evaluation.language.language_settings import LanguageSettings
from training.evaluation.language.tasks.task_data import check_sources, read_task
from training.evaluation.language.tasks.task_examples import Labelled, divide
from training.evaluation.language.tasks.task_hub import fetch_task
from training.evaluation.language.tasks.task_registry import LANGUAGE_TASKS, mnli, piqa, qnli, qqp, sst2, swag, tracie

SWAG_HEADER = (
    "",
    "video-id",
    "fold-ind",
    "startphrase",
    "sent1",
    "sent2",
    "gold-source",
    "ending0",
    "ending1",
    "ending2",
    "ending3",
    "label",
)
QQP_HEADER = ("id", "qid1", "qid2", "question1", "question2", "is_duplicate")


def swag_row(number: int, label: object = 1) -> tuple[object, ...]:
    return (
        number,
        "v",
        number,
        "A man. He",
        f"A man, number {number}.",
        "He",
        "gold",
        "runs.",
        "walks.",
        "falls.",
        "sits.",
        label,
    )


@pytest.mark.parametrize(
    ("folder", "task", "train", "labels"),
    [("SST-2", "sst2", 32, 2), ("QNLI", "qnli", 32, 2), ("QQP", "qqp", 32, 2), ("MNLI", "mnli", 48, 3)],
)
def test_published_glue_samples_are_read_with_balanced_labels(
    shared_fixtures: Path, folder: str, task: str, train: int, labels: int
) -> None:
    own = {task: str(shared_fixtures / "text" / "glue_kshot" / folder / "16-13")}
    found = read_task(task, task_settings(shared_fixtures, task, folders=own))
    counts = [sum(example.label == label for example in found.train.examples) for label in range(labels)]
    assert counts == [train // labels] * labels
    assert len(next(iter(found.scored.values()))) == train
    assert all(example.first for example in found.train.examples)


def test_glue_pairs_have_premise_first_and_labels_by_their_published_names(shared_fixtures: Path) -> None:
    found = qnli.read_qnli(shared_fixtures / "text" / "glue_kshot" / "QNLI" / "16-13" / "train.tsv").examples[0]
    assert found.first.startswith("Sanskrit is the primary sacred language")
    assert found.second.startswith("Sanskrit (/")
    assert found.label == qnli.LABELS.index("entailment")


def test_published_swag_sample_puts_the_second_beginning_before_each_ending(shared_fixtures: Path) -> None:
    found = swag.read_swag(shared_fixtures / "text" / "swag" / "hf_sample.jsonl")
    assert len(found) == 10
    assert found.examples[0].endings[0] == "A drum line passes by walking down the street playing their instruments."


def test_published_piqa_sample_needs_a_share_to_be_divided(shared_fixtures: Path) -> None:
    with pytest.raises(UserError, match=r"only one labelled file \(valid_first200.jsonl\); set recipes.piqa.holdout"):
        read_task("piqa", task_settings(shared_fixtures / "text", "piqa"))
    divided = read_task("piqa", task_settings(shared_fixtures / "text", "piqa", recipes={"piqa": {"holdout": 0.25}}))
    assert (len(divided.train), len(divided.scored["holdout"])) == (150, 50)
    assert any("is divided 150 : 50" in note for note in divided.notes)


def test_published_tracie_sample_is_divided_between_stories_never_within_one(shared_fixtures: Path) -> None:
    found = read_task("tracie", task_settings(shared_fixtures / "text", "tracie"))
    train, scored = found.train.examples, found.scored["holdout"].examples
    assert len(train) + len(scored) == 860
    assert {e.group for e in train}.isdisjoint(e.group for e in scored)
    assert 0.15 < len(scored) / 860 < 0.25


def tracie_lines(folder: Path, name: str, count: int, more: str = "") -> Path:
    """Write queries in the format of TRACIE's authors."""
    lines = [
        f"event: Ann ran {n} starts before she fell story: Ann ran {n // 2}. The story: she fell.\tanswer: {answer}\n"
        for n, answer in zip(range(count), ("positive", "negative") * count, strict=False)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(lines) + more, encoding="utf-8")
    return path


def test_the_authors_tracie_files_are_read_and_their_labelled_test_file_is_scored(tmp_path: Path) -> None:
    folder = tmp_path / "TRACIE" / "data" / "uniform-prior"
    tracie_lines(folder, "tracie_train_uniform_prior.txt", 30)
    tracie_lines(folder, "tracie_test.txt", 8)
    found = read_task("tracie", task_settings(tmp_path, "tracie"))
    assert (len(found.train), {name: len(split) for name, split in found.scored.items()}) == (30, {"dev": 8})
    first, second = found.scored["dev"].examples[:2]
    assert isinstance(first, Labelled)
    assert isinstance(second, Labelled)
    assert first.first == "event: Ann ran 0 starts before she fell"
    assert first.second == "Ann ran 0. The story: she fell."
    assert (first.label, second.label) == (tracie.LABELS.index("entailment"), tracie.LABELS.index("contradiction"))
    assert first.group == second.group


def test_tracie_lines_without_an_answer_are_counted_and_others_refused_by_line(tmp_path: Path) -> None:
    path = tracie_lines(tmp_path, "tracie_test.txt", 20, more="event: a starts before b story: c\n")
    found = tracie.read_tracie(path)
    assert len(found) == 20
    assert found.notes == ("tracie_test.txt: rows without a label left out: 1",)
    path = tracie_lines(tmp_path, "tracie_test.txt", 2, more="no query\n")
    with pytest.raises(UserError, match=r"tracie_test\.txt, line 3: not `event:"):
        tracie.read_tracie(path)


def test_unlabelled_tracie_test_split_is_not_taken_for_scoring(tmp_path: Path) -> None:
    rows = [
        {"query": f"event: {n} starts before b", "story": f"story {n // 2}", "label": "entailment"} for n in range(20)
    ]
    folder = tmp_path / "tracie"
    folder.mkdir()
    (folder / "train_uniform.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "test.jsonl").write_text(json.dumps({"query": "q", "story": "s"}))
    assert list(read_task("tracie", task_settings(tmp_path, "tracie")).scored) == ["holdout"]


def test_quotes_in_qqp_are_plain_characters_and_broken_rows_are_counted(tmp_path: Path) -> None:
    rows = [(n, 1, 2, f'What is "{n}?', "Why not?", n % 2) for n in range(20)]
    path = write_tsv(tmp_path / "train.tsv", QQP_HEADER, [*rows, (20, 1, 2, "cut off")])
    found = qqp.read_qqp(path)
    assert len(found) == 20
    assert found.examples[3].first == 'What is "3?'
    assert found.notes == ("train.tsv: 1 broken rows left out",)


def test_a_missing_column_is_reported_with_file_line_and_the_existing_columns(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "train.tsv", ("sentence", "mark"), [("good", 1)])
    with pytest.raises(UserError, match=r"train.tsv, line 2: column 'label' is missing \(it has 'sentence', 'mark'\)"):
        sst2.read_sst2(path)


def test_a_truncated_row_is_reported_with_its_line(tmp_path: Path) -> None:
    path = write_tsv(
        tmp_path / "train.tsv", ("index", "question", "sentence", "label"), [(0, "q", "s", "entailment"), (1, "q")]
    )
    with pytest.raises(UserError, match=r"train.tsv, line 3: column 'sentence' is missing"):
        qnli.read_qnli(path)


def test_an_unknown_label_is_reported_with_line_column_and_valid_labels(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "train.tsv", ("index", "question", "sentence", "label"), [(0, "q", "s", "maybe")])
    with pytest.raises(UserError, match=r"line 2: column 'label' holds 'maybe', not one of entailment, not_entailment"):
        qnli.read_qnli(path)


def test_a_row_without_a_label_is_refused(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "train.tsv", ("sentence", "label"), [("good", "")])
    with pytest.raises(UserError, match=r"line 2: no label in column 'label'"):
        sst2.read_sst2(path)


def test_rows_of_mnli_without_consensus_are_left_out_and_noted(shared_fixtures: Path) -> None:
    split = mnli.read_mnli(shared_fixtures / "faults/27-multinli-no-consensus" / "multinli_1.0_dev_matched.jsonl")
    assert [(example.first, example.label) for example in split.examples] == [("a man sits", 1), ("a cat sleeps", 0)]
    assert split.notes == ("multinli_1.0_dev_matched.jsonl: rows without a label left out: 1",)


@pytest.mark.parametrize("label", [None, -1])
def test_rows_without_a_label_are_left_out_of_the_hubs_files_too(tmp_path: Path, label: int | None) -> None:
    columns = {"premise": ["a", "b", "c"], "hypothesis": ["d", "e", "f"], "label": [0, label, 2]}
    pq.write_table(pa.table(columns), tmp_path / "validation_matched.parquet")
    split = mnli.read_mnli(tmp_path / "validation_matched.parquet")
    assert [example.first for example in split.examples] == ["a", "c"]
    assert split.notes


def test_a_row_of_another_task_without_a_label_is_left_out(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "train.csv", SWAG_HEADER, [swag_row(0), swag_row(1, ""), swag_row(2)])
    split = swag.read_swag(path)
    assert len(split.examples) == 2
    assert split.notes == ("train.csv: rows without a label left out: 1",)


def test_a_file_with_many_rows_without_a_label_is_refused(tmp_path: Path) -> None:
    rows = [(f"film {number}", "" if number % 2 else 1) for number in range(40)]
    path = write_tsv(tmp_path / "train.tsv", ("sentence", "label"), rows)
    with pytest.raises(UserError, match=r"line 3: no label in column 'label'"):
        sst2.read_sst2(path)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_bytes("sentence\tlabel\ncafé\t1\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        sst2.read_sst2(path)


def test_swag_is_read_from_the_shuffled_csv_and_not_from_the_full_one(tmp_path: Path) -> None:
    for name in ("train", "val"):
        write_csv(tmp_path / "swag" / f"{name}.csv", SWAG_HEADER, [swag_row(n) for n in range(3)])
        write_csv(tmp_path / "swag" / f"{name}_full.csv", ("video-id", "gold-ending"), [("v", "runs")])
    found = read_task("swag", task_settings(tmp_path, "swag"))
    assert found.train.files == ("train.csv",)
    assert found.train.examples[0].first == "A man, number 0."
    assert found.train.examples[0].label == 1


def test_piqa_labels_must_be_as_many_as_goals(tmp_path: Path) -> None:
    goal = json.dumps({"goal": "g", "sol1": "a", "sol2": "b"})
    (tmp_path / "train.jsonl").write_text(f"{goal}\n{goal}\n")
    (tmp_path / "train-labels.lst").write_text("0\n")
    with pytest.raises(UserError, match=r"1 labels for 2 goals of train\.jsonl"):
        piqa.read_piqa(tmp_path / "train.jsonl")


def test_hub_parquet_gives_the_same_examples_as_the_official_files(tmp_path: Path) -> None:
    official = mnli_folder(tmp_path / "official")
    rows = list(mnli.read_mnli(official / "MNLI" / "train.tsv").examples)
    table = pa.table(
        {
            "premise": [e.first for e in rows],
            "hypothesis": [e.second for e in rows],
            "label": [e.label for e in rows],
            "idx": list(range(len(rows))),
        }
    )
    hub = tmp_path / "hub" / "mnli"
    hub.mkdir(parents=True)
    for split in ("train", "validation_matched", "validation_mismatched"):
        pq.write_table(table, hub / f"{split}-00000-of-00001.parquet")
    ours, theirs = (read_task("mnli", task_settings(folder, "mnli")) for folder in (tmp_path / "hub", official))
    assert ours.train.identity == theirs.train.identity
    assert list(ours.scored) == ["matched", "mismatched"]


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("qnli", {"question": "what fell?", "sentence": "the cat fell", "label": 1}),
        ("qqp", {"question1": "who fell?", "question2": "who is it that fell?", "label": 1}),
        ("mnli", {"premise": "the cat fell", "hypothesis": "it sat", "label": 1}),
        ("piqa", {"goal": "to fall", "sol1": "sit", "sol2": "jump", "label": 1}),
    ],
)
def test_the_hubs_columns_and_numbered_labels_are_read_from_tables_of_text_too(
    tmp_path: Path, task: str, columns: dict[str, object]
) -> None:
    split = "validation_matched" if task == "mnli" else "validation"
    for name in ("train", split):
        write_csv(tmp_path / task / f"{name}.csv", tuple(columns), [tuple(columns.values())])
        path = tmp_path / f"{task}-lines" / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(columns) + "\n")
    for folder in (tmp_path / task, tmp_path / f"{task}-lines"):
        found = read_task(task, task_settings(tmp_path, task, folders={task: str(folder)}))
        assert [example.label for example in found.train.examples] == [1]


def test_labels_of_a_hub_test_split_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"sentence": ["good"], "label": [-1]}), tmp_path / "validation.parquet")
    with pytest.raises(UserError, match="a test split without labels can't be scored"):
        sst2.read_sst2(tmp_path / "validation.parquet")


def test_diagnostics_carry_coarse_and_fine_categories_and_no_training_split(tmp_path: Path) -> None:
    found = read_task("diagnostics", task_settings(mnli_folder(tmp_path), "diagnostics"))
    assert len(found.train) == 0
    assert found.scored["diagnostic"].examples[1].tags == ("Logic", "Logic: Negation", "Logic: Universal")


def test_the_hub_lacks_the_diagnostics_and_the_message_says_what_to_do() -> None:
    with pytest.raises(UserError, match="the hub has no labelled copy; put its published files into a folder and name"):
        fetch_task(LANGUAGE_TASKS["diagnostics"])


def test_all_tasks_that_the_hub_lacks_are_reported_before_any_is_fetched() -> None:
    asked = LanguageSettings.model_validate({"tasks": ["sst2", "diagnostics", "tracie"]})
    with pytest.raises(UserError, match=r"GLUE diagnostics and TRACIE; set folders\.diagnostics and folders\.tracie"):
        check_sources(asked.tasks, asked)
    own = {"diagnostics": "a", "tracie": "b"}
    check_sources(asked.tasks, asked.model_copy(update={"folders": own}))
    check_sources(asked.tasks, asked.model_copy(update={"data": "tasks"}))


def test_files_of_other_names_are_reported_with_the_expected_names(tmp_path: Path) -> None:
    folder = mnli_folder(tmp_path) / "MNLI"
    (folder / "dev_matched.tsv").rename(folder / "dev.tsv")
    (folder / "dev_mismatched.tsv").unlink()
    with pytest.raises(UserError, match=r"\(train\.tsv\) of the names looked for \(train, .*dev_matched\*.*dev\.tsv"):
        read_task("mnli", task_settings(tmp_path, "mnli"))


def test_a_field_too_long_for_a_table_is_reported_with_its_line(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "train.tsv", ("sentence", "label"), [("good", 1), ("x" * 140_000, 1)])
    with pytest.raises(UserError, match=r"train\.tsv, line 3: field larger than field limit"):
        sst2.read_sst2(path)


def test_piqa_labels_in_another_encoding_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"goal": "g", "sol1": "a", "sol2": "b"}))
    (tmp_path / "train-labels.lst").write_bytes(b"\xff0\n")
    with pytest.raises(UserError, match=r"train-labels\.lst: not UTF-8 \(byte 0\)"):
        piqa.read_piqa(tmp_path / "train.jsonl")


def test_two_files_that_could_be_the_split_are_refused(tmp_path: Path) -> None:
    for seed in (13, 42):
        sst2_folder(tmp_path / "SST-2" / str(seed))
    with pytest.raises(UserError, match=r"have the same name; keep one, or name the right folder as folders.sst2"):
        read_task("sst2", task_settings(tmp_path, "sst2"))


def test_a_folder_without_the_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="SWAG: no labelled file in"):
        read_task("swag", task_settings(sst2_folder(tmp_path), "swag"))


def test_limits_sample_the_same_examples_each_time_and_add_a_note(tmp_path: Path) -> None:
    limited = task_settings(sst2_folder(tmp_path), "sst2", max_train=10, max_eval=5)
    first, again = read_task("sst2", limited), read_task("sst2", limited)
    assert (len(first.train), len(first.scored["dev"])) == (10, 5)
    assert first.train.identity == again.train.identity
    assert "train: 10 of 64 examples" in first.notes


def test_division_needs_two_texts(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "train.tsv", ("sentence", "label"), [("same", 0), ("same", 1)])
    with pytest.raises(ValueError, match="can't be divided"):
        divide(sst2.read_sst2(path), 0.5)
