use super::parts::headline;
use super::sample::{self, HOSTILE};
use super::*;

const COMMAND: &str = "engraft fit ../photos/flowers --base glyphs --seed 7 --out runs/flowers";

fn page(report: &Report) -> String {
    render(report, &sample::curves(), &sample::images(report), COMMAND)
}

/// The page as a reader's eyes meet it: without marks, spaces made alike.
pub(super) fn words(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1;
    let mut text = String::new();
    let mut inside = false;
    for c in body.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(if c == '\u{202f}' { ' ' } else { c }),
            _ => {}
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// That every element that is opened is closed, in order.
pub(super) fn assert_nested(page: &str) {
    const VOID: [&str; 4] = ["meta", "img", "wbr", "!DOCTYPE"];
    let mut open = Vec::new();
    for tag in page.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()) {
        let word = tag.split([' ', '/', '\n']).find(|part| !part.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(word), "in <{tag}>");
        } else if !VOID.contains(&word) && !tag.ends_with('/') {
            open.push(word);
        }
    }
    assert_eq!(open, [""; 0]);
}

/// Nothing that a browser would fetch or run.
pub(super) fn assert_stands_alone(page: &str) {
    let lower = page.to_lowercase();
    // A quote in a name is escaped, so ` onload="` can be an attribute only.
    let handlers = [" onload=\"", " onclick=\"", " onerror=\"", "javascript:"];
    let loads = ["http://", "https://", "<link", "<script", "<iframe", "<object", "@import", "url("];
    for forbidden in handlers.iter().chain(&loads) {
        assert!(!lower.contains(forbidden), "{forbidden}");
    }
    let sources = lower.matches("src=").count();
    assert_eq!(sources, lower.matches("src=\"data:image/png;base64,").count());
    assert!(lower.matches("href=").count() == lower.matches("href=\"#").count());
}

#[test]
fn the_page_stands_alone_at_any_number_of_classes() {
    for (classes, support, held_out) in
        [(2, 120, false), (10, 118, true), (31, 40, false), (60, 20, true), (150, 4, false)]
    {
        let report = sample::report(classes, support, held_out);
        let page = page(&report);
        assert_stands_alone(&page);
        assert_nested(&page);
        assert_eq!(page, self::page(&report), "equal reports give equal pages");
        assert!(!page.contains("NaN") && !page.contains("inf%"));
        assert_eq!(page.contains("class=\"matrix"), classes <= 100, "{classes} classes");
        assert_eq!(words(&page).contains("Share of the label"), classes > 30, "{classes} classes");
    }
}

#[test]
fn held_out_splits_have_their_own_tables() {
    for (classes, matrices) in [(4, 1), (40, 1), (120, 0)] {
        let with = page(&sample::report(classes, 40, true));
        let without = page(&sample::report(classes, 40, false));
        let count = |page: &str, part: &str| page.matches(part).count();
        assert_eq!((count(&with, "<h3>Held-out test</h3>"), count(&without, "<h3>Held-out test</h3>")), (2, 0));
        for (part, more) in
            [("class=\"matrix", matrices), ("table class=\"classes stacked\"", if classes > 30 { 2 } else { 1 })]
        {
            assert_eq!(count(&with, part), count(&without, part) + more, "{part} at {classes} classes");
        }
        assert!(words(&with).contains("Held-out test, with 95 % intervals below"));
    }
    // Of an older version there are no intervals.
    let mut report = sample::report(4, 40, true);
    sample::held(&mut report).imbalance = None;
    assert!(words(&page(&report)).contains("Held-out test. Where support is small"));
}

#[test]
fn every_cell_of_a_row_that_becomes_a_block_says_what_it_is() {
    let page = page(&sample::report(4, 40, true));
    let tables: Vec<&str> = page.split(" stacked\">").skip(1).collect();
    assert!(!tables.is_empty());
    for table in tables {
        let body = table.split("</table>").next().unwrap().split("<tbody>").nth(1).unwrap();
        for cell in body.split("<td").skip(1) {
            let tag = cell.split('>').next().unwrap();
            assert!(tag.contains("data-of=") || tag.contains("drawn"), "<td{tag}>");
        }
    }
}

#[test]
fn names_cannot_become_markup() {
    let mut report = sample::report(3, 60, true);
    let evil = format!("a\"b'/{HOSTILE}<img src=x onerror=alert(1)>.png");
    report.data.path = format!("/tmp/{HOSTILE}");
    sample::classes(&mut report).mistakes[0].file = evil.clone();
    report.base.id = HOSTILE.into();
    report.base.licence = HOSTILE.into();
    report.choice.cut = HOSTILE.into();
    report.choice.reason = HOSTILE.into();
    report.version = HOSTILE.into();
    report.verdict = HOSTILE.into();
    report.held_out[0].split = HOSTILE.into();
    report.data.audit.findings[0].message = HOSTILE.into();
    report.data.audit.findings[0].files[0] = evil;
    let page = render(&report, &sample::curves(), &sample::images(&report), HOSTILE);
    assert!(!page.contains("<script") && !page.contains("<img src=x"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert_nested(&page);
}

#[test]
fn the_answer_is_a_sentence() {
    let mut report = sample::report(10, 118, true);
    sample::held(&mut report).evaluation.accuracy =
        crate::metrics::Estimate { mean: 0.951, low: 0.92, high: 0.971, n: 245, how: String::new() };
    let text = words(&page(&report));
    let answer = "On images like these, this classifier is right 95.1 % of the time (92.0 to 97.1 %), \
                  measured on 245 images it was not trained on.";
    assert!(text.contains(answer), "{text}");
    assert!(text.contains("Cross-validation on the training data gives"));
    assert!(text.contains("Answers 86.1 % of images at ≤ 5.0 % errors (4.1 % measured); says “unsure” to the rest."));
    sample::held(&mut report).unsure.error = 0.081;
    assert!(words(&page(&report)).contains("at 8.1 % errors, where ≤ 5.0 % was promised, with 90.0 % confidence"));
    report.held_out.clear();
    let text = words(&page(&report));
    assert!(text.contains("of the training data, each answered by a copy that had not been trained on it."), "{text}");
    assert!(!text.contains("looked at once"));
}

#[test]
fn test_comes_before_val() {
    let mut report = sample::report(3, 100, true);
    let mut val = report.held_out[0].clone();
    val.split = "val".into();
    report.held_out.insert(0, val);
    assert_eq!(headline(&report).unwrap().0, "test");
    report.held_out.pop();
    assert_eq!(headline(&report).unwrap().0, "val");
}

#[test]
fn every_verdict_has_its_words() {
    let mut report = sample::report(2, 120, false);
    let says = |report: &Report, expected: &str| {
        let text = words(&page(report));
        assert!(text.contains(expected), "{text}");
    };
    says(&report, "Transfer helped: +31.0 points (26.1 to 35.9) over the same network trained from scratch.");
    let mut judge = |verdict: &str, difference: f64, low: f64, high: f64, expected: &str| {
        report.verdict = verdict.into();
        let paired = &mut report.controls.scratch.as_mut().unwrap().paired;
        (paired.verdict, paired.difference, paired.low, paired.high) = (verdict.into(), difference, low, high);
        says(&report, expected);
    };
    judge(
        "negative transfer",
        -0.05,
        -0.09,
        -0.01,
        "Transfer hurt: −5.0 points (−9.0 to −1.0) against the same network trained from scratch, which did better.",
    );
    judge(
        "no measurable transfer",
        0.012,
        -0.02,
        0.044,
        "Transfer made no measurable difference: +1.2 points (−2.0 to +4.4) against the same network trained from \
         scratch, and the interval holds zero.",
    );
    judge("mixed", 0.01, 0.0, 0.02, "mixed: +1.0 points (0.0 to 2.0) against the same network trained from scratch.");
}

#[test]
fn what_is_missing_is_told() {
    let page = render(&sample::empty(), &[], &[], COMMAND);
    assert_stands_alone(&page);
    assert_nested(&page);
    let text = words(&page);
    for told in [
        "Transfer not measured",
        "the control that trains the same network from scratch was not run",
        "It says “unsure” to all images: these data do not show",
        "There are no answers to count.",
        "There are no numbers for single classes.",
        "There are no bins to draw.",
        "No strengths were tried.",
        "There is no learning curve",
        "No out-of-fold answer was wrong.",
        "No label looks wrong.",
        "Nothing to object to.",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(!text.contains("Always the commonest class"));
}

#[test]
fn a_image_that_is_missing_becomes_words() {
    let mut report = sample::report(10, 118, true);
    let with = page(&report);
    let without = render(&report, &[], &[], COMMAND);
    let classes = sample::classes(&mut report);
    assert!(with.contains("<img src=\"data:image/png;base64,iVBOR") && with.contains("no thumbnail"));
    assert_eq!(without.matches("no thumbnail").count(), classes.mistakes.len() + classes.label_errors.len());
    assert!(!without.contains("<img"));
}

#[test]
fn numbers_that_are_none_do_not_break_the_page() {
    let mut report = sample::report(3, 60, true);
    report.choice.strength = f64::NAN;
    report.choice.strengths[0].loss = f64::INFINITY;
    let numbers = &mut sample::classes(&mut report).evaluation;
    numbers.ece.mean = f64::NAN;
    for estimate in [&mut numbers.accuracy, &mut numbers.log_loss] {
        (estimate.mean, estimate.low, estimate.high) = (f64::NAN, f64::NEG_INFINITY, f64::INFINITY);
    }
    numbers.calibration[0].low = f64::NAN;
    numbers.per_class[0].f1 = f64::NAN;
    numbers.per_class[0].class = 99;
    let mut curves = sample::curves();
    curves[0].epochs[3].train.loss = f64::NAN;
    let page = render(&report, &curves, &[], COMMAND);
    assert_nested(&page);
    let text = words(&page);
    assert!(!text.contains("NaN") && !text.contains("inf to") && text.contains("class 99"), "{text}");
}

#[test]
fn curves_stand_in_groups_with_what_they_say() {
    let report = sample::report(10, 118, true);
    let page = render(&report, &sample::tuned_curves(), &[], COMMAND);
    assert_stands_alone(&page);
    assert_nested(&page);
    assert!(!page.contains("<script"));
    let text = words(&page);
    for heading in ["Fine-tuned from layer4", "This classifier, trained on everything", "The control: from scratch"] {
        assert_eq!(text.matches(heading).count(), 1, "{heading}: {text}");
    }
    assert_eq!(page.matches("Learning curve: loss over epochs").count(), 4);
    assert_eq!(page.matches("Learning curve: right answers over epochs").count(), 4);
    assert!(text.contains("Thick: mean of 5 folds") && text.contains("One run."), "{text}");
    assert!(text.contains("Over-fitting since epoch"), "{text}");
    assert!(!text.contains("so it has no learning curve"));
    let by_name = |name: &str| vec![Curve { name: name.into(), ..sample::curves()[0].clone() }];
    let alone = words(&render(&report, &by_name("pretrain/folds/foldx"), &[], COMMAND));
    assert!(alone.contains("pretrain/folds/foldx"), "{alone}");
}

#[test]
fn a_forecast_is_a_table_or_says_that_it_cannot_tell() {
    let mut report = sample::report(10, 118, true);
    let text = words(&page(&report));
    assert!(text.contains("What more labels would bring") && text.contains("it goes far beyond the 1046"), "{text}");
    report.forecasts.truncate(1);
    report.forecasts[0].law = None;
    report.forecasts[0].outcome = crate::metrics::Outcome::TooFewSizes { sizes: 1 };
    let text = words(&page(&report));
    assert!(text.contains("Unknown. ") && text.contains("the data cannot tell"), "{text}");
    report.forecasts.clear();
    assert!(!words(&page(&report)).contains("What more labels would bring"));
}

#[test]
#[ignore = "writes pages to look at: ENGRAFT_SAMPLES=/tmp cargo test -p engraft samples -- --ignored"]
fn samples_to_look_at() {
    let folder = std::env::var_os("ENGRAFT_SAMPLES").map_or_else(std::env::temp_dir, Into::into);
    let samples = [
        ("a", sample::report(10, 118, true)),
        ("b", sample::report(2, 120, false)),
        ("c", sample::report(60, 24, true)),
        ("d", sample::empty()),
        ("e", sample::report(30, 30, false)),
    ];
    for (name, report) in samples {
        let curves = match name {
            "d" => Vec::new(),
            "a" => sample::tuned_curves(),
            _ => sample::curves(),
        };
        let page = render(&report, &curves, &sample::images(&report), COMMAND);
        crate::files::write_atomic(&folder.join(format!("report_{name}.html")), page.as_bytes()).unwrap();
    }
}
