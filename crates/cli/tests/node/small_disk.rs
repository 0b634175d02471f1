//! A small file system of its own, to be filled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Unmounted when dropped.
pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    /// A tmpfs in `home`; `None` where this process may not mount, which CI may.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub fn mount(home: &Path, megabytes: u32) -> Option<Self> {
        let at = home.join("small");
        fs::create_dir_all(&at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        assert!(std::env::var_os("CI").is_none(), "a full disk cannot be tried without mount");
        eprintln!("SKIPPED: a full disk cannot be tried without the right to mount");
        None
    }

    /// Takes what is left, to the last byte; removing the file gives it back.
    pub fn fill(&self) -> PathBuf {
        let rest = self.0.join("rest");
        assert!(fs::write(&rest, vec![1; 128 << 20]).is_err());
        rest
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The directory is a temporary one; a mount that stays is seen by whoever cleans up.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
