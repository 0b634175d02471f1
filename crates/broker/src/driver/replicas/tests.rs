//! What a start makes of what lies in the directories.

use super::*;

#[test]
fn a_copy_in_the_making_is_of_one_partition() {
    let named = |name: &str| {
        let kind = PartitionDir::parse(name).unwrap();
        let found = FoundPartition { name: name.to_owned(), kind, remembered: None };
        (name.to_owned(), vec![(DirIndex::at(0), found)])
    };
    let found = Found::from([
        named("orders-0.0123456789abcdef0123456789abcdef-future"),
        named("orders-1.eu-0.0123456789abcdef0123456789abcdef-future"),
    ]);
    let was_being_moved = |topic: &str, partition| {
        let topic = topic.to_owned();
        was_being_moved(&found, &TopicPartition { topic, partition: PartitionId(partition) })
    };
    assert!(was_being_moved("orders", 0) && was_being_moved("orders-1.eu", 0));
    assert!(!was_being_moved("orders", 1), "its topic's name only begins like the other's");
}
