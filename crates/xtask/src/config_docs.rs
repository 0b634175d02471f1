//! `docs/settings.md`, written from the tables of `strandline-config`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use strandline_config::settings_page;

fn path(root: &Path) -> PathBuf {
    root.join("docs/settings.md")
}

pub(crate) fn write(root: &Path) -> Result<()> {
    let path = path(root);
    fs::create_dir_all(root.join("docs"))?;
    fs::write(&path, settings_page()).with_context(|| path.display().to_string())
}

pub(crate) fn check(root: &Path) -> Result<()> {
    let path = path(root);
    let current = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    ensure!(
        current == settings_page(),
        "docs/settings.md is out of date: run `cargo xtask config-docs`"
    );
    Ok(())
}
