use super::*;

fn name(table: &str) -> TableName {
    TableName::parse(table).unwrap()
}

fn begun(tables: &[&str]) -> Progress {
    let progress = Progress::new(&[name("a"), name("b"), name("c")]);
    progress.copies_begin(&tables.iter().map(|table| name(table)).collect::<Vec<_>>());
    progress
}

fn of(blocks: u64, blocks_done: u64) -> CopyFigures {
    CopyFigures { blocks, blocks_done, rows: blocks_done * 10, bytes: blocks_done * 100 }
}

fn shown(progress: &Progress) -> Vec<(String, String)> {
    let copies = progress.copies_view().copies;
    copies.into_iter().map(|copy| (copy.table.name, copy.waits.into_owned())).collect()
}

#[test]
fn complete_copies_count_until_all_are() {
    let progress = begun(&["a", "b"]);
    progress.copy_reached(&name("a"), of(10, 5));
    progress.copy_reached(&name("b"), of(30, 0));
    assert_eq!(progress.copies_view().sum, of(40, 5));
    progress.copy_complete(&name("a"));
    let view = progress.copies_view();
    assert_eq!((view.sum.blocks, view.sum.blocks_done, view.copies.len()), (40, 10, 1));
    assert!(progress.view().tables[&name("a")].whole);
    progress.copies_begin(&[name("b")]);
    assert_eq!(progress.copies_view().sum.blocks, 40, "after a pause");
    progress.copy_complete(&name("b"));
    assert_eq!(progress.copies_view().sum.percent(), 100);
    progress.copies_begin(&[name("a")]);
    assert_eq!(progress.copies_view().sum, CopyFigures::default(), "a later copy begins anew");
}

#[test]
fn sizes_are_known_before_a_tables_turn_comes_and_after_it_was_copied_by_an_earlier_process() {
    let progress = begun(&["a", "b"]);
    progress.table_whole(&name("c"), true);
    progress.copy_reached(&name("a"), of(10, 5));
    progress.copies_measured([(name("a"), 12), (name("b"), 20), (name("c"), 70)].into());
    let view = progress.copies_view();
    assert_eq!((view.sum.blocks, view.sum.blocks_done, view.copies.len()), (100, 75, 2));
    assert_eq!(shown(&progress)[1], ("b".into(), "its turn".into()));
    for table in ["a", "b"] {
        progress.copy_complete(&name(table));
    }
    progress.copies_begin(&[name("b")]);
    progress.copies_measured([(name("b"), 20), (name("c"), 70)].into());
    assert_eq!(progress.copies_view().sum.blocks, 20, "one that was asked for is alone");
}

#[test]
fn a_step_counts_as_waiting_when_it_is_long_and_an_obstacle_until_a_chunk_is_copied() {
    let progress = begun(&["a"]);
    progress.copy_waits(&name("a"), "columns");
    progress.copy_step(&name("a"), Some(CopyStep::Lock));
    assert_eq!(shown(&progress), [("a".to_owned(), "columns".to_owned())]);
    let later = Instant::now() + LONG;
    let waits = |now| lock(&progress.copies).view(now).copies.remove(0).waits;
    assert_eq!(waits(later), CopyStep::Lock.waits());
    progress.copy_step(&name("a"), None);
    assert_eq!(waits(later), "columns");
    progress.copy_reached(&name("a"), of(10, 1));
    assert_eq!(waits(later), "");
}

#[test]
fn a_table_that_is_not_copied_any_more_is_not_shown() {
    let progress = begun(&["a", "b"]);
    progress.copies_begin(&[name("b")]);
    assert_eq!(shown(&progress), [("b".to_owned(), "its turn".to_owned())]);
    progress.copy_reached(&name("a"), of(10, 1));
    assert_eq!(progress.copies_view().sum, CopyFigures::default());
    progress.copies_begin(&[]);
    assert_eq!(shown(&progress), []);
}

#[test]
fn figures_stay_when_nothing_is_left_to_copy_and_go_with_their_table() {
    let progress = begun(&["a", "b"]);
    progress.copy_reached(&name("a"), of(10, 5));
    progress.copy_complete(&name("a"));
    progress.copies_begin(&[]);
    assert_eq!((progress.copies_view().sum.blocks_done, shown(&progress)), (10, Vec::new()));
    progress.set_tables(&[name("b")]);
    assert_eq!(progress.copies_view().sum, CopyFigures::default());
}
