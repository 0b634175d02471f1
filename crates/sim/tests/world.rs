//! The simulated world keeps the promises of the ports, and of its own determinism.

use std::future::poll_fn;
use std::io::IoSlice;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use strandline_ports::{Conn, Lane, OpenMode};
use strandline_sim::{Crash, DiskFaults, NetFaults, Network, Node, NodeId, Sim};

const MINUTE: Duration = Duration::from_secs(60);

async fn send(conn: &dyn Conn, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let sent = poll_fn(|cx| conn.poll_write(cx, &[IoSlice::new(bytes)])).await;
        bytes = &bytes[sent.expect("the peer reads")..];
    }
}

async fn receive(conn: &dyn Conn, len: usize) -> BytesMut {
    let mut buf = BytesMut::with_capacity(len);
    while buf.len() < len {
        let count = poll_fn(|cx| conn.poll_read(cx, &mut buf)).await;
        assert_ne!(count.expect("the peer lives"), 0, "the peer has finished");
    }
    buf
}

/// Four clients echo numbers over late and short-reading streams.
fn echo(seed: u64) -> String {
    let sim = Sim::new(seed);
    sim.record_trace();
    let network = Network::new(NetFaults::CALM);
    let server = Node::new(&sim, &network, NodeId(0)).world();
    let client = Node::new(&sim, &network, NodeId(1)).world();
    let noted = sim.clone();
    sim.run(MINUTE, async move {
        let listener = server.net.listen("server", 7).await.expect("the port is free");
        let spawn = server.spawn.clone();
        server.spawn.spawn(
            Lane::Data,
            Box::pin(async move {
                loop {
                    let conn = poll_fn(|cx| listener.poll_accept(cx)).await.expect("it listens");
                    spawn.spawn(
                        Lane::Data,
                        Box::pin(async move {
                            let bytes = receive(&*conn, 8).await;
                            send(&*conn, &bytes).await;
                        }),
                    );
                }
            }),
        );
        for number in 0..4u64 {
            let conn = client.net.connect("server", 7).await.expect("it listens");
            send(&*conn, &number.to_be_bytes()).await;
            let echoed = receive(&*conn, 8).await;
            assert_eq!(echoed[..], number.to_be_bytes());
            noted.note(&format!("echoed {number}"));
        }
    });
    sim.take_trace()
}

#[test]
fn a_seed_gives_one_trace_and_seeds_differ() {
    let first = echo(1);
    assert_eq!(first, echo(1));
    assert_ne!(first, echo(2));
    assert_eq!(first.matches("echoed").count(), 4);
}

/// Writes two blocks, syncs the first, crashes; what is left of the file.
fn crash_after_one_sync(seed: u64, crash: Crash) -> Vec<u8> {
    let sim = Sim::new(seed);
    let network = Network::new(NetFaults::CALM);
    let node = Node::new(&sim, &network, NodeId(0));
    node.disk
        .set_faults(DiskFaults { sync_max: Duration::from_millis(5), ..DiskFaults::default() });
    let disk = node.world().disk;
    let writing = disk.clone();
    sim.run(MINUTE, async move {
        writing.create_dir_all(Path::new("data")).expect("the disk works");
        let file = writing.open(Path::new("data/log"), OpenMode::Create).expect("the disk works");
        file.write_at(0, vec![Bytes::from(vec![1; 1024])]).await.expect("the disk works");
        file.sync().await.expect("the disk works");
        file.write_at(1024, vec![Bytes::from(vec![2; 2048])]).await.expect("the disk works");
    });
    node.crash(crash);
    let file = disk.open(Path::new("data/log"), OpenMode::Read).expect("its name was synced");
    let mut left = vec![0; file.len().expect("the disk works") as usize];
    file.read_at(0, &mut left).expect("the disk works");
    left
}

#[test]
fn a_process_crash_keeps_the_page_cache_and_power_loss_only_what_was_synced() {
    let whole = [vec![1; 1024], vec![2; 2048]].concat();
    let mut tails = std::collections::BTreeSet::new();
    for seed in 0..50 {
        assert_eq!(crash_after_one_sync(seed, Crash::Process), whole);
        let left = crash_after_one_sync(seed, Crash::Power);
        assert_eq!(left[..1024], whole[..1024], "what was synced stays");
        for sector in left[1024..].chunks(512) {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "torn only between sectors");
        }
        tails.insert(left[1024..].to_vec());
    }
    assert!(tails.len() > 10, "power loss leaves many different tails, saw {}", tails.len());
}
