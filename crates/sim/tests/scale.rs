//! How a cluster of three grows with its partitions, each on all three: what it does and says while
//! nothing happens, and how soon its partitions are led again. `PARTITIONS=<count> cargo test --profile
//! sim -p strandline-sim --test scale -- --nocapture` grows it as far as memory allows.

mod trio;

use std::sync::Arc;
use std::time::Duration;

use strandline_metadata::Image;
use strandline_metadata::image::Partition;
use strandline_ports::Clock;
use strandline_sim::{BrokerProcess, Crash, NetFaults, Network, Node, NodeId, Sim, cluster};
use trio::{create, three_brokers};

/// Longer than `log.initial.task.delay.ms`: after that, retention has looked at every partition.
const SETTLES: Duration = Duration::from_secs(35);
/// So long nothing happens.
const IDLE: Duration = Duration::from_secs(20);
const AT_MOST: Duration = Duration::from_secs(3_600);
/// Of one topic.
const PARTITIONS_MAX: usize = 1_000;
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What it costs, in virtual time.
#[derive(Debug)]
#[expect(dead_code, reason = "it is printed")]
struct Costs {
    /// From the first topic until every replica is in sync.
    made: Duration,
    /// Of [`IDLE`].
    steps: u64,
    sent_bytes: u64,
    /// From the death of the quorum's leader until others lead all that it led.
    led_again: Duration,
    /// From its start until it is in every ISR.
    back: Duration,
}

fn newest(brokers: &[Arc<BrokerProcess>]) -> Arc<Image> {
    let images = brokers.iter().filter_map(|broker| Some(broker.inspector()?.image()));
    images.max_by_key(|image| image.offset).expect("somebody serves")
}

/// Waits until it is so of each of that many partitions, and tells for how long.
async fn until(
    clock: &dyn Clock,
    brokers: &[Arc<BrokerProcess>],
    count: usize,
    holds: impl Fn(&Partition) -> bool,
) -> Duration {
    let began = clock.now().instant;
    loop {
        let image = newest(brokers);
        let mut partitions = image.topics.iter().flat_map(|topic| topic.partitions.values());
        if image.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>() == count
            && partitions.all(|partition| holds(partition))
        {
            return clock.now().instant.since(began);
        }
        clock.sleep(LOOK_INTERVAL).await;
    }
}

fn costs_of(count: usize) -> Costs {
    let (sim, network) = (Sim::new(1), Network::new(NetFaults::CALM));
    let in_it = sim.clone();
    sim.run(AT_MOST, async move {
        let brokers = three_brokers(&in_it, &network).await;
        let home = Node::new(&in_it, &network, NodeId(1000));
        let clock = home.world().clock;
        let is_whole = |partition: &Partition| partition.isr.len() == 3;

        let began = clock.now().instant;
        for first in (0..count).step_by(PARTITIONS_MAX) {
            let partitions = PARTITIONS_MAX.min(count - first);
            create(&home, cluster::port(0), &format!("from-{first}"), partitions as i32).await;
        }
        until(&*clock, &brokers, count, is_whole).await;
        let made = clock.now().instant.since(began);

        clock.sleep(SETTLES).await;
        let (steps, sent_bytes) = (in_it.steps(), network.sent_bytes());
        clock.sleep(IDLE).await;
        let (steps, sent_bytes) = (in_it.steps() - steps, network.sent_bytes() - sent_bytes);

        let inspector = brokers[0].inspector().expect("it serves");
        let dead = inspector.quorum().1.expect("somebody leads the quorum");
        drop(inspector);
        let victim = &brokers[dead.get() as usize];
        victim.crash(Crash::Process);
        let is_led = |partition: &Partition| partition.has_leader() && partition.leader != dead;
        let led_again = until(&*clock, &brokers, count, is_led).await;
        victim.start();
        let back = until(&*clock, &brokers, count, is_whole).await;
        Costs { made, steps, sent_bytes, led_again, back }
    })
}

#[test]
fn what_does_not_happen_costs_nothing_however_many_partitions_there_are() {
    let asked = std::env::var("PARTITIONS").ok().map(|text| text.parse().expect("a number"));
    let [few, many] =
        [asked.map_or(60, |many: usize| many / 10), asked.unwrap_or(600)].map(|count| {
            let costs = costs_of(count);
            println!("{count} partitions: {costs:?}");
            costs
        });
    let grows = |few: u64, many: u64| many as f64 / few as f64;
    assert!(
        grows(few.sent_bytes, many.sent_bytes) < 1.05,
        "heartbeats and fetches name partitions"
    );
    assert!(grows(few.steps, many.steps) < 1.05, "somebody looks at partitions");
    for costs in [few, many] {
        assert!(costs.led_again < Duration::from_secs(1), "{costs:?}");
    }
}
