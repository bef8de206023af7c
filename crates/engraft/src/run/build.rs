//! From everything that a fit led to, to its report.

use std::collections::BTreeSet;

use crate::adapt::Adaptation;
use crate::controls::numbers_of;
use crate::data::Task;
use crate::data::intake::{Content, InputKind};
use crate::data::text::Text;
use crate::error::printable;
use crate::fit::TextFacts;
use crate::fit::{Fitted, HeldOut};
use crate::methods::{Difference, Measured};
use crate::metrics::{
    AnswerEvaluation, AnswerScore, Coverage, Estimate, Evaluation, ImbalanceEvaluation, MultiLabelEvaluation,
    Predictions as Probabilities, RegressionEvaluation, Span, SpanEvaluation, evaluate_imbalance, wilson,
};
use crate::run::blocks::*;
use crate::run::report::*;
use crate::targets::{
    Answer, Calibration, FoundSpan, GivenAnswer, Measures, Predictions, Strength, Suspects, TargetAnswer,
};

/// Wrong answers and suspected labels that a report lists.
const LISTED: usize = 100;
/// Mistakes, and suspected labels, whose texts are kept in the report.
const SHOWN: usize = 24;
/// Characters of a text that are shown.
const EXCERPT: usize = 600;
/// Points of the charts of numbers; of more examples evenly spaced ones are kept.
const POINTS: usize = 2000;

/// The report of a fit, and of the adaptation after it where there is one.
pub(crate) fn build_report(fitted: &Fitted, adaptation: Option<&Adaptation>) -> Report {
    let Fitted { config, intake, train, chosen, probe, .. } = fitted;
    let dataset = &intake.dataset;
    let taken = fitted.taken();
    let target = match &fitted.measures {
        Measures::Classes(evaluation) => TargetBlock::Classes(Box::new(classes(fitted, evaluation))),
        Measures::Numbers { evaluation, coverage } => {
            TargetBlock::Numbers { regression: numbers(fitted, evaluation, coverage.as_ref()) }
        }
        Measures::LabelSets(evaluation) => TargetBlock::LabelSets { multi_label: label_sets(fitted, evaluation) },
        Measures::Tags(evaluation) => TargetBlock::Tags { tags: tags(fitted, evaluation) },
        Measures::Answers(evaluation) => TargetBlock::Answers { answers: answers(fitted, evaluation) },
    };
    let task = match (dataset.task(), intake.kind()) {
        (Task::SingleLabel, InputKind::Images) => "image-classification",
        (Task::SingleLabel, InputKind::Texts) => "text-classification",
        (Task::SingleLabel, _) => "tabular-classification",
        (task, _) => task.name(),
    };
    let strength =
        |tried: &Strength| TriedStrength { strength: tried.value, loss: tried.loss, accuracy: tried.accuracy };
    Report {
        schema: SCHEMA,
        command: if adaptation.is_some() { "adapt" } else { "fit" }.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        task: task.into(),
        base: BaseReport::of(fitted.base.facts(), fitted.predictor.head.columns()),
        data: DataReport {
            path: printable(&config.data),
            unit: intake.unit().into(),
            reason: intake.inferred.reason.clone(),
            examples: dataset.examples.len(),
            train: train.len(),
            classes: dataset.classes.clone(),
            fingerprint: intake.fingerprint(),
            audit: intake.audit.clone(),
        },
        choice: Choice {
            depth: taken.depth.clone(),
            cut: taken.cut.clone(),
            reason: chosen.reason.clone(),
            tried: tried(fitted),
            left_out: chosen.left_out.clone(),
            strengths: probe.tried.iter().map(strength).collect(),
            strength: probe.strength,
            temperature: match &fitted.predictor.calibration {
                Calibration::Classes { temperature, .. } | Calibration::LabelSets { temperature, .. } => {
                    Some(*temperature)
                }
                _ => None,
            },
        },
        held_out: fitted.held_out.iter().map(|held| held_out(held, fitted)).collect(),
        controls: Controls {
            scratch: fitted.scratch.as_ref().map(|(scratch, paired)| ScratchReport {
                measures: numbers_of(&scratch.measures),
                how: scratch.how.clone(),
                paired: paired.clone(),
                held_out: fitted
                    .scratch_held_out
                    .iter()
                    .map(|(split, paired)| (split.name().to_owned(), paired.clone()))
                    .collect(),
            }),
            probe: ProbeReport { measures: numbers_of(&fitted.probe_measures) },
            baselines: fitted.baselines.iter().map(Into::into).collect(),
        },
        text: fitted.texts.as_ref().map(|facts| text_report(fitted, facts, &shown_files(&target, SHOWN).collect())),
        table: fitted.columns.as_ref().map(Into::into),
        verdict: fitted.verdict(),
        unlike: UnlikeReport::of(&fitted.predictor.novelty, config.unlike_rate),
        seed: config.seed,
        config: config.clone(),
        seconds: fitted.seconds.into(),
        images_per_second: fitted.per_second,
        peak_memory_mb: peak_memory_mb(),
        adaptation: adaptation.cloned(),
        forecasts: fitted.forecasts.clone(),
        target,
    }
}

/// The examples that are shown: the first `most` mistakes, and labels that are probably wrong.
pub(super) fn shown_files(target: &TargetBlock, most: usize) -> Box<dyn Iterator<Item = &str> + '_> {
    match target {
        TargetBlock::Classes(classes) => {
            let mistakes = classes.mistakes.iter().take(most).map(|mistake| mistake.file.as_str());
            Box::new(mistakes.chain(classes.label_errors.iter().take(most).map(|error| error.file.as_str())))
        }
        TargetBlock::Numbers { regression } => {
            Box::new(regression.worst.iter().take(most).map(|mistake| mistake.file.as_str()))
        }
        TargetBlock::LabelSets { multi_label } => {
            Box::new(multi_label.label_errors.iter().take(most).map(|error| error.file.as_str()))
        }
        // They are shown whole where they are listed.
        TargetBlock::Tags { .. } | TargetBlock::Answers { .. } => Box::new(std::iter::empty()),
    }
}

/// The name of an example that the depth taken was measured on, by its place among these.
fn name_of(fitted: &Fitted, place: usize) -> String {
    fitted.intake.dataset.examples[fitted.train[fitted.taken().rows[place]]].name.clone()
}

fn classes(fitted: &Fitted, evaluation: &Evaluation) -> ClassesReport {
    let taken = fitted.taken();
    let Calibration::Classes { rule, .. } = &fitted.predictor.calibration else {
        unreachable!("classes are calibrated as such")
    };
    let labels = fitted.intake.labels(&fitted.train);
    let truth: Vec<usize> = taken.rows.iter().map(|&at| labels[at]).collect();
    let out_of_fold: &[f32] = match &taken.calibrated.predictions {
        Predictions::Classes(probabilities) => probabilities,
        _ => &[],
    };
    let (classes, how) = (fitted.intake.dataset.classes.len(), &evaluation.accuracy.how);
    let measured = Probabilities::new(out_of_fold, &truth, classes).ok();
    let offered = measured.and_then(|measured| rule.offered(&measured.confidences(), &measured.correct()).ok()?);
    let offered = offered.map(|offered| (offered.max_error, offered.answered));
    ClassesReport {
        // What was evaluated before fits together.
        imbalance: evaluate_imbalance(out_of_fold, &truth, classes, fitted.config.seed, how).ok(),
        unsure: UnsureReport { offered, ..rule.into() },
        label_errors: label_errors(fitted),
        mistakes: mistakes(fitted, out_of_fold, &truth),
        evaluation: evaluation.clone(),
    }
}

/// The depths that were tried, each with its gain over the probe.
fn tried(fitted: &Fitted) -> Vec<TriedCut> {
    let chosen = &fitted.chosen;
    let classes = matches!(fitted.measures, Measures::Classes(_));
    let each = |(at, measured): (usize, &Measured)| TriedCut {
        depth: measured.depth.clone(),
        cut: measured.cut.clone(),
        plan: measured.plan.clone(),
        seeds: measured.seeds,
        score: score(measured, classes),
        against_probe: (at > 0).then(|| measured.gain_over(&chosen.tried[0])),
        multiply_adds: measured.cost,
        remarks: measured.remarks.clone(),
        seconds: measured.seconds,
    };
    chosen.tried.iter().enumerate().map(each).collect()
}

fn score(measured: &Measured, classes: bool) -> Estimate {
    let n = measured.scores.len();
    let of_seeds = match measured.seeds {
        1 => String::new(),
        seeds => format!(", mean of {seeds} seeds"),
    };
    if classes {
        let mean = measured.score();
        // Seeds are not new examples: the interval is that of the examples.
        let (low, high) = wilson((mean * n as f64).round() as usize, n);
        let over = if of_seeds.is_empty() { "" } else { " over examples" };
        return Estimate { mean, low, high, n, how: format!("out-of-fold{of_seeds}; Wilson interval{over}, 95 %") };
    }
    let Difference { mean, low, high, .. } = Difference::of(&measured.scores, &vec![0.0; n]);
    Estimate { mean, low, high, n, how: format!("out-of-fold{of_seeds}; normal interval over examples, 95 %") }
}

/// What is told of a held-out split.
fn held_out(held: &HeldOut, fitted: &Fitted) -> HeldOutReport {
    let measures = match &held.measures {
        Measures::Classes(evaluation) => HeldBlock::Classes(Box::new(held_classes(held, fitted, evaluation))),
        Measures::Numbers { evaluation, coverage } => {
            HeldBlock::Numbers(HeldNumbers { evaluation: evaluation.clone(), coverage: coverage.clone() })
        }
        Measures::LabelSets(evaluation) => HeldBlock::LabelSets(Box::new(evaluation.clone())),
        Measures::Tags(evaluation) => HeldBlock::Tags(evaluation.clone()),
        Measures::Answers(evaluation) => HeldBlock::Answers(evaluation.clone()),
    };
    let unlike = held.answers.iter().filter(|answer| answer.unlike()).count() as f64;
    HeldOutReport { split: held.split.name().into(), measures, unlike: unlike / held.answers.len().max(1) as f64 }
}

fn held_classes(held: &HeldOut, fitted: &Fitted, evaluation: &Evaluation) -> HeldClasses {
    let Calibration::Classes { rule, .. } = &fitted.predictor.calibration else {
        unreachable!("classes are calibrated as such")
    };
    let labels = fitted.intake.labels(&held.examples);
    let answers: Vec<&Answer> = held.answers.iter().filter_map(TargetAnswer::class).collect();
    // The diagonal of the confusion counts right answers, but not which were answered: that is counted anew.
    let share = |count: usize| count as f64 / answers.len().max(1) as f64;
    let answered = || answers.iter().zip(&labels).filter(|(answer, _)| !answer.unsure);
    let wrong = answered().filter(|(answer, label)| answer.class != **label).count();
    HeldClasses {
        evaluation: evaluation.clone(),
        imbalance: imbalance_of(held, &answers, &labels, evaluation.confusion.len(), fitted.config.seed),
        unsure: UnsureReport {
            answered: share(answered().count()),
            error: wrong as f64 / answered().count().max(1) as f64,
            ..rule.into()
        },
    }
}

/// The numbers in which every class counts alike, of a held-out split.
fn imbalance_of(
    held: &HeldOut,
    answers: &[&Answer],
    labels: &[usize],
    classes: usize,
    seed: u64,
) -> Option<ImbalanceEvaluation> {
    let probabilities: Vec<f32> = answers.iter().flat_map(|answer| answer.probabilities.iter().copied()).collect();
    let how = format!("the given {} split, looked at once", held.split.name());
    // What was evaluated before fits together.
    evaluate_imbalance(&probabilities, labels, classes, seed, &how).ok()
}

/// The likeliest of the labels that are probably wrong.
fn label_errors(fitted: &Fitted) -> Vec<LabelErrorReport> {
    let Suspects::Classes(errors) = &fitted.suspects else { return Vec::new() };
    let classes = &fitted.intake.dataset.classes;
    let report = errors.iter().take(LISTED).map(|error| LabelErrorReport {
        file: name_of(fitted, error.index),
        given: classes[error.given].clone(),
        suggested: classes[error.suggested].clone(),
        given_probability: error.given_probability,
        suggested_probability: error.suggested_probability,
    });
    report.collect()
}

/// Wrong out-of-fold answers, the most confident first.
fn mistakes(fitted: &Fitted, out_of_fold: &[f32], labels: &[usize]) -> Vec<Mistake> {
    let classes = &fitted.intake.dataset.classes;
    let Ok(predictions) = Probabilities::new(out_of_fold, labels, classes.len()) else { return Vec::new() };
    let mut wrong: Vec<(usize, usize, f32)> = predictions
        .rows()
        .enumerate()
        .map(|(i, row)| (i, predictions.predicted(i), row[predictions.predicted(i)]))
        .filter(|(i, answer, _)| *answer != labels[*i])
        .collect();
    wrong.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    let mistake = |(i, answer, probability): (usize, usize, f32)| Mistake {
        file: name_of(fitted, i),
        label: classes[labels[i]].clone(),
        answer: classes[answer].clone(),
        probability,
    };
    wrong.into_iter().take(LISTED).map(mistake).collect()
}

fn text_report(fitted: &Fitted, facts: &TextFacts, shown_files: &BTreeSet<&str>) -> TextReport {
    let source = fitted.intake.texts().map(|input| input.source.remarks.clone());
    TextReport {
        source: source.unwrap_or_default(),
        coverage: facts.coverage,
        unknown_words: facts.unknown_words.clone(),
        lengths: facts.lengths.clone(),
        shown: shown(fitted, facts, shown_files),
    }
}

/// The beginnings of the texts that the page shows, each once, with what their words gave.
fn shown(fitted: &Fitted, facts: &TextFacts, wanted: &BTreeSet<&str>) -> Vec<ShownText> {
    let examples = fitted.intake.dataset.examples.iter().enumerate();
    let wanted = examples.filter(|(_, example)| wanted.contains(example.name.as_str()));
    let show = |(index, example): (usize, &crate::data::Example)| {
        let Text { first, second } = fitted.intake.texts_of(&[index])[0];
        let text = excerpt(first);
        let mut words = facts.explanations.get(&index).cloned().unwrap_or_default();
        words.retain(|word| word.at + word.word.len() <= text.len());
        ShownText { file: example.name.clone(), text, second: second.as_deref().map(excerpt), words }
    };
    wanted.map(show).collect()
}

fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn numbers(fitted: &Fitted, evaluation: &RegressionEvaluation, coverage: Option<&Coverage>) -> RegressionReport {
    let Calibration::Numbers { intervals: plus, .. } = &fitted.predictor.calibration else {
        unreachable!("numbers are calibrated as such")
    };
    let taken = fitted.taken();
    let Predictions::Numbers { values: predictions, intervals } = &taken.calibrated.predictions else {
        unreachable!("numbers are predicted as such")
    };
    let truths = fitted.intake.values(&fitted.train);
    let values: Vec<f64> = taken.rows.iter().map(|&at| truths[at]).collect();
    let n = predictions.len();
    let kept = n.min(POINTS);
    let points = (0..kept).map(|at| at * n / kept).map(|i| NumberPoint {
        truth: values[i],
        prediction: predictions[i],
        held: intervals[i].map(|(low, high)| (low..=high).contains(&values[i])),
    });
    let mut order: Vec<usize> = (0..n).collect();
    let error = |i: usize| (predictions[i] - values[i]).abs();
    order.sort_by(|&a, &b| error(b).total_cmp(&error(a)).then(a.cmp(&b)));
    let worst = order.into_iter().take(LISTED);
    let worst = worst.map(|i| NumberMistake { file: name_of(fitted, i), truth: values[i], prediction: predictions[i] });
    RegressionReport {
        evaluation: evaluation.clone(),
        coverage: coverage.cloned(),
        level: plus.level,
        points: points.collect(),
        worst: worst.collect(),
    }
}

fn label_sets(fitted: &Fitted, evaluation: &MultiLabelEvaluation) -> MultiLabelReport {
    let Calibration::LabelSets { thresholds, .. } = &fitted.predictor.calibration else {
        unreachable!("sets of labels are calibrated as such")
    };
    let taken = fitted.taken();
    let Predictions::LabelSets { given, .. } = &taken.calibrated.predictions else {
        unreachable!("sets of labels are predicted as such")
    };
    let names = &fitted.intake.dataset.classes;
    let labels = names.len().max(1);
    let all = fitted.intake.label_sets(&fitted.train);
    let truth: Vec<bool> = taken.rows.iter().flat_map(|&at| all[at * labels..][..labels].iter().copied()).collect();
    let named = |row: usize, is: &dyn Fn(bool, bool) -> bool| -> Vec<String> {
        let of = (0..names.len()).filter(|label| is(truth[row * labels + label], given[row * labels + label]));
        of.map(|label| names[label].clone()).collect()
    };
    let mut worst: Vec<(usize, LabelsMistake)> = (0..taken.rows.len())
        .map(|row| LabelsMistake {
            file: name_of(fitted, row),
            missing: named(row, &|has, given| has && !given),
            wrong: named(row, &|has, given| given && !has),
        })
        .map(|mistake| (mistake.missing.len() + mistake.wrong.len(), mistake))
        .filter(|(wrong, _)| *wrong > 0)
        .collect();
    // Stable: of equally wrong ones the first comes first.
    worst.sort_by_key(|(wrong, _)| std::cmp::Reverse(*wrong));
    let suspects: &[_] = match &fitted.suspects {
        Suspects::LabelSets(suspects) => suspects,
        _ => &[],
    };
    let label_errors = suspects.iter().take(LISTED).map(|one| SuspectedReport {
        file: name_of(fitted, one.index),
        label: names[one.label].clone(),
        given: one.given,
        probability: one.probability,
    });
    MultiLabelReport {
        evaluation: evaluation.clone(),
        thresholds: thresholds.clone(),
        worst: worst.into_iter().take(LISTED).map(|(_, mistake)| mistake).collect(),
        label_errors: label_errors.collect(),
    }
}

fn tags(fitted: &Fitted, evaluation: &SpanEvaluation) -> TagsReport {
    let taken = fitted.taken();
    let (Content::Words(set, _), Calibration::Tags { rule }, Predictions::Tags(predictions)) =
        (&fitted.intake.content, &fitted.predictor.calibration, &taken.calibrated.predictions)
    else {
        unreachable!("tags are of words, and calibrated and predicted as such")
    };
    let named = |span: &Span| NamedSpan { kind: set.types[span.kind].clone(), start: span.start, end: span.end };
    let mistake = |(&at, found): (&usize, &Vec<FoundSpan>)| {
        let sentence = &set.sentences[fitted.train[at]];
        let found: Vec<Span> = found.iter().map(FoundSpan::span).collect();
        let (right, missed): (Vec<&Span>, Vec<&Span>) = sentence.spans.iter().partition(|span| found.contains(span));
        SpanMistake {
            name: sentence.name.clone(),
            words: sentence.words.clone(),
            missed: missed.into_iter().map(named).collect(),
            invented: found.iter().filter(|span| !sentence.spans.contains(span)).map(named).collect(),
            right: right.into_iter().map(named).collect(),
        }
    };
    let mut worst: Vec<SpanMistake> = taken.rows.iter().zip(predictions).map(mistake).collect();
    worst.retain(|mistake| !mistake.missed.is_empty() || !mistake.invented.is_empty());
    worst.sort_by_key(|mistake| std::cmp::Reverse(mistake.missed.len() + mistake.invented.len()));
    worst.truncate(LISTED);
    TagsReport { evaluation: evaluation.clone(), unsure: rule.into(), worst }
}

fn answers(fitted: &Fitted, evaluation: &AnswerEvaluation) -> AnswersReport {
    let taken = fitted.taken();
    let (Content::Questions(set, _), Calibration::Answers { threshold, rule }, Predictions::Answers(given)) =
        (&fitted.intake.content, &fitted.predictor.calibration, &taken.calibrated.predictions)
    else {
        unreachable!("answers are to questions, and calibrated and predicted as such")
    };
    let of = |(&at, given): (&usize, &GivenAnswer)| {
        let question = fitted.train[at];
        let answer = given.text(set.context(question)).to_owned();
        let golds = set.golds(question);
        let AnswerScore { em, f1 } = AnswerScore::of(&answer, &golds, set.version);
        let mistake = AnswerMistake {
            id: set.questions[question].id.clone(),
            question: set.questions[question].text.clone(),
            context: set.context(question).to_owned(),
            answers: golds.into_iter().map(str::to_owned).collect(),
            answer,
            f1,
            probability: given.probability,
        };
        (em, mistake)
    };
    let all = taken.rows.iter().zip(given).map(of);
    let mut worst: Vec<AnswerMistake> = all.filter(|(em, _)| *em == 0.0).map(|(_, mistake)| mistake).collect();
    // Stable: of equal ones the first comes first.
    worst.sort_by(|a, b| a.f1.total_cmp(&b.f1).then(b.probability.total_cmp(&a.probability)));
    worst.truncate(LISTED);
    let (evaluation, no_answer_threshold) = (evaluation.clone(), *threshold);
    AnswersReport { evaluation, no_answer_threshold, unsure: rule.into(), worst }
}

/// Largest resident memory of this process, in megabytes; 0 where the system does not tell.
fn peak_memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().map_or(0.0, |kilobytes| kilobytes / 1024.0)
}
