use super::*;

#[test]
fn a_task_inside_another_has_memory_of_its_own() {
    with(10, |outer| {
        outer.fill(1.0);
        with(20, |inner| inner.fill(2.0));
        assert_eq!(outer, [1.0; 10]);
    });
}

#[test]
fn memory_is_as_long_as_asked_for_and_kept() {
    for len in [100, 7, 0, 300, 100] {
        with(len, |memory| assert_eq!(memory.len(), len));
    }
    KEPT.with_borrow(|kept| assert_eq!(kept.len(), 1));
}
