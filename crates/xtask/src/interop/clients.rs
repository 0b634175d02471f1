//! The index of `interop/`: one row per client.

use anyhow::Result;

use super::peer::Against;
use super::place::Place;
use super::{exactly_once, files, mixed, own_client};

/// One client: where its example lives, what it needs, how it is fetched and run.
///
/// Commands are lines for `sh`, run in the client's folder with `BUILD` (a folder of this client
/// alone), `CACHE` (shared by all) and, for `run`, `BOOTSTRAP` in the environment.
pub(super) struct Client {
    pub(super) name: &'static str,
    pub(super) folder: &'static str,
    /// Commands that succeed when the toolchain is there.
    pub(super) needs: &'static [&'static str],
    /// Files (relative to the folder) on whose contents the fetched dependencies depend.
    pub(super) locks: &'static [&'static str],
    pub(super) fetch: &'static str,
    pub(super) run: &'static str,
    pub(super) brokers: Brokers,
}

/// Which brokers a client talks to.
#[derive(Clone, Copy)]
pub(super) enum Brokers {
    /// One for all.
    Shared,
    /// One of its own at a time, started and stopped by it.
    Own(Drive),
    /// A cluster of its own, which takes all of the machine.
    Cluster(Drive),
}

/// Runs a client with brokers of its own, of which some are of the kind to be tested.
pub(super) type Drive = fn(&Place, &Client, &Against) -> Result<()>;

const JAVA: &[&str] = &["mvn --version", "javac --version"];
const PYTHON: &[&str] = &["python3 -m venv --help"];
const GO: &[&str] = &["go version"];
const JAVA_PYTHON_GO: &[&str] = &[JAVA[0], JAVA[1], PYTHON[0], GO[0]];
const NODE: &[&str] = &["node --version", "npm --version"];
const CARGO: &[&str] = &["cargo --version", "cc --version"];
const CARGO_JAVA: &[&str] = &[CARGO[0], CARGO[1], JAVA[0], JAVA[1]];

const FETCH_JARS: &str = "mvn -q -B -Dmaven.repo.local=$CACHE/m2 dependency:copy-dependencies -DoutputDirectory=$BUILD/libs";
const FETCH_KAFKA: &str = "cd ../kafka-peer && mvn -q -B -Dmaven.repo.local=$CACHE/m2 \
     dependency:copy-dependencies -DoutputDirectory=$CACHE/kafka/libs";
const FETCH_PYTHON: &str = "python3 -m venv $BUILD/venv && \
     $BUILD/venv/bin/pip install -q --disable-pip-version-check -r requirements.txt";
const RUN_PYTHON: &str = "$BUILD/venv/bin/python -m pytest -q -p no:cacheprovider --durations=5";
const FETCH_NODE: &str = "mkdir -p $BUILD && cp package.json package-lock.json $BUILD/ && \
     npm ci --prefix $BUILD --cache $CACHE/npm --no-audit --no-fund --loglevel=error";
const RUN_NODE: &str = "cp *.mjs $BUILD/ && cd $BUILD && node --test";
const RUN_GO: &str = "go test -count=1 ./...";
const FETCH_GO: &str = "go mod download && go vet ./...";
const FETCH_CARGO: &str = "cargo fetch --locked --quiet";
const RUN_CARGO: &str =
    "CARGO_TARGET_DIR=$BUILD/target cargo test --locked --quiet -- --test-threads=4";

/// Slow ones first: two run at a time, and a long one started last would run alone.
pub(super) const CLIENTS: &[Client] = &[
    files("files-transactions", files::transactions),
    files("files-records", files::records),
    Client {
        name: "strandline-client",
        folder: "strandline-client",
        needs: CARGO_JAVA,
        locks: &["../../Cargo.lock"],
        fetch: FETCH_CARGO,
        run: "sh run.sh",
        brokers: Brokers::Own(own_client::run),
    },
    Client {
        name: "java",
        folder: "java",
        needs: JAVA,
        locks: &["pom.xml"],
        fetch: FETCH_JARS,
        run: "sh run.sh",
        brokers: Brokers::Shared,
    },
    with_kafka("kafka-tools", "kafka-tools", Brokers::Shared),
    Client {
        name: "rdkafka",
        folder: "rdkafka",
        needs: CARGO,
        locks: &["Cargo.lock"],
        fetch: FETCH_CARGO,
        run: RUN_CARGO,
        brokers: Brokers::Shared,
    },
    Client {
        name: "confluent-kafka",
        folder: "confluent-kafka",
        needs: PYTHON,
        locks: &["requirements.txt"],
        fetch: FETCH_PYTHON,
        run: RUN_PYTHON,
        brokers: Brokers::Shared,
    },
    Client {
        name: "kafka-python",
        folder: "kafka-python",
        needs: PYTHON,
        locks: &["requirements.txt"],
        fetch: FETCH_PYTHON,
        run: RUN_PYTHON,
        brokers: Brokers::Shared,
    },
    Client {
        name: "aiokafka",
        folder: "aiokafka",
        needs: PYTHON,
        locks: &["requirements.txt"],
        fetch: FETCH_PYTHON,
        run: RUN_PYTHON,
        brokers: Brokers::Shared,
    },
    Client {
        name: "kafkajs",
        folder: "kafkajs",
        needs: NODE,
        locks: &["package-lock.json"],
        fetch: FETCH_NODE,
        run: RUN_NODE,
        brokers: Brokers::Shared,
    },
    Client {
        name: "platformatic-kafka",
        folder: "platformatic-kafka",
        needs: NODE,
        locks: &["package-lock.json"],
        fetch: FETCH_NODE,
        run: RUN_NODE,
        brokers: Brokers::Shared,
    },
    Client {
        name: "franz-go",
        folder: "franz-go",
        needs: GO,
        locks: &["go.sum"],
        fetch: FETCH_GO,
        run: RUN_GO,
        brokers: Brokers::Shared,
    },
    Client {
        name: "sarama",
        folder: "sarama",
        needs: GO,
        locks: &["go.sum"],
        fetch: FETCH_GO,
        run: RUN_GO,
        brokers: Brokers::Shared,
    },
    Client {
        name: "rskafka",
        folder: "rskafka",
        needs: CARGO,
        locks: &["Cargo.lock"],
        fetch: FETCH_CARGO,
        run: RUN_CARGO,
        brokers: Brokers::Shared,
    },
    Client {
        name: "kcat",
        folder: "kcat",
        needs: &["kcat -V"],
        locks: &[],
        fetch: "true",
        run: "sh test.sh",
        brokers: Brokers::Shared,
    },
    mixed("mixed-controllers", mixed::controllers_of_kafka),
    mixed("mixed-brokers", mixed::brokers_of_kafka),
    mixed("mixed-growing-quorum", mixed::growing_quorum),
    mixed("mixed-node-by-node", mixed::node_by_node),
    Client {
        name: "exactly-once",
        folder: "exactly-once",
        needs: JAVA_PYTHON_GO,
        locks: &["fetch.sh", "pom.xml", "requirements.txt", "go.sum"],
        fetch: "sh fetch.sh",
        run: "sh run.sh",
        brokers: Brokers::Cluster(exactly_once::run),
    },
];

/// One directory that brokers of both kinds take over from each other.
const fn files(name: &'static str, drive: Drive) -> Client {
    with_kafka(name, "kafka-files", Brokers::Own(drive))
}

/// One story of the cluster whose nodes are of both kinds.
const fn mixed(name: &'static str, drive: Drive) -> Client {
    with_kafka(name, "kafka-mixed", Brokers::Cluster(drive))
}

/// Needs nothing but what Kafka itself runs on.
const fn with_kafka(name: &'static str, folder: &'static str, brokers: Brokers) -> Client {
    Client {
        name,
        folder,
        needs: JAVA,
        locks: &["../kafka-peer/pom.xml"],
        fetch: FETCH_KAFKA,
        run: "sh run.sh",
        brokers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_client_has_its_folder_its_locks_and_its_line_in_the_readme() {
        let interop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop");
        let readme = std::fs::read_to_string(interop.join("README.md")).expect("a README");
        for client in CLIENTS {
            let folder = interop.join(client.folder);
            assert!(folder.is_dir(), "{}", folder.display());
            assert!(readme.contains(&format!("| `{}` |", client.folder)), "{}", client.name);
            for lock in client.locks {
                assert!(folder.join(lock).is_file(), "{}: {lock}", client.name);
            }
        }
    }
}
