//! Where things lie: the repository, its clients' folders, and `target/interop/` for all else.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::clients::{CLIENTS, Client};
use super::shell::{Conversation, Running, Script};

/// The folders of one run.
pub(super) struct Place {
    repository: PathBuf,
    cache: PathBuf,
    strandline: OnceLock<PathBuf>,
    /// Caches of packages are shared, and not made for two.
    fetching: Mutex<()>,
}

impl Place {
    /// Finds the repository from this crate, and cargo's target folder as cargo would.
    pub(super) fn find() -> Result<Place> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("xtask lies two folders below the repository")?
            .to_path_buf();
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or(repository.join("target"), |dir| repository.join(dir));
        let cache = target.join("interop");
        fs::create_dir_all(&cache).with_context(|| format!("create {}", cache.display()))?;
        Ok(Place { repository, cache, strandline: OnceLock::new(), fetching: Mutex::default() })
    }

    pub(super) fn repository(&self) -> &Path {
        &self.repository
    }

    /// Shared by all clients: package caches, Kafka's jars, data of the brokers.
    pub(super) fn cache(&self) -> &Path {
        &self.cache
    }

    /// cargo's target folder.
    pub(super) fn target(&self) -> &Path {
        self.cache.parent().unwrap_or(&self.cache)
    }

    fn folder(&self, client: &Client) -> PathBuf {
        self.repository.join("interop").join(client.folder)
    }

    fn build(&self, client: &Client) -> PathBuf {
        self.cache.join(client.name)
    }

    /// Fetches the client's dependencies, unless those in place were fetched for the same locks.
    pub(super) fn fetch(&self, client: &Client, timeout: Duration) -> Result<()> {
        let _one_at_a_time = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder(client);
        let mut wanted = client.fetch.to_string();
        for lock in client.locks {
            let path = folder.join(lock);
            wanted +=
                &fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        }
        // Clients of one folder are one program.
        let fetched = self.cache.join(client.folder);
        let stamp = fetched.join("fetched");
        if fs::read_to_string(&stamp).is_ok_and(|fetched| fetched == wanted) {
            return Ok(());
        }
        fs::create_dir_all(&fetched).with_context(|| format!("create {}", fetched.display()))?;
        self.script(client, client.fetch, "", "fetch.log").run(timeout)?;
        fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))
    }

    /// Fetches the jars of Apache Kafka 4.3.1, which also serve as the twin.
    pub(super) fn fetch_kafka(&self, timeout: Duration) -> Result<PathBuf> {
        let tools = CLIENTS
            .iter()
            .find(|client| client.name == "kafka-tools")
            .context("kafka-tools is listed")?;
        self.fetch(tools, timeout)?;
        Ok(self.cache.join("kafka").join("libs"))
    }

    /// The binary named by `STRANDLINE`, or the release build, brought up to date.
    pub(super) fn strandline(&self) -> Result<&Path> {
        if let Some(binary) = self.strandline.get() {
            return Ok(binary);
        }
        let binary = match std::env::var_os("STRANDLINE") {
            Some(binary) => binary.into(),
            None => self.build_strandline()?,
        };
        Ok(self.strandline.get_or_init(|| binary))
    }

    fn build_strandline(&self) -> Result<PathBuf> {
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--release", "--package", "strandline-cli"])
            .current_dir(&self.repository)
            .status()
            .context("run cargo")?;
        ensure!(status.success(), "strandline does not build");
        Ok(self.target().join("release").join("strandline"))
    }

    /// Runs one command line of a client against a broker.
    pub(super) fn run(
        &self,
        client: &Client,
        command: &str,
        bootstrap: &str,
        timeout: Duration,
    ) -> Result<()> {
        self.script(client, command, bootstrap, "run.log").run(timeout)
    }

    /// Where Go keeps what it fetches and builds.
    pub(super) fn go(&self) -> [(&'static str, OsString); 3] {
        [
            ("GOPATH", self.cache.join("go").into()),
            ("GOFLAGS", "-modcacherw".into()),
            ("GOCACHE", self.cache.join("go-build").into()),
        ]
    }

    /// Starts a command line of a client that is told by lines what to do.
    pub(super) fn converse(
        &self,
        client: &Client,
        command: &str,
        bootstrap: &str,
    ) -> Result<Conversation> {
        self.script(client, command, bootstrap, "conversation.log").converse()
    }

    /// Starts a command line of a client that runs beside others of it.
    pub(super) fn start(
        &self,
        client: &Client,
        command: &str,
        bootstrap: &str,
        log: &str,
    ) -> Result<Running> {
        self.script(client, command, bootstrap, log).start()
    }

    fn script(&self, client: &Client, command: &str, bootstrap: &str, log: &str) -> Script {
        let cache = &self.cache;
        let script = Script::new(command, &self.folder(client), &self.build(client).join(log))
            .env("BUILD", self.build(client))
            .env("CACHE", cache)
            .env("BOOTSTRAP", bootstrap)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        self.go().into_iter().fold(script, |script, (key, value)| script.env(key, value))
    }
}
