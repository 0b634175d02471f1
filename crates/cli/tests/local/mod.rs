//! Addresses on this machine, a client that is quick to ask again, the tool, and what metrics say.

// Each test program uses a part of this.
#![allow(dead_code)]
#![allow(clippy::unwrap_used, clippy::disallowed_methods, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use strandline_client::{Client, ClientConfig};
use strandline_ports::World;
use strandline_ports::real::{RealClock, RealDisk, RealEntropy, RealNet, RealSpawn, WriteBudget};

/// Addresses that were free a moment ago, each given out once. They lie below those that the system
/// gives to outgoing connections, which would take that of a node before it starts again.
pub fn free_addresses<const COUNT: usize>() -> [SocketAddr; COUNT] {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Other test programs begin elsewhere.
    let first = std::process::id().wrapping_mul(101);
    [(); COUNT].map(|()| {
        loop {
            let next = first.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
            let address = SocketAddr::from(([127, 0, 0, 1], 10_000 + (next % 20_000) as u16));
            if TcpListener::bind(address).is_ok() {
                return address;
            }
        }
    })
}

pub fn client(bootstrap: &str) -> Client {
    Client::new(world(), config(bootstrap))
}

/// For consumers where leaders are cut off: one that nobody else hears answers them as ever, and
/// nothing but newer metadata tells of the next one.
pub fn curious_client(bootstrap: &str) -> Client {
    let metadata_max_age = Duration::from_secs(1);
    Client::new(world(), ClientConfig { metadata_max_age, ..config(bootstrap) })
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new(bootstrap);
    config.retry_backoff = Duration::from_millis(20);
    config.retry_backoff_max = Duration::from_millis(200);
    // Whoever asks a leader that nobody hears any more must not wait for it for long.
    config.connection.request_timeout = Duration::from_secs(2);
    config.connection.connect_timeout = Duration::from_secs(1);
    config
}

/// `strandline cluster …`.
pub fn cluster_tool(bootstrap: &str, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strandline"));
    command.arg("cluster").args(line.split(' ')).args(["--bootstrap", bootstrap]);
    command.stdin(Stdio::null());
    command
}

/// What a node tells Prometheus.
pub fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The first value there of that name.
pub fn metric(address: SocketAddr, name: &str) -> u64 {
    let text = scrape(address);
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

fn world() -> World {
    let spawn = Arc::new(RealSpawn::new(tokio::runtime::Handle::current()).unwrap());
    World {
        clock: Arc::new(RealClock::default()),
        entropy: Arc::new(RealEntropy),
        net: Arc::new(RealNet),
        disk: Arc::new(RealDisk::new(WriteBudget::default())),
        spawn,
    }
}
