//! The broker that the tests talk to: the one at `STRANDLINE_TEST_BOOTSTRAP`, or an Apache Kafka
//! started from the jars in the directory `STRANDLINE_TEST_KAFKA_LIBS`. With neither the tests are
//! skipped, loudly, except under `CI=true`.
#![allow(dead_code, reason = "each test file uses its part")]
#![expect(clippy::disallowed_methods, reason = "the tests run on the real world")]
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "these are tests")]
#![expect(clippy::zombie_processes, reason = "the broker outlives the test process, just")]

pub(crate) mod proxy;
pub(crate) mod scripted;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use strandline_client::admin::NewTopic;
use strandline_client::{Admin, Client, ClientConfig};
use strandline_ports::World;
use strandline_ports::real::{RealClock, RealDisk, RealEntropy, RealNet, RealSpawn, WriteBudget};

pub(crate) fn world() -> World {
    let spawn = RealSpawn::new(tokio::runtime::Handle::current()).unwrap();
    World {
        clock: Arc::new(RealClock::default()),
        entropy: Arc::new(RealEntropy),
        spawn: Arc::new(spawn),
        net: Arc::new(RealNet),
        disk: Arc::new(RealDisk::new(WriteBudget::default())),
    }
}

/// Runs a test against the broker.
pub(crate) fn with_broker<F: Future<Output = ()>>(test: impl FnOnce(String) -> F) {
    let Some(bootstrap) = bootstrap() else {
        return skip();
    };
    run(test(bootstrap));
}

/// Runs a test on the real world, within a minute and a half.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(90), test).await.expect("the test hangs");
    });
    runtime.shutdown_background();
}

/// Says that a test did not run, which is no way out under `CI=true`.
pub(crate) fn skip() {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "CI must say where Kafka is");
    eprintln!("SKIPPED: set STRANDLINE_TEST_BOOTSTRAP or STRANDLINE_TEST_KAFKA_LIBS");
}

pub(crate) fn client(bootstrap: &str) -> Client {
    Client::new(world(), ClientConfig::new(bootstrap))
}

/// A name that no other test and no earlier run has.
pub(crate) fn unique(stem: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    format!("{stem}-{}-{now}-{count}", std::process::id())
}

pub(crate) async fn new_topic(client: &Client, stem: &str, partitions: i32) -> String {
    new_topic_with(client, NewTopic::new(unique(stem), partitions, 1)).await
}

pub(crate) async fn new_topic_with(client: &Client, topic: NewTopic) -> String {
    let name = topic.name.clone();
    let results = Admin::new(client.clone()).create_topics(&[topic], false).await.unwrap();
    assert!(results[0].1.is_ok(), "{results:?}");
    eventually(async || {
        let topic = client.fresh_topic(&name, false).await;
        topic.is_ok_and(|topic| topic.partitions.iter().all(|p| p.leader.is_some()))
    })
    .await;
    name
}

/// Asks again until it is so.
pub(crate) async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    while !condition().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn bootstrap() -> Option<String> {
    static BOOTSTRAP: OnceLock<Option<String>> = OnceLock::new();
    let start = || {
        std::env::var("STRANDLINE_TEST_BOOTSTRAP").ok().or_else(|| {
            let libs = std::env::var("STRANDLINE_TEST_KAFKA_LIBS").ok()?;
            Some(Twin::start(Path::new(&libs)))
        })
    };
    BOOTSTRAP.get_or_init(start).clone()
}

/// An Apache Kafka of our own, ended with this process.
struct Twin;

impl Twin {
    fn start(libs: &Path) -> String {
        let dir = std::env::temp_dir().join(unique("strandline-client-kafka"));
        std::fs::create_dir_all(&dir).unwrap();
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [broker, controller] = ports.map(|port| port.local_addr().unwrap());
        let properties = dir.join("server.properties");
        let listeners = format!("PLAINTEXT://{broker},CONTROLLER://{controller}");
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\nlisteners={listeners}\n\
             advertised.listeners={listeners}\ncontroller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             controller.quorum.bootstrap.servers={controller}\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=5\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=5\n\
             group.initial.rebalance.delay.ms=0\n",
            dir.join("data").display()
        );
        std::fs::write(&properties, text).unwrap();
        let java = |main: &str, arguments: &[&str]| {
            let mut command = Command::new("java");
            command.args(["-Xms256m", "-Xmx512m", "-cp"]).arg(libs.join("*")).arg(main);
            command.args(arguments).arg(&properties).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let format = ["format", "--standalone", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"];
        assert!(java("kafka.tools.StorageTool", &format).status().unwrap().success());
        let child = java("kafka.Kafka", &[]).spawn().unwrap();
        end_with_this_process(&child, &dir);
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(broker).is_err() {
            assert!(Instant::now() < deadline, "Kafka does not start, see {}", dir.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        broker.to_string()
    }
}

/// A process cannot clean up after its last test, so a shell waits for it to be gone.
fn end_with_this_process(child: &Child, dir: &Path) {
    let script = format!(
        "while kill -0 {} 2>/dev/null; do sleep 1; done; kill -9 {}; rm -rf {}",
        std::process::id(),
        child.id(),
        dir.display()
    );
    Command::new("sh").args(["-c", &script]).spawn().unwrap();
}
