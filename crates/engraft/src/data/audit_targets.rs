//! What is wrong with sets of labels and with numbers.

use super::ClassCount;
use super::{FEW, Finding, FindingKind, LEAST, Severity, Shortage, Split, Targets, Work, plain};

/// Quartile distances beyond the quartiles, outside of which a number is far out (Tukey, 1977, "Exploratory data
/// analysis": the outer fences).
const FENCES: f64 = 3.0;

impl Work<'_> {
    /// Leaves out what has no finite number to learn.
    pub(super) fn bad_values(&mut self) {
        let Targets::Values(values) = &self.dataset.targets else { return };
        let mut missing = Vec::new();
        let mut infinite = Vec::new();
        for (index, value) in values.iter().enumerate() {
            if value.is_nan() {
                missing.push(index);
            } else if value.is_infinite() {
                infinite.push(index);
            }
        }
        for (indices, what) in [
            (missing, "images whose number is missing, left out"),
            (infinite, "images whose number is infinite, left out"),
        ] {
            let files = indices.iter().map(|&index| self.name(index)).collect();
            self.tell(FindingKind::MissingValue, Severity::Warning, what, files);
            self.excluded.extend(indices);
        }
    }

    /// Whether two examples of different targets contradict each other if they look the same: numbers do where they lie
    /// more than a standard deviation apart (images taken one after the other look alike and are not equal).
    pub(super) fn far_apart(&self) -> impl Fn(usize, usize) -> bool + use<> {
        let (values, deviation) = match &self.dataset.targets {
            Targets::Values(values) => {
                let known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
                let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
                let square = known.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / known.len().max(1) as f64;
                (values.clone(), square.sqrt())
            }
            _ => (Vec::new(), 0.0),
        };
        move |a, b| values.is_empty() || (values[a] - values[b]).abs() > deviation
    }

    /// Labels that cannot be learnt or hardly, and examples without any label.
    pub(super) fn label_sizes(&mut self, sets: &[Vec<bool>], labels: &[ClassCount]) {
        let things = self.wording.things;
        let total = self.usable_training().count();
        let listed = |label: usize| {
            let examples = self.dataset.examples.iter().zip(sets);
            examples.filter(|(example, set)| example.split == Split::Train && set[label]).count() > 0
        };
        use Shortage::{Few, FewWithout, NoTraining, TooFew, TooFewWithout};
        let mut short = [NoTraining, TooFew, TooFewWithout, Few, FewWithout].map(|shortage| (shortage, Vec::new()));
        for (label, count) in labels.iter().enumerate() {
            let (name, without) = (plain(&count.class), total - count.train.min(total));
            let (place, found) = if !listed(label) {
                (0, name.into_owned())
            } else if count.train < LEAST {
                (1, format!("{name} has {}", count.train))
            } else if without < LEAST {
                (2, format!("{name} is not on {without}"))
            } else if count.train < FEW {
                (3, format!("{name} has {}", count.train))
            } else if without < FEW {
                (4, format!("{name} is not on {without}"))
            } else {
                continue;
            };
            short[place].1.push(found);
        }
        self.tell_shortages("label", "labels", labels.len(), &short);
        let none =
            sets.iter().enumerate().filter(|(index, set)| !self.excluded.contains(index) && !set.contains(&true));
        let files = none.map(|(index, _)| self.name(index)).collect();
        let what = format!("{things} without any label, kept as such");
        self.tell(FindingKind::NoLabel, Severity::Info, &what, files);
        self.few_in_all();
    }

    /// Numbers far outside the training data's, which pull a least-squares fit towards themselves.
    pub(super) fn value_spread(&mut self, values: &[f64]) {
        let things = self.wording.things;
        let mut sorted: Vec<f64> = self.usable_training().map(|index| values[index]).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        if let Some(last) = sorted.len().checked_sub(1) {
            // Linear between neighbours, as numpy.
            let quantile = |q: f64| {
                let at = q * last as f64;
                let (below, above) = (at.floor() as usize, (at.floor() as usize + 1).min(last));
                sorted[below] + at.fract() * (sorted[above] - sorted[below])
            };
            let (first, third) = (quantile(0.25), quantile(0.75));
            let reach = FENCES * (third - first);
            let (low, high) = (first - reach, third + reach);
            let far: Vec<usize> = (0..values.len())
                .filter(|index| !self.excluded.contains(index))
                .filter(|&index| reach > 0.0 && !(low..=high).contains(&values[index]))
                .collect();
            let files = far.iter().map(|&index| self.name(index)).collect();
            let what = format!(
                "{things} whose number is far from all others (outside {low:.4} to {high:.4}), kept: look if it is right"
            );
            self.tell(FindingKind::Outlier, Severity::Warning, &what, files);
            if sorted[0] == sorted[last] {
                let message =
                    format!("all usable training {things} have the same number, {}: nothing can be learnt", sorted[0]);
                self.findings.push(Finding::new(FindingKind::NoTraining, Severity::Serious, message, Vec::new()));
            }
        }
        self.few_in_all();
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use crate::data::Task;
    use crate::data::dataset::Row;
    use std::path::PathBuf;

    fn image(kind: u64) -> Inspection {
        let thumbnail = (0..1024_u64)
            .map(|index| 60 + ((index + 1).wrapping_mul(kind * 2 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57) as u8)
            .collect();
        let outcome = Outcome::Image {
            width: 99,
            height: 99,
            format: "png".into(),
            thumbnail,
            profile: None,
            peak: None,
            unended: false,
        };
        Inspection { sha256: format!("{kind}"), bytes: 1, outcome }
    }

    /// Audits rows of (target, image), all of them training data.
    fn run(task: Task, rows: &[(String, u64)]) -> Audit {
        let listed = rows.iter().enumerate().map(|(index, (target, _))| Row {
            source: PathBuf::new().into(),
            name: format!("{index:04}"),
            class: target.clone(),
            split: Split::Train,
            group: None,
        });
        let dataset = Dataset::assemble(PathBuf::new(), listed.collect()).recast(task).unwrap();
        let inspections: Vec<_> = rows.iter().map(|row| image(row.1)).collect();
        audit(&dataset, &inspections, Vec::new())
    }

    fn told(audit: &Audit) -> Vec<(FindingKind, Severity, String)> {
        audit.findings.iter().map(|f| (f.kind, f.severity, f.files.join(" "))).collect()
    }

    #[test]
    fn numbers_that_are_none_are_left_out_and_far_ones_told() {
        let mut rows: Vec<(String, u64)> = (0..60).map(|i| (format!("{}", i % 10), 100 + i)).collect();
        rows.extend([("NaN".into(), 1), ("inf".into(), 2), ("1000".into(), 3)]);
        let audit = run(Task::Regression, &rows);
        assert_eq!(
            told(&audit),
            [
                (FindingKind::MissingValue, Severity::Warning, "0060".into()),
                (FindingKind::MissingValue, Severity::Warning, "0061".into()),
                (FindingKind::Outlier, Severity::Warning, "0062".into()),
            ]
        );
        assert_eq!(audit.excluded, [60, 61].into());
        assert!(
            audit.classes.is_empty() && audit.render().starts_with("63 examples, 2 left out\n"),
            "{}",
            audit.render()
        );
    }

    #[test]
    fn one_image_with_two_numbers_is_left_out() {
        let mut rows: Vec<(String, u64)> = (0..60).map(|i| (format!("{}", i % 10), 100 + i)).collect();
        rows.extend([("3".into(), 1), ("4".into(), 1), ("5".into(), 2), ("5".into(), 2)]);
        let audit = run(Task::Regression, &rows);
        assert_eq!(
            told(&audit),
            [
                (FindingKind::LabelConflict, Severity::Serious, "0060 0061".into()),
                (FindingKind::ExactDuplicate, Severity::Info, "0062 0063".into()),
            ]
        );
        assert_eq!(audit.excluded, [60, 61].into());
    }

    #[test]
    fn label_sets_are_counted_by_label() {
        let mut rows: Vec<(String, u64)> =
            (0..60).map(|i| (if i % 2 == 0 { "a|b" } else { "a" }.into(), 100 + i)).collect();
        rows.push(("".into(), 1));
        rows.push(("c".into(), 2));
        rows.extend([("a|b".into(), 3), ("b".into(), 3)]);
        let audit = run(Task::MultiLabel, &rows);
        let counts: Vec<_> = audit.classes.iter().map(|count| (count.train, count.excluded)).collect();
        assert_eq!(counts, [(60, 1), (30, 2), (1, 0)]);
        let told = told(&audit);
        assert_eq!(told[0], (FindingKind::LabelConflict, Severity::Serious, "0062 0063".into()));
        assert_eq!((told[1].0, told[1].1), (FindingKind::SmallClass, Severity::Serious), "{:?}", audit.findings);
        assert!(
            audit.findings[2].message.contains("few training images without it (better 10 or more): a is not on 2"),
            "{:?}",
            audit.findings
        );
        assert_eq!(told[3], (FindingKind::NoLabel, Severity::Info, "0060".into()));
    }

    #[test]
    fn a_single_number_teaches_nothing() {
        let rows: Vec<(String, u64)> = (0..60).map(|i| ("7".into(), 100 + i)).collect();
        assert!(run(Task::Regression, &rows).findings[0].message.contains("the same number, 7"));
    }
}
