//! What the kernel side may count without telling.

use super::*;

#[test]
fn an_act_is_known_where_enough_is_known_and_the_container_itself_does_it() {
    let app = process("/app", None, Origin::Init);
    let page = write("/cache/page.html", 0o100_644);
    let mut fresh = Stage::new();
    fresh.start(1);
    for _ in 0..3 {
        fresh.see(1, Some(&app), &page, None);
        assert!(!fresh.is_known, "it is learned");
        fresh.pass(1);
    }
    let mut stage = Stage::learned();
    stage.see(1, Some(&app), &page, None);
    assert!(stage.is_known);
    stage.see(1, Some(&app), &connect(5432), Some("db"));
    assert!(stage.is_known);
    stage.see(1, Some(&app), &connect(443), Some("evil.test"));
    assert!(!stage.is_known, "it departs");
    stage.see(1, Some(&process("/app", None, Origin::Exec)), &page, None);
    assert!(!stage.is_known, "it is an administrator's");
    stage.see(1, Some(&process("/app", Some("/tmp/x"), Origin::Init)), &exec(code::UPPER), None);
    stage.see(1, Some(&process("/tmp/x", None, Origin::Init)), &page, None);
    assert!(!stage.is_known, "it is no program of the image");
}
