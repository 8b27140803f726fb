"""SQuAD 1.1 and 2.0 from the official JSON and from Parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.language_tasks import squad_question, task_settings, write_squad

from runtime.errors import UserError
from training.evaluation.language.tasks.task_data import read_task
from training.evaluation.language.tasks.task_examples import MISPLACED, AnswerSpan
from training.evaluation.language.tasks.task_registry import squad


def test_every_answer_of_the_published_squad_sample_is_at_its_start(shared_fixtures: Path) -> None:
    found = squad.read_squad1(shared_fixtures / "text" / "squad1" / "xquad.en.json")
    assert len(found) == 1190
    assert all(
        q.context[answer.start : answer.start + len(answer.text)] == answer.text
        for q in found.examples
        for answer in q.answers
    )


def test_squad2_keeps_questions_without_answers_and_squad1_refuses_them(tmp_path: Path) -> None:
    path = write_squad(
        tmp_path / "dev.json", [("The cat fell.", [squad_question("a", ("The cat", 0)), squad_question("b")])]
    )
    assert [len(q.answers) for q in squad.read_squad2(path).examples] == [1, 0]
    with pytest.raises(UserError, match=r"question b: no answers, which SQuAD 1.1 does not have"):
        squad.read_squad1(path)


def test_misplaced_squad_answers_are_marked_and_noted(tmp_path: Path) -> None:
    asked = [squad_question(str(n), ("The cat", 0)) for n in range(19)]
    path = write_squad(tmp_path / "dev.json", [("The cat fell.", [*asked, squad_question("x", ("The cat", 4))])])
    found = squad.read_squad1(path)
    assert found.examples[-1].answers[0].start == MISPLACED
    assert "1 answers that are not at" in found.notes[0]


def test_white_space_around_a_squad_answer_is_removed(tmp_path: Path) -> None:
    asked = [squad_question(str(n), ("The cat", 0)) for n in range(19)]
    path = write_squad(tmp_path / "dev.json", [("The cat fell.", [squad_question("a", (" cat ", 3)), *asked])])
    assert squad.read_squad1(path).examples[0].answers == (AnswerSpan("cat", 4),)
    blank = write_squad(tmp_path / "blank.json", [("The cat fell.", [squad_question("a", (" ", 3)), *asked])])
    assert squad.read_squad1(blank).examples[0].answers[0].start == MISPLACED


def test_both_squads_are_distinguished_in_one_folder(tmp_path: Path) -> None:
    for version in ("v1.1", "v2.0"):
        for split in ("train", "dev"):
            asked = [squad_question("a", ("The cat", 0)), *([squad_question("b")] if version == "v2.0" else [])]
            write_squad(tmp_path / "squad" / f"{split}-{version}.json", [("The cat fell.", asked)])
    assert len(read_task("squad1", task_settings(tmp_path, "squad1")).train) == 1
    assert len(read_task("squad2", task_settings(tmp_path, "squad2")).train) == 2


def test_parquet_squad_and_numbered_files_below_their_split_are_read(tmp_path: Path) -> None:
    answers = [{"text": ["The cat"], "answer_start": [0]}]
    columns = {"id": ["a"], "title": ["t"], "context": ["The cat fell."], "question": ["Who?"], "answers": answers}
    for split in ("train", "validation"):
        (tmp_path / "squad" / split).mkdir(parents=True)
        pq.write_table(pa.table(columns), tmp_path / "squad" / split / "0000.parquet")
    assert read_task("squad1", task_settings(tmp_path, "squad1")).scored["dev"].examples[0].answers[0].text == "The cat"


def test_squad_json_without_a_list_of_articles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text('{"data": 1}')
    with pytest.raises(UserError, match="its key 'data' holds no list of articles"):
        squad.read_squad1(tmp_path / "dev.json")


def test_a_parquet_answer_that_is_not_text_is_reported_with_its_row(tmp_path: Path) -> None:
    answers = pa.array(
        [{"text": [None], "answer_start": [0]}],
        pa.struct({"text": pa.list_(pa.string()), "answer_start": pa.list_(pa.int32())}),
    )
    columns = {"id": ["a"], "context": ["The cat fell."], "question": ["Who?"], "answers": answers}
    pq.write_table(pa.table(columns), tmp_path / "dev.parquet")
    with pytest.raises(UserError, match=r"line 1: column 'answers' holds None at 0"):
        squad.read_squad1(tmp_path / "dev.parquet")
