//! Groups' lives in text: who asks, what is answered to whom, what is written.

mod group_story;
mod world;

use expect_test::expect;
use group_story::*;
use strandline_coordinator::groups::{Event, Input, Settings};
use strandline_types::Uuid;

#[test]
fn two_members_join_a_third_arrives_one_dies() {
    let mut story = Story::new(Settings::default());
    let (mut a, mut b, mut c) = (client("a"), client("b"), client("c"));
    story.join(&mut a);
    story.pass(1_000);
    story.join(&mut b);
    let joined = story.pass(6_000);
    adopt(&joined, &mut [&mut a, &mut b]);
    story.sync(&b, &[]);
    story.sync(&a, &[(&a, "orders-0"), (&b, "orders-1")]);
    story.describe();
    story.join(&mut c);
    story.beat(&a);
    let joined = story.join(&mut a);
    adopt(&joined, &mut [&mut a]);
    // b is dead: it is waited for as long as its session lasts.
    let joined = story.pass(10_000);
    adopt(&joined, &mut [&mut a, &mut c]);
    story.sync(&a, &[(&a, "orders-0"), (&c, "orders-1")]);
    story.sync(&c, &[]);
    story.beat(&b);
    story.leave(&a);
    story.leave(&c);
    story.describe();
    story.check(expect![[r#"
        0      a joins
        0        writes g: generation 0, "-", leader -, members []
        0        -> a joins: MEMBER_ID_REQUIRED "a#1"
        0      a joins as a#1
        1000   b joins
        1000     -> b joins: MEMBER_ID_REQUIRED "b#1"
        1000   b joins as b#1
        6000     -> a joins: generation 1 a#1 of range, led by a#1, members ["a#1", "b#1"]
        6000     -> b joins: generation 1 b#1 of range, led by a#1, members []
        7000   b syncs 0 assignments
        7000   a syncs 2 assignments
        7000     writes g: generation 1, "range", leader a#1, members ["a#1", "b#1"]
        7000     -> a syncs: NONE "orders-0"
        7000     -> b syncs: NONE "orders-1"
        7000   admin describes
        7000     -> admin describes: NONE Stable "consumer" "range" ["a#1=orders-0", "b#1=orders-1"]
        7000   c joins
        7000     -> c joins: MEMBER_ID_REQUIRED "c#1"
        7000   c joins as c#1
        7000   a beats
        7000     -> a beats: REBALANCE_IN_PROGRESS
        7000   a joins as a#1
        17000    -> a joins: generation 2 a#1 of range, led by a#1, members ["a#1", "c#1"]
        17000    -> c joins: generation 2 c#1 of range, led by a#1, members []
        17000  a syncs 2 assignments
        17000    writes g: generation 2, "range", leader a#1, members ["a#1", "c#1"]
        17000    -> a syncs: NONE "orders-0"
        17000  c syncs 0 assignments
        17000    -> c syncs: NONE "orders-1"
        17000  b beats
        17000    -> b beats: UNKNOWN_MEMBER_ID
        17000  a leaves
        17000    -> a leaves: NONE NONE
        17000  c leaves
        17000    writes g: generation 3, "-", leader -, members []
        17000    -> c leaves: NONE NONE
        17000  admin describes
        17000    -> admin describes: NONE Empty "consumer" "" []
    "#]]);
}

#[test]
fn a_static_member_bounces_without_a_rebalance() {
    let mut story = Story::new(Settings::default());
    let (mut a, mut b) = (static_client("a"), client("b"));
    story.form(&mut [&mut a, &mut b]);
    let before = a.clone();
    a.member_id.clear();
    let joined = story.join(&mut a);
    adopt(&joined, &mut [&mut a]);
    story.sync(&a, &[]);
    story.beat(&before);
    story.commit(&before, "orders", 1, "");
    story.beat(&a);
    story.beat(&b);
    // An older client could not be told to skip the assignment.
    a.member_id.clear();
    a.version = 8;
    let joined = story.join(&mut a);
    adopt(&joined, &mut [&mut a]);
    // It stays away for longer than its session.
    story.pass(5_000);
    story.beat(&b);
    story.pass(5_000);
    story.beat(&b);
    story.check(expect![[r#"
        6000   g is stable
        6000   a joins
        6000     writes g: generation 1, "range", leader a#2, members ["a#2", "b#1"]
        6000     -> a joins: generation 1 a#2 of range, led by a#2, members ["a#2", "b#1"], skip assignment
        6000   a syncs 0 assignments
        6000     -> a syncs: NONE "a"
        6000   a beats
        6000     -> a beats: FENCED_INSTANCE_ID
        6000   a commits orders-0 1
        6000     -> a commits: FENCED_INSTANCE_ID
        6000   a beats
        6000     -> a beats: NONE
        6000   b beats
        6000     -> b beats: NONE
        6000   a joins
        6000     writes g: generation 1, "range", leader a#3, members ["a#3", "b#1"]
        6000     -> a joins: generation 1 a#3 of range, led by a#2, members []
        11000  b beats
        11000    -> b beats: NONE
        16000  b beats
        16000    -> b beats: REBALANCE_IN_PROGRESS
    "#]]);
}

#[test]
fn offsets_are_committed_by_the_current_generation_only() {
    let mut story = Story::new(Settings::default());
    let nobody = Client { generation: -1, ..client("admin") };
    story.commit(&nobody, "orders", 3, "");
    story.commit(&Client { generation: 5, ..client("x") }, "orders", 4, "");
    let (mut a, mut b) = (client("a"), client("b"));
    story.form(&mut [&mut a, &mut b]);
    story.commit(&a, "orders", 7, "");
    story.commit(&Client { generation: 9, ..a.clone() }, "orders", 8, "");
    story.commit(&Client { member_id: "who".into(), ..a.clone() }, "orders", 8, "");
    story.commit(&nobody, "orders", 8, "");
    story.commit(&a, "orders", 8, &"ß".repeat(4097));
    story.commit(&a, "orders", 9, &"ß".repeat(4096));
    story.join(&mut a);
    // While members gather, the old generation still commits.
    story.commit(&b, "orders", 10, "");
    let joined = story.join(&mut b);
    adopt(&joined, &mut [&mut a, &mut b]);
    story.commit(&b, "orders", 11, "");
    story.delete_offset("orders");
    story.sync(&a, &[]);
    story.commit(&a, "payments", 1, "");
    story.delete_offset("payments");
    story.delete_offset("orders");
    story.fetch();
    story.delete_group();
    story.check(expect![[r#"
        0      admin commits orders-0 3
        0        writes g orders-0: 3
        0        -> admin commits: NONE
        0      x commits orders-0 4
        0        -> x commits: UNKNOWN_MEMBER_ID
        6000   g is stable
        6000   a commits orders-0 7
        6000     writes g orders-0: 7
        6000     -> a commits: NONE
        6000   a commits orders-0 8
        6000     -> a commits: ILLEGAL_GENERATION
        6000   a commits orders-0 8
        6000     -> a commits: UNKNOWN_MEMBER_ID
        6000   admin commits orders-0 8
        6000     -> admin commits: UNKNOWN_MEMBER_ID
        6000   a commits orders-0 8
        6000     -> a commits: OFFSET_METADATA_TOO_LARGE
        6000   a commits orders-0 9
        6000     writes g orders-0: 9
        6000     -> a commits: NONE
        6000   a joins as a#1
        6000   b commits orders-0 10
        6000     writes g orders-0: 10
        6000     -> b commits: NONE
        6000   b joins as b#1
        6000     -> a joins: generation 2 a#1 of range, led by a#1, members ["a#1", "b#1"]
        6000     -> b joins: generation 2 b#1 of range, led by a#1, members []
        6000   b commits orders-0 11
        6000     -> b commits: REBALANCE_IN_PROGRESS
        6000   admin deletes orders-0
        6000     -> admin deletes: NONE GROUP_SUBSCRIBED_TO_TOPIC
        6000   a syncs 0 assignments
        6000     writes g: generation 2, "range", leader a#1, members ["a#1", "b#1"]
        6000     -> a syncs: NONE ""
        6000   a commits payments-0 1
        6000     writes g payments-0: 1
        6000     -> a commits: NONE
        6000   admin deletes payments-0
        6000     writes g payments-0: gone
        6000     -> admin deletes: NONE NONE
        6000   admin deletes orders-0
        6000     -> admin deletes: NONE GROUP_SUBSCRIBED_TO_TOPIC
        6000   admin fetches offsets
        6000     -> admin fetches: orders-0 10
        6000   admin deletes the group
        6000     -> admin deletes: NON_EMPTY_GROUP
    "#]]);
}

#[test]
fn offsets_and_groups_expire() {
    let minute: u64 = 60_000;
    let settings = Settings { offsets_retention_ms: 3_600_000, ..Settings::default() };
    let mut story = Story::new(settings);
    let mut a = Client { version: 3, ..client("a") };
    story.join(&mut a);
    let joined = story.pass(3_000);
    adopt(&joined, &mut [&mut a]);
    story.sync(&a, &[(&a, "x")]);
    story.commit(&a, "orders", 1, "");
    story.commit(&a, "former", 2, "");
    story.say("a is alive for two hours");
    let told = story.text.len();
    for _ in 0..1_440 {
        story.pass(5_000);
        story.beat(&a);
    }
    let lines: Vec<String> = story
        .text
        .split_off(told)
        .lines()
        .filter(|it| it.contains("writes"))
        .map(Into::into)
        .collect();
    story.text += &(lines.join("\n") + "\n");
    story.leave(&a);
    story.pass(59 * minute);
    story.fetch();
    story.pass(12 * minute);
    story.fetch();
    story.describe();
    story.check(expect![[r#"
        0      a joins
        0        writes g: generation 0, "-", leader -, members []
        3000     -> a joins: generation 1 a#1 of range, led by a#1, members ["a#1"]
        3000   a syncs 1 assignments
        3000     writes g: generation 1, "range", leader a#1, members ["a#1"]
        3000     -> a syncs: NONE "x"
        3000   a commits orders-0 1
        3000     writes g orders-0: 1
        3000     -> a commits: NONE
        3000   a commits former-0 2
        3000     writes g former-0: 2
        3000     -> a commits: NONE
        3000   a is alive for two hours
        4200000   writes g former-0: gone
        7203000 a leaves
        7203000   writes g: generation 2, "-", leader -, members []
        7203000   -> a leaves: NONE NONE
        10743000 admin fetches offsets
        10743000   -> admin fetches: orders-0 1
        11400000   writes g orders-0: gone
        11400000   writes g: gone
        11463000 admin fetches offsets
        11463000   -> admin fetches: 
        11463000 admin describes
        11463000   -> admin describes: GROUP_ID_NOT_FOUND Dead "" "" []
    "#]]);
}

#[test]
fn members_that_do_not_sync_are_removed() {
    let mut story = Story::new(Settings::default());
    let (mut a, mut b) = (client("a"), client("b"));
    story.join(&mut a);
    story.join(&mut b);
    let joined = story.pass(6_000);
    adopt(&joined, &mut [&mut a, &mut b]);
    story.sync(&a, &[(&a, "all")]);
    for _ in 0..5 {
        story.pass(4_500);
        story.beat(&a);
        story.beat(&b);
    }
    story.check(expect![[r#"
        0      a joins
        0        writes g: generation 0, "-", leader -, members []
        0        -> a joins: MEMBER_ID_REQUIRED "a#1"
        0      a joins as a#1
        0      b joins
        0        -> b joins: MEMBER_ID_REQUIRED "b#1"
        0      b joins as b#1
        6000     -> a joins: generation 1 a#1 of range, led by a#1, members ["a#1", "b#1"]
        6000     -> b joins: generation 1 b#1 of range, led by a#1, members []
        6000   a syncs 1 assignments
        6000     writes g: generation 1, "range", leader a#1, members ["a#1", "b#1"]
        6000     -> a syncs: NONE "all"
        10500  a beats
        10500    -> a beats: NONE
        10500  b beats
        10500    -> b beats: NONE
        15000  a beats
        15000    -> a beats: NONE
        15000  b beats
        15000    -> b beats: NONE
        19500  a beats
        19500    -> a beats: NONE
        19500  b beats
        19500    -> b beats: NONE
        24000  a beats
        24000    -> a beats: NONE
        24000  b beats
        24000    -> b beats: NONE
        28500  a beats
        28500    -> a beats: REBALANCE_IN_PROGRESS
        28500  b beats
        28500    -> b beats: UNKNOWN_MEMBER_ID
    "#]]);
}

#[test]
fn refusals() {
    let settings = Settings { group_size_max: 2, ..Settings::default() };
    let mut story = Story::new(settings);
    let (mut a, mut b) = (client("a"), client("b"));
    story.describe();
    story.delete_group();
    story.delete_offset("orders");
    story.fetch();
    story.beat(&a);
    story.leave(&a);
    story.join(&mut Client { member_id: "who".into(), ..client("x") });
    story.join(&mut Client { protocols: vec![], ..client("x") });
    story.form(&mut [&mut a, &mut b]);
    story.join(&mut Client { protocols: vec!["sticky"], ..a.clone() });
    story.join(&mut client("c"));
    story.join(&mut Client { member_id: "who".into(), ..client("x") });
    story.sync(&Client { generation: 7, ..a.clone() }, &[]);
    story.delete_group();
    story.list(&[], &[]);
    story.list(&["stable"], &["CLASSIC"]);
    story.list(&["Empty"], &[]);
    story.list(&[], &["consumer"]);
    story.check(expect![[r#"
        0      admin describes
        0        -> admin describes: GROUP_ID_NOT_FOUND Dead "" "" []
        0      admin deletes the group
        0        -> admin deletes: GROUP_ID_NOT_FOUND
        0      admin deletes orders-0
        0        -> admin deletes: GROUP_ID_NOT_FOUND 
        0      admin fetches offsets
        0        -> admin fetches: 
        0      a beats
        0        -> a beats: UNKNOWN_MEMBER_ID
        0      a leaves
        0        -> a leaves: NONE UNKNOWN_MEMBER_ID
        0      x joins as who
        0        -> x joins: UNKNOWN_MEMBER_ID "x#1"
        0      x joins
        0        writes g: generation 0, "-", leader -, members []
        0        -> x joins: INCONSISTENT_GROUP_PROTOCOL ""
        6000   g is stable
        6000   a joins as a#1
        6000     -> a joins: INCONSISTENT_GROUP_PROTOCOL "a#1"
        6000   c joins
        6000     -> c joins: GROUP_MAX_SIZE_REACHED ""
        6000   x joins as x#1
        6000     -> x joins: GROUP_MAX_SIZE_REACHED ""
        6000   a syncs 0 assignments
        6000     -> a syncs: ILLEGAL_GENERATION ""
        6000   admin deletes the group
        6000     -> admin deletes: NON_EMPTY_GROUP
        6000   admin lists [] []
        6000     -> admin lists: ["g Stable classic"]
        6000   admin lists ["stable"] ["CLASSIC"]
        6000     -> admin lists: ["g Stable classic"]
        6000   admin lists ["Empty"] []
        6000     -> admin lists: []
        6000   admin lists [] ["consumer"]
        6000     -> admin lists: []
    "#]]);
}

#[test]
fn a_new_leader_goes_on_with_what_is_in_the_log() {
    let mut story = Story::new(Settings::default());
    let (mut a, mut b) = (static_client("a"), client("b"));
    story.form(&mut [&mut a, &mut b]);
    story.commit(&a, "orders", 7, "");
    story.say("the shard moves");
    let outcome = story.world.fail_over();
    story.see(outcome);
    story.describe();
    story.fetch();
    story.beat(&a);
    story.beat(&b);
    story.say("orders is deleted");
    let outcome =
        story.world.decide(Input::Event(Event::TopicsDeleted(vec![("orders".into(), Uuid::ONE)])));
    story.see(outcome);
    story.fetch();
    story.pass(15_000);
    story.check(expect![[r#"
        6000   g is stable
        6000   a commits orders-0 7
        6000     writes g orders-0: 7
        6000     -> a commits: NONE
        6000   the shard moves
        6000   admin describes
        6000     -> admin describes: NONE Stable "consumer" "range" ["a#1=a", "b#1=b"]
        6000   admin fetches offsets
        6000     -> admin fetches: orders-0 7
        6000   a beats
        6000     -> a beats: NONE
        6000   b beats
        6000     -> b beats: NONE
        6000   orders is deleted
        6000     writes g orders-0: gone
        6000   admin fetches offsets
        6000     -> admin fetches: 
        16000    writes g: generation 2, "-", leader -, members []
    "#]]);
}
