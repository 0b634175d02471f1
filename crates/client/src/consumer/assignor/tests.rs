use std::fmt::Write as _;

use expect_test::{Expect, expect};
use strandline_types::PartitionId;

use super::*;

fn member(id: &str, topics: &[&str]) -> Member {
    Member {
        id: id.into(),
        topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        generation: -1,
        ..Member::default()
    }
}

fn owning(id: &str, topics: &[&str], generation: i32, owned: &[(&str, i32)]) -> Member {
    let owned = owned.iter().map(|(topic, partition)| TopicPartition {
        topic: (*topic).to_owned(),
        partition: PartitionId(*partition),
    });
    Member { owned: owned.collect(), generation, ..member(id, topics) }
}

fn check(assignor: Assignor, members: &[Member], topics: &[(&str, i32)], expected: &Expect) {
    let topics = topics.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect();
    let mut text = String::new();
    for (member, partitions) in assignor.assign(members, &topics) {
        write!(text, "{member}:").expect("fits");
        for partition in partitions {
            write!(text, " {partition}").expect("fits");
        }
        text.push('\n');
    }
    expected.assert_eq(&text);
}

// The first three are what members of other languages get from RangeAssignor and RoundRobinAssignor of kafka-clients 4.3.1.

#[test]
fn range_gives_the_rest_to_the_first() {
    let members = [member("b", &["t", "u"]), member("a", &["t", "u"]), member("c", &["t"])];
    check(
        Assignor::Range,
        &members,
        &[("t", 7), ("u", 3)],
        &expect![[r#"
        a: t-0 t-1 t-2 u-0 u-1
        b: t-3 t-4 u-2
        c: t-5 t-6
    "#]],
    );
}

#[test]
fn round_robin_passes_over_those_who_do_not_read_a_topic() {
    let members = [member("a", &["t"]), member("b", &["t", "u"]), member("c", &["u", "v"])];
    check(
        Assignor::RoundRobin,
        &members,
        &[("t", 3), ("u", 4), ("v", 2)],
        &expect![[r#"
        a: t-0 t-2
        b: t-1 u-0 u-2
        c: u-1 u-3 v-0 v-1
    "#]],
    );
}

#[test]
fn static_members_come_first_by_instance() {
    let mut members = [member("a", &["t"]), member("z", &["t"]), member("y", &["t"])];
    members[1].instance_id = Some("1".into());
    members[2].instance_id = Some("2".into());
    check(
        Assignor::Range,
        &members,
        &[("t", 4)],
        &expect![[r#"
        a: t-3
        y: t-2
        z: t-0 t-1
    "#]],
    );
}

#[test]
fn a_newcomer_gets_its_share_and_nothing_else_moves() {
    let members = [
        owning("a", &["t"], 4, &[("t", 0), ("t", 1), ("t", 2)]),
        owning("b", &["t"], 4, &[("t", 3), ("t", 4), ("t", 5)]),
        member("c", &["t"]),
    ];
    check(
        Assignor::Sticky,
        &members,
        &[("t", 6)],
        &expect![[r#"
        a: t-0 t-1
        b: t-3 t-4
        c: t-2 t-5
    "#]],
    );
    check(
        Assignor::CooperativeSticky,
        &members,
        &[("t", 6)],
        &expect![[r#"
        a: t-0 t-1
        b: t-3 t-4
        c:
    "#]],
    );
}

#[test]
fn what_a_lost_member_had_is_shared_out() {
    let members = [
        owning("a", &["t"], 4, &[("t", 0), ("t", 1)]),
        owning("b", &["t"], 4, &[("t", 2), ("t", 3)]),
    ];
    check(
        Assignor::CooperativeSticky,
        &members,
        &[("t", 6)],
        &expect![[r#"
        a: t-0 t-1 t-4
        b: t-2 t-3 t-5
    "#]],
    );
}

#[test]
fn an_older_generation_has_no_say() {
    let members =
        [owning("a", &["t"], 3, &[("t", 0), ("t", 1)]), owning("b", &["t"], 4, &[("t", 0)])];
    check(
        Assignor::Sticky,
        &members,
        &[("t", 2)],
        &expect![[r#"
        a: t-1
        b: t-0
    "#]],
    );
}

#[test]
fn different_subscriptions_are_respected() {
    let members = [member("a", &["t"]), member("b", &["t", "u"]), member("c", &["u"])];
    check(
        Assignor::Sticky,
        &members,
        &[("t", 4), ("u", 2), ("w", 9)],
        &expect![[r#"
        a: t-0 t-2
        b: t-1 t-3
        c: u-0 u-1
    "#]],
    );
}
