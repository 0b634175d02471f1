//! Offsets that are committed with a transaction, in text.

mod group_story;
mod world;

use expect_test::expect;
use group_story::{Client, Story, client};
use strandline_coordinator::groups::Settings;

#[test]
fn offsets_of_a_transaction_count_when_it_is_committed() {
    let mut story = Story::new(Settings::default());
    let nobody = Client { generation: -1, ..client("tool") };
    story.commit(&nobody, "orders", 5, "");
    story.commit_in(1, &nobody, "orders", 10);
    story.commit_in(1, &nobody, "orders", 11);
    story.commit_in(2, &nobody, "bills", 7);
    story.fetch();
    story.end(1, true);
    story.end(2, false);
    story.end(3, true);
    story.fetch();

    // What was committed after the transaction's offset stays, though the transaction ends later.
    story.commit_in(1, &nobody, "orders", 12);
    story.commit(&nobody, "orders", 20, "");
    story.end(1, true);
    story.fetch();

    // What is deleted meanwhile does not come back.
    story.commit_in(1, &nobody, "orders", 30);
    story.delete_offset("orders");
    story.end(1, true);
    story.fetch();
    story.commit_in(1, &nobody, "orders", 31);
    story.delete_group();
    story.end(1, true);
    story.fetch();
    story.check(expect![[r#"
        0      tool commits orders-0 5
        0        writes g orders-0: 5
        0        -> tool commits: NONE
        0      tool commits orders-0 10 in producer 1's transaction
        0        writes in 1: g orders-0: 10
        0        -> tool commits: NONE
        0      tool commits orders-0 11 in producer 1's transaction
        0        writes in 1: g orders-0: 11
        0        -> tool commits: NONE
        0      tool commits bills-0 7 in producer 2's transaction
        0        writes in 2: g bills-0: 7
        0        -> tool commits: NONE
        0      admin fetches offsets
        0        -> admin fetches: orders-0 unstable
        0      coordinator commits 1
        0        writes commit of 1
        0        -> coordinator commits: ended
        0      coordinator aborts 2
        0        writes abort of 2
        0        -> coordinator aborts: ended
        0      coordinator commits 3
        0        writes commit of 3
        0        -> coordinator commits: ended
        0      admin fetches offsets
        0        -> admin fetches: orders-0 11
        0      tool commits orders-0 12 in producer 1's transaction
        0        writes in 1: g orders-0: 12
        0        -> tool commits: NONE
        0      tool commits orders-0 20
        0        writes g orders-0: 20
        0        -> tool commits: NONE
        0      coordinator commits 1
        0        writes commit of 1
        0        -> coordinator commits: ended
        0      admin fetches offsets
        0        -> admin fetches: orders-0 20
        0      tool commits orders-0 30 in producer 1's transaction
        0        writes in 1: g orders-0: 30
        0        -> tool commits: NONE
        0      admin deletes orders-0
        0        writes g orders-0: gone
        0        -> admin deletes: NONE NONE
        0      coordinator commits 1
        0        writes commit of 1
        0        -> coordinator commits: ended
        0      admin fetches offsets
        0        -> admin fetches: 
        0      tool commits orders-0 31 in producer 1's transaction
        0        writes in 1: g orders-0: 31
        0        -> tool commits: NONE
        0      admin deletes the group
        0        writes g orders-0: gone
        0        writes g: gone
        0        -> admin deletes: NONE
        0      coordinator commits 1
        0        writes commit of 1
        0        -> coordinator commits: ended
        0      admin fetches offsets
        0        -> admin fetches: 
    "#]]);
}

#[test]
fn whoever_names_a_member_in_a_transaction_must_be_one() {
    let mut story = Story::new(Settings::default());
    let mut a = client("a");
    story.form(&mut [&mut a]);
    story.commit_in(1, &a, "orders", 1);
    story.commit_in(1, &Client { generation: a.generation + 1, ..a.clone() }, "orders", 2);
    story.commit_in(1, &Client { member_id: "zombie".into(), ..a.clone() }, "orders", 3);
    // Before KIP-447 producers did not say.
    let old = Client { generation: -1, member_id: String::new(), ..a.clone() };
    story.commit_in(1, &old, "orders", 4);
    story.end(1, true);
    story.fetch();
    story.check(expect![[r#"
        6000   g is stable
        6000   a commits orders-0 1 in producer 1's transaction
        6000     writes in 1: g orders-0: 1
        6000     -> a commits: NONE
        6000   a commits orders-0 2 in producer 1's transaction
        6000     -> a commits: ILLEGAL_GENERATION
        6000   a commits orders-0 3 in producer 1's transaction
        6000     -> a commits: UNKNOWN_MEMBER_ID
        6000   a commits orders-0 4 in producer 1's transaction
        6000     writes in 1: g orders-0: 4
        6000     -> a commits: NONE
        6000   coordinator commits 1
        6000     writes commit of 1
        6000     -> coordinator commits: ended
        6000   admin fetches offsets
        6000     -> admin fetches: orders-0 4
    "#]]);
}
