//! `strandline storage` as a person types it, against real directories.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use expect_test::{Expect, expect};
use serde_json::Value;

const CLUSTER: &str = "J8qXRwI-Qyiz8x4WlgO7bA";

fn strandline(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_strandline")).args(args).current_dir(dir).output().unwrap()
}

/// Exit code, standard output and standard error.
fn check(dir: &Path, args: &[&str], expected: Expect) {
    let output = strandline(dir, args);
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    expected.assert_eq(&format!("exit {}\n{out}{err}", output.status.code().unwrap()));
}

fn json(dir: &Path, args: &[&str]) -> Value {
    serde_json::from_slice(&strandline(dir, args).stdout).unwrap()
}

const TWO_DIRS: &[&str] =
    &["--set", "log.dirs=a,b", "--set", "metadata.log.dir=m", "--cluster-id", CLUSTER];

fn with<'a>(verb: &[&'a str], args: &[&'a str]) -> Vec<&'a str> {
    verb.iter().chain(args).copied().collect()
}

#[test]
fn format_tell_and_format_again() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    check(
        dir,
        &with(&["storage", "info"], &TWO_DIRS[..4]),
        expect![[r#"
        exit 1
        DIRECTORY  STATE          CLUSTER  NODE  DIRECTORY ID
        a          not formatted
        b          not formatted
        m          not formatted
    "#]],
    );
    let formatted = json(dir, &with(&["storage", "format", "--json"], TWO_DIRS));
    assert_eq!(formatted["clusterId"], CLUSTER);
    assert_eq!(formatted["formatted"][2]["metadataLog"], true);

    let found = json(dir, &with(&["storage", "info", "--json"], &TWO_DIRS[..4]));
    for (at, name) in ["a", "b", "m"].into_iter().enumerate() {
        assert_eq!(found[at]["directory"], name);
        assert_eq!(found[at]["clusterId"], CLUSTER);
        assert_eq!(found[at]["directoryId"], formatted["formatted"][at]["directoryId"]);
    }
    check(
        dir,
        &with(&["storage", "format"], TWO_DIRS),
        expect![[r#"
        exit 1
        error: cannot format the directories
          a is already formatted for cluster J8qXRwI-Qyiz8x4WlgO7bA
        next: add --ignore-formatted to format only the others
    "#]],
    );
    // The cluster is known from the directories that are formatted.
    check(
        dir,
        &with(&["storage", "format"], &TWO_DIRS[..4]),
        expect![[r#"
        exit 1
        error: cannot format the directories
          a is already formatted for cluster J8qXRwI-Qyiz8x4WlgO7bA
        next: add --ignore-formatted to format only the others
    "#]],
    );
    check(
        dir,
        &with(&["storage", "format", "--ignore-formatted"], TWO_DIRS),
        expect![[r#"
        exit 0
        Every directory is formatted already.
    "#]],
    );
    let other = [
        "storage",
        "format",
        "--set",
        "log.dirs=a",
        "--ignore-formatted",
        "-t",
        "00000000000000000000zA",
    ];
    check(
        dir,
        &other,
        expect![[r#"
        exit 1
        error: cannot format the directories
          a belongs to another node: cluster J8qXRwI-Qyiz8x4WlgO7bA, node 1
        next: give this node other directories, or the same --cluster-id and node.id
    "#]],
    );
}

#[test]
fn a_new_directory_joins_the_formatted_ones() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    assert!(strandline(dir, &["storage", "format", "--set", "log.dirs=a"]).status.success());
    let before = json(dir, &["storage", "info", "--json", "--set", "log.dirs=a"]);
    let again = ["storage", "format", "--json", "--ignore-formatted", "--set", "log.dirs=a,b"];
    let formatted = json(dir, &again);
    assert_eq!(formatted["clusterId"], before[0]["clusterId"]);
    assert_eq!(formatted["formatted"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_not_empty_is_not_touched() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    fs::create_dir_all(dir.join("b/orders-0")).unwrap();
    check(
        dir,
        &["storage", "format", "--set", "log.dirs=a,b"],
        expect![[r#"
        exit 1
        error: cannot format the directories
          b holds `orders-0` but no meta.properties: it is not an empty directory
        next: choose an empty directory
    "#]],
    );
    assert!(!dir.join("a").exists());

    fs::create_dir(dir.join("c")).unwrap();
    fs::write(dir.join("c/meta.properties"), "version=1\nnode.id=x\n").unwrap();
    check(
        dir,
        &["storage", "info", "--set", "log.dirs=c"],
        expect![[r#"
        exit 1
        error: cannot tell whose the directories are
          c/meta.properties is damaged: not a number
    "#]],
    );
}

#[test]
fn a_quorum_is_founded_only_on_purpose() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let several = "controller.quorum.bootstrap.servers=127.0.0.1:9093,10.0.0.2:9093";
    let format = ["storage", "format", "--set", "log.dirs=a", "--set", several];
    let first_snapshot =
        dir.join("a/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint");
    check(
        dir,
        &format,
        expect![[r#"
        exit 2
        error: `controller.quorum.bootstrap.servers` names other nodes too
        next: say --standalone to found a quorum with this node, --initial-controllers to found one together, or --no-initial-controllers to join theirs
    "#]],
    );
    check(
        dir,
        &with(&format, &["--no-initial-controllers"]),
        expect![[r#"
        exit 2
        error: a node that is not alone needs the id of its cluster
        next: add --cluster-id; `strandline storage info` on another node prints it
    "#]],
    );
    assert!(
        strandline(dir, &with(&format, &["--no-initial-controllers", "-t", CLUSTER]))
            .status
            .success()
    );
    assert!(dir.join("a/bootstrap.checkpoint").exists() && !first_snapshot.exists());

    fs::remove_dir_all(dir.join("a")).unwrap();
    assert!(strandline(dir, &with(&format, &["--standalone"])).status.success());
    assert!(first_snapshot.exists());

    let fixed = "controller.quorum.voters=1@127.0.0.1:9093";
    let format = ["storage", "format", "--set", "log.dirs=f", "--set", fixed];
    check(
        dir,
        &with(&format, &["--standalone"]),
        expect![[r#"
        exit 2
        error: --standalone founds a quorum of dynamic voters, but `controller.quorum.voters` fixes them
        next: remove `controller.quorum.voters`, or --standalone
    "#]],
    );
    assert!(strandline(dir, &format).status.success());
    assert!(!dir.join("f/__cluster_metadata-0").exists());

    let any_port = "listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:0";
    check(
        dir,
        &["storage", "format", "--set", "log.dirs=p", "--set", any_port],
        expect![[r#"
        exit 1
        error: cannot format the directories
          controller listener CONTROLLER has port 0; voters need an address that stays
        next: give the controller listener a fixed port
    "#]],
    );
    assert!(!dir.join("p").exists());
}

#[test]
fn controllers_that_found_a_quorum_together_know_each_others_directories() {
    const FIRST: &str = "JEXY6aqzQY-32P5TStzaFg";
    const SECOND: &str = "MvDxzVmcRsaTz33bUuRU6A";
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let servers = "controller.quorum.bootstrap.servers=127.0.0.1:9093,127.0.0.1:9193";
    let format = ["storage", "format", "--set", "log.dirs=a,b", "--set", servers, "-t", CLUSTER];
    let both = format!("1@127.0.0.1:9093:{FIRST},2@127.0.0.1:9193:{SECOND}");
    let formatted = json(dir, &with(&format, &["--json", "--initial-controllers", &both]));
    assert_eq!(formatted["formatted"][0]["directoryId"], FIRST);
    assert_ne!(formatted["formatted"][1]["directoryId"], FIRST, "b holds no metadata log");
    assert!(dir.join("a/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint").exists());

    let alone = ["storage", "format", "--set", "log.dirs=c", "--set", servers, "-t", CLUSTER];
    for (list, told) in [
        (format!("1@127.0.0.1:9093:{FIRST},1@127.0.0.1:9193:{SECOND}"), "names a node twice"),
        ("1@127.0.0.1:9093".to_owned(), "it must be ID@HOST:PORT:DIRECTORY_ID"),
        (String::new(), "it must be ID@HOST:PORT:DIRECTORY_ID"),
    ] {
        let output = strandline(dir, &with(&alone, &["--initial-controllers", &list]));
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains(told), "{err}");
    }
    let two_ways =
        strandline(dir, &with(&alone, &["--standalone", "--initial-controllers", &both]));
    assert_eq!(two_ways.status.code(), Some(2));
    check(
        dir,
        &with(&alone[..6], &["--initial-controllers", &both]),
        expect![[r#"
            exit 2
            error: a node that is not alone needs the id of its cluster
            next: add --cluster-id; `strandline storage info` on another node prints it
        "#]],
    );
    let fixed = "controller.quorum.voters=1@127.0.0.1:9093";
    let fixed = ["storage", "format", "--set", "log.dirs=c", "--set", fixed, "-t", CLUSTER];
    check(
        dir,
        &with(&fixed, &["--initial-controllers", &both]),
        expect![[r#"
            exit 2
            error: --initial-controllers founds a quorum of dynamic voters, but `controller.quorum.voters` fixes them
            next: remove `controller.quorum.voters`, or --initial-controllers
        "#]],
    );
    assert!(!dir.join("c").exists());
}

#[test]
fn a_level_that_no_cluster_can_begin_with() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let format = ["storage", "format", "--set", "log.dirs=a", "--feature"];
    check(
        dir,
        &with(&format, &["group.version=1"]),
        expect![[r#"
        exit 2
        error: the cluster cannot begin like that
          group.version cannot be 1: this version serves 0 to 0
    "#]],
    );
    check(
        dir,
        &with(&format, &["transaction.version=2", "--feature", "kraft.version=0"]),
        expect![[r#"
            exit 2
            error: the cluster cannot begin like that
              kraft.version cannot be 0: it is 1 where the voters are not fixed by `controller.quorum.voters`
        "#]],
    );
    check(
        dir,
        &with(&format, &["transaction.version"]),
        expect![[r#"
        exit 2
        error: invalid value 'transaction.version' for '--feature <NAME=LEVEL>': it must be NAME=LEVEL, as in transaction.version=2

        For more information, try '--help'.
    "#]],
    );
    assert!(!dir.join("a").exists());
}

#[test]
fn a_configuration_that_cannot_be_followed() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    check(
        dir,
        &["storage", "info", "--config", "absent.properties"],
        expect![[r#"
        exit 2
        error: cannot read absent.properties
          No such file or directory (os error 2)
        next: name a Kafka server.properties file, or leave --config away
    "#]],
    );
    let file = "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=C\n\
        listeners=PLAINTEXT://:9092,C://:9093\ncontroller.quorum.bootstrap.servers=localhost:9093\n\
        log.dirs=a\nnum.io.threads=4\nnum.network.threads=2\nlog.retention.hour=1\n";
    fs::write(dir.join("server.properties"), file).unwrap();
    check(
        dir,
        &["storage", "info", "--config", "server.properties"],
        expect![[r#"
        exit 1
        DIRECTORY  STATE          CLUSTER  NODE  DIRECTORY ID
        a          not formatted
        warning: line 9: unknown setting `log.retention.hour` is ignored; did you mean `log.retention.hours`?
        warning: accepted without effect (docs/settings.md says why): `num.io.threads`, `num.network.threads`
    "#]],
    );
    fs::write(
        dir.join("server.properties"),
        format!("{file}num.partitions=none\nssl.keystore.password=secret\n"),
    )
    .unwrap();
    check(
        dir,
        &["storage", "info", "--config", "server.properties"],
        expect![[r#"
        exit 2
        error: server.properties has 2 errors
          line 10: `num.partitions` is `none`; it must be a whole number from 1 to 2147483647
          line 11: `ssl.keystore.password` is set, but TLS, SASL and access control are not available, and starting without them would leave the broker open. Remove it to start anyway
    "#]],
    );
}

#[test]
fn every_verb_has_help_with_an_example() {
    let dir = Path::new(".");
    for verb in [&["storage", "format"][..], &["storage", "info"], &["storage", "random-uuid"]] {
        let output = strandline(dir, &with(verb, &["--help"]));
        let text = String::from_utf8(output.stdout).unwrap();
        let example = format!("Example:\n  strandline {}", verb.join(" "));
        assert!(text.contains(&example), "{text}");
    }
}

#[test]
fn ids_are_new_each_time() {
    let ids = [(); 2].map(|()| strandline(Path::new("."), &["storage", "random-uuid"]).stdout);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), 23);
}
