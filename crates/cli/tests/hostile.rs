//! Whatever arrives, the process goes on, serves others, and does not grow.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod node;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use node::frames::{FETCH, batch, batch_with, fetch};
use node::{Client, Node, Start, eventually};
use strandline_types::{Compression, ErrorCode};

use strandline_wire::messages::{ApiKey, ApiVersionsRequest, MetadataRequest};
use strandline_wire::records::BatchOptions;
use tempfile::TempDir;

fn node_with(settings: &[(&str, &str)]) -> (TempDir, Node) {
    let temporary = tempfile::tempdir().unwrap();
    let start = Start::anywhere(temporary.path());
    let start = settings.iter().fold(start, |start, (key, value)| start.set(key, value));
    let node = start.ready();
    (temporary, node)
}

fn lines_about(node: &Node, what: &str) -> usize {
    node.log().lines().filter(|line| line.contains(what)).count()
}

/// Others are served all the while.
fn is_served(node: &Node) {
    let mut client = node.client();
    let answer = client.ask(&MetadataRequest { topics: None, ..Default::default() }, 12);
    assert_eq!(answer.error_code, ErrorCode::NONE);
}

#[test]
fn a_size_that_is_only_declared_costs_nothing() {
    let (_dir, node) = node_with(&[]);
    is_served(&node);
    let before = node.status_kib("VmRSS");
    for size in [-1, i32::MIN, i32::MAX, 104_857_601] {
        let mut client = node.client();
        client.stream.write_all(&i32::to_be_bytes(size)).unwrap();
        assert!(client.is_closed(), "{size}");
    }
    eventually("a line for each", || {
        lines_about(&node, "a frame of this size is not allowed") == 4
    });

    // As large as allowed, and then next to nothing: over and over.
    let dripping: Vec<_> = (0..64)
        .map(|_| {
            let mut client = node.client();
            client.stream.write_all(&104_857_600_i32.to_be_bytes()).unwrap();
            client.stream.write_all(&[0, 3, 0]).unwrap();
            client
        })
        .collect();
    for _ in 0..20 {
        is_served(&node);
    }
    let grown = node.status_kib("VmRSS").saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB for frames that never came");
    drop(dripping);
    is_served(&node);
}

/// Every prefix and a few bent versions of a frame: none may harm the process.
#[test]
fn malformed_frames_close_their_connection_only() {
    let (_dir, mut node) = node_with(&[]);
    node.client().create_topic("sane", 1, &[]);
    let mut bent = 0;
    for &api in ApiKey::ALL {
        for version in [api.versions().min, api.versions().max] {
            for body in bodies() {
                let mut frame = Vec::new();
                frame.extend(api.code().to_be_bytes());
                frame.extend(version.to_be_bytes());
                frame.extend(7_i32.to_be_bytes());
                frame.extend((-1_i16).to_be_bytes());
                frame.extend(&body);
                send_raw(&node, &frame);
                bent += 1;
            }
        }
    }
    for frame in [&[][..], &[0], &[0, 3], &[0, 3, 0], &[0, 3, 0, 12, 0, 0], &[0xff; 64]] {
        send_raw(&node, frame);
    }
    assert!(node.is_alive() && bent > 500);
    is_served(&node);
    let mut client = node.client();
    let answer = client.produce("sane", 0, batch(&[b"still here"])).unwrap();
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let log = node.log();
    assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
    let ended = node.stop();
    assert!(ended.status.success(), "{ended:?}");
}

/// Nothing; counts that promise billions; counts that are negative; noise.
fn bodies() -> Vec<Vec<u8>> {
    let noise: Vec<u8> =
        (0..200_u32).map(|it| (it.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![
        vec![],
        vec![0xff; 3],
        vec![0x7f; 40],
        [vec![0, 0xff, 0xff, 0xff, 0xff, 0x0f], vec![0; 30]].concat(),
        vec![0x80; 40],
        vec![0; 80],
        noise,
    ]
}

/// Sends a frame and does not care for the answer; the next frame proves that the broker is done.
fn send_raw(node: &Node, body: &[u8]) {
    let mut client = node.client();
    client.stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let size = (body.len() as i32).to_be_bytes();
    let _ = client.stream.write_all(&[&size, body].concat());
    let _ = client.stream.shutdown(std::net::Shutdown::Write);
    let mut rest = Vec::new();
    let _ = client.stream.take(1 << 20).read_to_end(&mut rest);
}

#[test]
fn one_line_per_bad_connection() {
    let (_dir, node) = node_with(&[]);
    let cases: [(&[u8], &str); 3] = [
        (&[0x7f, 0x7f, 0, 0, 0, 0, 0, 1, 0xff, 0xff], "unknown API key 32639"),
        (&[0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff], " has no version 99"),
        (&[0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0, 0xff, 0xff, 0xff], " version 12: "),
    ];
    for (frame, said) in cases {
        let mut client = node.client();
        let size = (frame.len() as i32).to_be_bytes();
        client.stream.write_all(&[&size, frame].concat()).unwrap();
        assert!(client.is_closed(), "{said}");
        eventually(said, || lines_about(&node, said) > 0);
        assert_eq!(lines_about(&node, said), 1);
    }
    let mut client = node.client();
    let answer = client.ask(&ApiVersionsRequest::default(), 0);
    assert_eq!(answer.error_code, ErrorCode::NONE);
}

#[test]
fn a_bomb_is_refused() {
    let (_dir, node) = node_with(&[]);
    let mut client = node.client();
    client.create_topic("bombed", 1, &[("max.message.bytes", "10000000")]);
    let before = node.status_kib("VmHWM");
    let zeros = vec![0; 512 << 20];
    for codec in [Compression::Gzip, Compression::Zstd] {
        let options = BatchOptions { compression: codec.into(), ..Default::default() };
        let bomb = batch_with(options, &[&zeros]);
        assert!(bomb.len() < 4 << 20, "{}", bomb.len());
        let answer = client.produce("bombed", 0, bomb).unwrap();
        assert_ne!(answer.error_code, ErrorCode::NONE);
    }
    let grown = node.status_kib("VmHWM").saturating_sub(before);
    assert!(grown < 24 * 1024, "{grown} KiB for a bomb");
    let answer = client.produce("bombed", 0, batch(&[b"fine"])).unwrap();
    assert_eq!((answer.error_code, answer.base_offset), (ErrorCode::NONE, 0));
}

#[test]
fn ten_thousand_idle_connections() {
    const WANTED: usize = 10_000;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(1 << 20);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: Some(most), maximum: limit.maximum },
    )
    .unwrap();
    let (_dir, node) = node_with(&[]);
    is_served(&node);
    if most < WANTED as u64 + 1000 {
        eprintln!("SKIPPED: only {most} files may be open here");
        return;
    }
    let mut connections = Vec::with_capacity(WANTED);
    for _ in 0..WANTED {
        let mut client = node.client();
        // Each has been used: what its first request needed must not stay with it.
        client.ask(&ApiVersionsRequest::default(), 0);
        connections.push(client);
    }
    let all = node.status_kib("VmRSS");
    assert!(all < 100 * 1024, "{all} KiB in all");
    eprintln!("10,000 idle connections: {all} KiB in all");
    connections.last_mut().unwrap().ask(&ApiVersionsRequest::default(), 0);
    drop(connections);
    eventually("their descriptors are closed", || node.open_files() < 200);
}

#[test]
fn a_client_that_does_not_read_is_not_buffered_for() {
    let (_dir, node) = node_with(&[]);
    let mut client = node.client();
    client.create_topic("large", 1, &[]);
    let value = vec![5; 900_000];
    for _ in 0..120 {
        client.produce("large", 0, batch(&[&value])).unwrap();
    }
    let before = node.status_kib("VmRSS");
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut client = node.client();
        client.stream.set_nonblocking(true).unwrap();
        for _ in 0..10 {
            // What does not fit into the socket any more is not sent: nobody reads.
            let _ = client.send(&fetch("large", 0, 0, 100 << 20), FETCH);
        }
        slow.push(client);
    }
    for _ in 0..50 {
        is_served(&node);
    }
    let grown = node.status_kib("VmRSS").saturating_sub(before);
    assert!(grown < 40 * 1024, "{grown} KiB for 20 clients that do not read");
    assert_eq!(client.read_all("large", 0, 0).len(), 120);
}

#[test]
fn one_budget_for_all_requests() {
    let (_dir, node) = node_with(&[("strandline.request.memory.max.bytes", "110000000")]);
    node.client().create_topic("budget", 1, &[]);
    let before = node.status_kib("VmRSS");
    // 24 frames of 64 MiB that lack their last byte.
    let halves: Vec<_> = (0..24)
        .map(|_| {
            let address = node.kafka;
            thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
                let size = 64 << 20;
                stream.write_all(&i32::to_be_bytes(size)).unwrap();
                let chunk = vec![0; 1 << 20];
                for _ in 0..63 {
                    match stream.write_all(&chunk) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        other => other.unwrap_or_default(),
                    }
                }
                stream
            })
        })
        .collect();
    let streams: Vec<_> = halves.into_iter().map(|half| half.join().unwrap()).collect();
    let grown = node.status_kib("VmRSS").saturating_sub(before);
    assert!(grown < 160 * 1024, "{grown} KiB under a budget of 110 MB");
    drop(streams);
    eventually("others are served again", || {
        Client::try_connect(node.kafka)
            .is_ok_and(|mut client| client.try_ask(&ApiVersionsRequest::default(), 0).is_ok())
    });
    is_served(&node);
}

#[test]
fn limits_of_connections_and_idle_time() {
    let (_dir, node) = node_with(&[("max.connections", "5"), ("connections.max.idle.ms", "400")]);
    let mut held: Vec<_> = (0..5).map(|_| node.client()).collect();
    held[0].ask(&ApiVersionsRequest::default(), 0);
    let mut sixth = node.client();
    assert!(sixth.is_closed());
    assert_eq!(lines_about(&node, "refused a connection: max.connections are open"), 1);
    for client in &mut held {
        assert!(client.is_closed(), "idle for too long");
    }
    eventually("there is room again", || {
        let mut client = node.client();
        client.try_ask(&ApiVersionsRequest::default(), 0).is_ok()
    });
}

#[test]
fn open_files_stay_under_their_cap() {
    let temporary = tempfile::tempdir().unwrap();
    let node = Start::anywhere(temporary.path()).set("strandline.open.files.max", "64").ready();
    let mut client = node.client();
    client.create_topic("many", 200, &[]);
    for partition in 0..200 {
        let answer = client.produce("many", partition, batch(&[b"x"])).unwrap();
        assert_eq!(answer.error_code, ErrorCode::NONE);
        assert!(node.open_files() < 64 + 40, "{}", node.open_files());
    }
    for partition in 0..200 {
        assert_eq!(client.read_all("many", partition, 0), [(0, Bytes::from("x"))]);
    }
}
