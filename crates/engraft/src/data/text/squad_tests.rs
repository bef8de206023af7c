use super::*;
use serde_json::json;

fn read(name: &str, text: &str) -> Result<(QuestionSet, Vec<Finding>)> {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join(name);
    std::fs::write(&path, text).unwrap();
    open_questions(&path)
}

fn squad(qas: Value) -> String {
    let context = "Žofie met Ada in Rome. In Rome Ada wrote a programme.";
    json!({ "version": "x", "data": [{ "title": "t", "paragraphs": [{ "context": context, "qas": qas }] }] })
        .to_string()
}

fn kinds(findings: &[Finding]) -> Vec<FindingKind> {
    findings.iter().map(|finding| finding.kind).collect()
}

#[test]
fn offsets_in_characters_become_bytes() {
    let qas = json!([{ "id": "a", "question": "Who?", "answers": [{ "text": "Ada", "answer_start": 10 }] }]);
    let (set, findings) = read("a.json", &squad(qas)).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(set.questions[0].answers, [GoldAnswer { start: 11, text: "Ada".into() }]);
    assert_eq!((set.version, &set.context(0)[11..14]), (SquadVersion::V1, "Ada"));
}

#[test]
fn answers_that_stand_elsewhere_are_found_again_and_others_are_told() {
    let qas = json!([
        { "id": "a", "question": "Where?", "answers": [{ "text": "Rome", "answer_start": 24 }] },
        { "id": "b", "question": "Where else?", "answers": [{ "text": "Paris", "answer_start": 3 }] },
        { "id": "c", "question": "When?", "answers": [], "is_impossible": true, "plausible_answers": [{ "text": "Rome", "answer_start": 0 }] },
        { "id": "d", "question": "Who?", "answers": [{ "text": "Ada", "answer_start": 10 }], "is_impossible": true },
        { "id": "e", "question": "Far?", "answers": [{ "text": "Ada", "answer_start": 5000 }], "is_impossible": false },
    ]);
    let (set, findings) = read("a.json", &squad(qas)).unwrap();
    let kept: Vec<_> = set.questions.iter().map(|q| (q.id.as_str(), q.answers.first().map(|a| a.start))).collect();
    assert_eq!(kept, [("a", Some(27)), ("c", None), ("d", None), ("e", Some(32))]);
    assert_eq!(set.version, SquadVersion::V2);
    assert_eq!(kinds(&findings), [FindingKind::AnswerNotFound, FindingKind::LabelConflict, FindingKind::AnswerMoved]);
    assert_eq!(findings[0].files, ["b"]);
    assert_eq!(findings[2].files, ["a", "e"]);
}

#[test]
fn what_is_there_twice_is_told() {
    let one = json!({ "id": "a", "question": "Who?", "answers": [{ "text": "Ada", "answer_start": 10 }] });
    let same_name = json!({ "id": "a", "question": "Where?", "answers": [{ "text": "Rome", "answer_start": 17 }] });
    let again = json!({ "id": "b", "question": "who", "answers": [{ "text": "Ada", "answer_start": 10 }] });
    let other = json!({ "id": "c", "question": "Who ?", "answers": [{ "text": "Rome", "answer_start": 17 }] });
    let (set, findings) = read("a.json", &squad(json!([one, one, same_name, again, other]))).unwrap();
    assert_eq!(set.questions.len(), 4);
    assert_eq!(kinds(&findings), [FindingKind::DuplicateRow, FindingKind::DuplicateRow]);
    let audit = audit_questions(&set, findings);
    let of = |kind| audit.findings.iter().find(|finding| finding.kind == kind).unwrap();
    assert_eq!(of(FindingKind::ExactDuplicate).files, ["a", "b"]);
    assert_eq!(of(FindingKind::LabelConflict).files, ["a", "c"]);
    assert_eq!(audit.groups, [0, 0, 0, 0]);
}

#[test]
fn a_table_of_questions_may_say_answers_in_three_ways() {
    let rows = [
        json!({ "question": "Who?", "context": "Ada ran.", "answers": { "text": ["Ada"], "answer_start": [0] } }),
        json!({ "question": "What?", "context": "Ada ran.", "answers": ["ran"] }),
        json!({ "question": "Did what?", "context": "Ada ran.", "answers": "ran", "id": 7 }),
    ];
    let text: String = rows.iter().map(|row| format!("{row}\n\n")).collect();
    let (set, findings) = read("a.jsonl", &text).unwrap();
    let starts: Vec<usize> = set.questions.iter().map(|question| question.answers[0].start).collect();
    assert_eq!((starts, findings.len(), set.contexts.len()), (vec![0, 4, 4], 0, 1));
    assert_eq!((set.questions[0].id.as_str(), set.questions[2].id.as_str()), ("a.jsonl line 1", "7"));
}

#[test]
fn faults_are_told_with_their_place() {
    let missing = squad(json!([{ "id": "a", "answers": [] }]));
    let wrong_start = squad(json!([{ "question": "x", "answers": [{ "text": "a", "answer_start": "b" }] }]));
    for (name, text, part) in [
        ("a.json", "{\n\"data\": [", "line 2 column 9"),
        ("a.json", "{}", "no list `data`"),
        ("a.json", missing.as_str(), "data[0].paragraphs[0].qas[0], no `question`"),
        ("a.json", wrong_start.as_str(), "qas[0], an `answer_start` of \"b\""),
        ("a.jsonl", "{\"question\": \"x\"}\n", "line 1, no `context`"),
        ("a.jsonl", "\n{", "line 2"),
    ] {
        let error = read(name, text).unwrap_err();
        assert!(matches!(error, Error::Data(_)) && error.to_string().contains(part), "{error}");
    }
}

#[test]
fn unanswered_is_not_unanswerable() {
    // Nothing says that questions may have no answer.
    let (set, findings) = read("a.json", &squad(json!([{ "id": "a", "question": "Who?", "answers": [] }]))).unwrap();
    assert_eq!((set.questions.len(), kinds(&findings)), (0, vec![FindingKind::MissingValue]));
}

#[test]
fn a_paragraph_in_two_splits_counts_for_the_one_that_matters_most() {
    let temp = tempfile::tempdir().unwrap();
    let qas =
        |id: &str| squad(json!([{ "id": id, "question": "Who?", "answers": [{ "text": "Ada", "answer_start": 10 }] }]));
    std::fs::write(temp.path().join("train.json"), qas("a")).unwrap();
    std::fs::write(temp.path().join("test.json"), qas("b")).unwrap();
    let (set, findings) = open_questions(temp.path()).unwrap();
    let audit = audit_questions(&set, findings);
    let left: Vec<&str> = audit.excluded.iter().map(|&at| set.questions[at].id.as_str()).collect();
    assert_eq!(left, ["a"]);
    assert_eq!(audit.findings[0].kind, FindingKind::StraddledContext);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,80}") {
        let _ = read("a.json", &text);
        let _ = read("a.jsonl", &text);
    }

    #[test]
    fn an_answer_stands_where_it_is_said_to(context in "[a-cž ]{1,30}", answer in "[a-cž ]{1,3}", said in 0..40_usize) {
        match place_of(&context, &answer, Some(said)) {
            Some((start, _)) => proptest::prop_assert!(context[start..].starts_with(&answer)),
            None => proptest::prop_assert!(!context.contains(&answer)),
        }
    }
}
