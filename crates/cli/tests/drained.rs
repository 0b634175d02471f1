//! What `strandline cluster drain` sets in a cluster and takes back, and what it waits for.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod local;
mod node;
mod trio;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use local::{free_addresses, metric};
use rustix::process::{Pid, Signal, kill_process};
use strandline_client::admin::{Admin, ConfigChange, ConfigResource, ConfigSource};
use strandline_types::NodeId;
use trio::Cluster;
use trio::tool::{MOVING, begin, create_topic, fill, json, run, text};

const PINNED: &str = "pinned";
const RATES: [&str; 2] =
    ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const MARKS: [&str; 2] =
    ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];
const CORDON: &str = "cordoned.log.dirs";
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the broker that was killed is missed.
async fn fenced(admin: &Admin, index: usize) {
    let deadline = Instant::now() + PATIENCE;
    while !admin.describe_cluster().await.unwrap().nodes[index].is_fenced {
        assert!(Instant::now() < deadline, "it is never missed");
    }
}

async fn holders(admin: &Admin) -> BTreeSet<NodeId> {
    let described = admin.describe_topics(&[MOVING.to_owned()]).await.unwrap();
    let topic = described.into_iter().next().unwrap().1.unwrap();
    topic.partitions.iter().flat_map(|partition| partition.replicas.clone()).collect()
}

async fn set(admin: &Admin, resource: ConfigResource, name: &str, value: &str) {
    let changes = vec![ConfigChange::set(name, value)];
    let results = admin.alter_configs(&[(resource, changes)], false).await.unwrap();
    assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
}

/// What was given to each of these alone, as `name setting=value`.
async fn own(admin: &Admin, resources: &[ConfigResource], names: &[&str]) -> BTreeSet<String> {
    let mut own = BTreeSet::new();
    for name in names {
        for (resource, entry) in admin.describe_config(resources, name).await.unwrap() {
            // A rate that nobody has set is not there.
            if let Some(entry) = entry.unwrap()
                && matches!(entry.source, ConfigSource::DynamicBroker | ConfigSource::Topic)
            {
                own.insert(format!("{} {name}={}", resource.name, entry.value.unwrap()));
            }
        }
    }
    own
}

fn brokers() -> [ConfigResource; 3] {
    [1, 2, 3].map(|id| ConfigResource::broker(id.to_string()))
}

async fn throttles(admin: &Admin) -> BTreeSet<String> {
    let mut throttles = own(admin, &brokers(), &RATES).await;
    let topics = [MOVING, PINNED].map(ConfigResource::topic);
    throttles.extend(own(admin, &topics, &MARKS).await);
    throttles
}

/// A rate and marks of the tool come and go, also when it is killed; what was there before stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttle_leaves_nothing_and_takes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let metrics: [SocketAddr; 3] = free_addresses();
    let cluster = Cluster::start_with(home.path(), |index, start| {
        start.set("strandline.metrics.listener", &metrics[index].to_string())
    });
    let admin = Admin::new(cluster.client());
    create_topic(&admin, MOVING).await;
    create_topic(&admin, PINNED).await;
    fill(&cluster).await;

    // Somebody else's: a topic throttled as a whole, and a broker with a rate of its own.
    set(&admin, ConfigResource::topic(PINNED), MARKS[0], "*").await;
    set(&admin, ConfigResource::broker("2"), RATES[0], "70000000").await;
    set(&admin, ConfigResource::broker(""), RATES[1], "80000000").await;
    let before = throttles(&admin).await;
    assert_eq!(before.len(), 2, "{before:?}");

    let throttled = "drain 3 --throttle 150000";
    let (mut draining, _) = begin(&cluster, throttled);
    let deadline = Instant::now() + PATIENCE;
    let expected = [
        "1 leader.replication.throttled.rate=150000",
        "2 follower.replication.throttled.rate=150000",
        "2 leader.replication.throttled.rate=70000000",
        "3 follower.replication.throttled.rate=150000",
        "pinned leader.replication.throttled.replicas=*",
    ];
    loop {
        let seen = throttles(&admin).await;
        let is_marked = seen.iter().any(|it| it.starts_with("moving follower"));
        if is_marked && expected.iter().all(|it| seen.contains(*it)) {
            break;
        }
        assert!(Instant::now() < deadline && draining.try_wait().unwrap().is_none(), "{seen:?}");
    }
    draining.kill().unwrap();
    draining.wait().unwrap();
    assert!(throttles(&admin).await.len() > before.len());

    // Without the rate nobody knows whose it is: the run tells how to go on.
    let (mut other, mut lines) = begin(&cluster, "drain 3");
    let line = lines.find(|it| it.contains("`--throttle 150000` goes on")).unwrap();
    assert!(line.contains("broker 1, 2, 3 keep their throttle of 150000 bytes/s"), "{line}");
    other.kill().unwrap();
    other.wait().unwrap();

    let (other, mut lines) = begin(&cluster, throttled);
    lines.find(|it| it.contains("partitions moved")).unwrap();
    kill_process(Pid::from_child(&other), Signal::TERM).unwrap();
    let rest: Vec<String> = lines.collect();
    let is_told =
        rest.iter().any(|it| it.contains("`strandline cluster drain 3 --throttle 150000`"));
    assert!(is_told, "{rest:?}");

    let done = json(&cluster, throttled);
    assert_eq!(holders(&admin).await, BTreeSet::from([NodeId(1), NodeId(2)]), "{done}");
    assert_eq!(throttles(&admin).await, before);
    let copied = metric(metrics[0], "kafka_server_brokertopicmetrics_reassignmentbytesin_total");
    assert!(copied >= 1_000_000, "{copied}");
    assert!(metric(metrics[1], "kafka_server_replicamanager_isrexpands_total") > 0);
}

/// A broker that is needed and starts anew is waited for, and a cordon of one disk is not forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_a_broker_and_tells_of_a_cordon() {
    let home = tempfile::tempdir().unwrap();
    let dir = |index: usize, name| home.path().join(format!("node{}/{name}", index + 1));
    let dirs = |index| ["data", "more"].map(|it| dir(index, it).to_str().unwrap().to_owned());
    let mut cluster = Cluster::start_with(home.path(), |index, start| {
        start.set("log.dirs", &dirs(index).join(","))
    });
    let admin = Admin::new(cluster.client());
    create_topic(&admin, MOVING).await;
    let [_, disk] = dirs(2);
    let cordon = format!("3 {CORDON}={disk}");
    set(&admin, ConfigResource::broker("3"), CORDON, &disk).await;
    assert_eq!(own(&admin, &brokers(), &[CORDON]).await, BTreeSet::from([cordon.clone()]));
    run(&cluster, "drain 3 --cancel");
    assert_eq!(own(&admin, &brokers(), &[CORDON]).await, BTreeSet::from([cordon]));

    cluster.take(0).kill();
    fenced(&admin, 0).await;
    let (draining, mut lines) = begin(&cluster, "drain 3");
    let waiting = lines.find(|it| it.starts_with("waiting: ")).unwrap();
    assert!(waiting.contains("brokers that are not running, or silent: 1"), "{waiting}");
    cluster.restart(0);
    let told: Vec<String> = lines.collect();
    assert!(told.contains(&format!("its cordon was {disk} before")), "{told:?}");
    let ended = draining.wait_with_output().unwrap();
    assert!(ended.status.success(), "{told:?}");
    assert_eq!(holders(&admin).await, BTreeSet::from([NodeId(1), NodeId(2)]));

    let all = BTreeSet::from([format!("3 {CORDON}=*")]);
    assert_eq!(own(&admin, &brokers(), &[CORDON]).await, all);
    run(&cluster, "drain 3 --cancel");
    assert_eq!(own(&admin, &brokers(), &[CORDON]).await, BTreeSet::new());
}

/// A broker that is back in the middle is limited and cordoned like one that was there; one that is
/// away when all is taken back keeps its cordon, and that is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_comes_back_is_limited_and_cordoned() {
    let home = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(home.path());
    let admin = Admin::new(cluster.client());
    create_topic(&admin, MOVING).await;
    fill(&cluster).await;
    cluster.take(2).kill();
    fenced(&admin, 2).await;

    let throttled = "drain 3 --throttle 50000";
    let rates_of = |id: i32| RATES.map(|name| format!("{id} {name}=50000"));
    let (mut draining, mut lines) = begin(&cluster, throttled);
    let told = lines.find(|it| it.starts_with("broker 3 does not answer")).unwrap();
    assert!(told.ends_with("and is cordoned then"), "{told}");
    lines.find(|it| it.contains("2 moving")).unwrap();
    let alive = BTreeSet::from_iter([1, 2].into_iter().flat_map(rates_of));
    assert_eq!(own(&admin, &brokers()[..2], &RATES).await, alive);
    cluster.restart(2);
    lines.find(|it| it.starts_with("broker 3 is cordoned")).unwrap();
    let all = BTreeSet::from_iter([1, 2, 3].into_iter().flat_map(rates_of));
    let deadline = Instant::now() + PATIENCE;
    while own(&admin, &brokers(), &RATES).await != all {
        assert!(Instant::now() < deadline && draining.try_wait().unwrap().is_none());
    }
    draining.kill().unwrap();
    draining.wait().unwrap();

    let cordon = BTreeSet::from([format!("3 {CORDON}=*")]);
    assert_eq!(own(&admin, &brokers(), &[CORDON]).await, cordon);
    cluster.take(2).kill();
    fenced(&admin, 2).await;
    let cancelled = text(&cluster, "drain 3 --cancel");
    assert!(cancelled.starts_with("took back 2 moves"), "{cancelled}");
    let next = "may keep its cordon: `strandline cluster drain 3 --cancel` takes it off";
    assert!(cancelled.contains(next), "{cancelled}");
    cluster.restart(2);
    assert_eq!(own(&admin, &brokers(), &[CORDON]).await, cordon);
    run(&cluster, &format!("{throttled} --cancel"));
    assert_eq!(own(&admin, &brokers(), &[CORDON]).await, BTreeSet::new());
    assert_eq!(own(&admin, &brokers(), &RATES).await, BTreeSet::new());
    assert_eq!(own(&admin, &[ConfigResource::topic(MOVING)], &MARKS).await, BTreeSet::new());
}
