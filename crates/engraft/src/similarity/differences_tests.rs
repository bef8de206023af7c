use super::super::moments::tests::normal;
use super::super::two_sample::proxy_a_distance;
use super::*;
use crate::progress::Silent;

/// Rows of two classes, `near` of the first, which lie 6 apart in every column; the second class moved by `shift`.
fn classes(seed: u64, rows: usize, near: usize, shift: f32) -> (Features, Vec<usize>) {
    let mut features = normal(seed, rows, 4, 0.0);
    features.values[near * 4..].iter_mut().for_each(|x| *x += 6.0 + shift);
    (features, (0..rows).map(|row| usize::from(row >= near)).collect())
}

fn compare(a: &(Features, Vec<usize>), b: &(Features, Vec<usize>), seed: u64) -> Differences {
    let of = |(features, labels): &(Features, Vec<usize>)| (features.clone(), labels.clone());
    let ((a, of_a), (b, of_b)) = (of(a), of(b));
    let side = |features, labels| Compared { features, labels: Some(labels) };
    differences(side(&a, &of_a), side(&b, &of_b), 3, seed, &Silent).unwrap()
}

#[test]
fn other_shares_alone_are_named_as_such() {
    let found = compare(&classes(1, 150, 120, 0.0), &classes(2, 150, 30, 0.0), 1);
    assert_eq!(found.verdict, Verdict::Shares, "{found:?}");
    assert!(found.two_sample.accuracy > 0.75 && found.distances.p() < 0.01);
    let shares = found.shares.unwrap();
    assert!(shares.counts == [vec![120, 30, 0], vec![30, 120, 0]] && (shares.distance - 0.6).abs() < 1e-12);
    let equal = found.at_equal_shares.unwrap();
    assert!((0.35..0.62).contains(&equal.accuracy), "{equal:?}");
    assert!(found.classes.len() == 2 && found.classes.iter().all(|class| class.corrected_p > 0.05 && class.rows == 30));
    assert!(found.verdict.to_string().contains("only the class shares"));
}

#[test]
fn content_is_named_with_and_without_other_shares() {
    let found = compare(&classes(1, 150, 75, 0.0), &classes(2, 150, 75, 1.5), 1);
    assert_eq!(found.verdict, Verdict::Content, "{found:?}");
    // Of the classes the second alone has moved.
    assert!(found.classes[0].corrected_p > 0.05 && found.classes[1].corrected_p < 0.05, "{:?}", found.classes);
    assert!(found.classes[1].distances.accuracy > found.classes[0].distances.accuracy);
    let found = compare(&classes(1, 150, 120, 0.0), &classes(2, 150, 30, 1.5), 1);
    assert_eq!(found.verdict, Verdict::SharesAndContent);
    // No class in common: it is not said what differs.
    let mut other = classes(2, 60, 30, 0.0);
    other.1 = vec![2; 60];
    let found = compare(&classes(1, 60, 30, 0.0), &other, 1);
    assert!(found.verdict == Verdict::Apart && found.at_equal_shares.is_none() && found.classes.is_empty());
}

#[test]
fn without_labels_on_both_sides_nothing_is_said_of_shares() {
    let (a, b) = (classes(1, 150, 120, 0.0), classes(2, 150, 30, 0.0));
    let without = |features| Compared { features, labels: None };
    for side in [without(&a.0), Compared { features: &a.0, labels: Some(&a.1) }] {
        let found = differences(side, without(&b.0), 3, 1, &Silent).unwrap();
        assert!(found.verdict == Verdict::Apart && found.shares.is_none() && found.classes.is_empty());
    }
    assert!(differences(without(&a.0), Compared { features: &b.0, labels: Some(&a.1[1..]) }, 3, 1, &Silent).is_err());
    assert!(differences(without(&a.0), Compared { features: &b.0, labels: Some(&b.1) }, 1, 1, &Silent).is_err());
    assert!(differences(without(&a.0), without(&Features::new(0, 4, vec![]).unwrap()), 1, 1, &Silent).is_err());
}

#[test]
fn a_domain_compared_with_itself_is_alike() {
    let a = classes(1, 90, 50, 0.0);
    let found = compare(&a, &a, 1);
    assert_eq!(found.verdict, Verdict::Alike, "{found:?}");
    assert!(
        found.two_sample.accuracy == 0.5
            && found.two_sample.p > 0.4
            && proxy_a_distance(found.two_sample.accuracy) == 0.0
    );
    assert!(found.distances.p() > 0.4 && found.shares.unwrap().p == 1.0);
}

#[test]
fn planted_foreign_examples_are_among_the_surest() {
    let source = normal(1, 400, 8, 0.0);
    let mut target = normal(2, 400, 8, 0.0);
    // One in twenty lies elsewhere.
    target.values[..20 * 8].iter_mut().enumerate().for_each(|(at, x)| *x += if at % 8 < 4 { 3.5 } else { 0.0 });
    let side = |features| Compared { features, labels: None };
    let found = differences(side(&source), side(&target), 0, 1, &Silent).unwrap();
    // By chance it would be 1.
    let planted = found.surest[1][..20].iter().filter(|judged| judged.row < 20).count();
    assert!(planted >= 10, "{planted} of the 20 surest");
    assert!(found.surest[0][0].probability <= found.surest[0][399].probability);
}
