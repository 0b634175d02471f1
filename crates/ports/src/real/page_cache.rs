//! What Linux tells and does about cached pages, which no safe wrapper offers. Elsewhere the
//! kernel decides alone when to write, and a read may always wait.

use std::fs::File;
use std::io;

/// Starts to write the dirty pages of a range and returns without waiting for the device.
pub(super) fn start_writeback(file: &File, position: u64, len: u64) -> io::Result<()> {
    imp::sync_range(file, position, len, imp::START)
}

/// Writes the dirty pages of a range and waits until the device has taken them. This makes nothing
/// durable: neither the file's length nor the device's own cache is flushed.
pub(super) fn finish_writeback(file: &File, position: u64, len: u64) -> io::Result<()> {
    imp::sync_range(file, position, len, imp::FINISH)
}

/// How many pages of a range are in memory, or `None` where the kernel cannot say.
pub(super) fn cached_pages(file: &File, position: u64, len: u64) -> Option<u64> {
    imp::cached_pages(file, position, len)
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "two system calls on a descriptor that the borrow keeps open")]
mod imp {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;

    pub(super) const START: libc::c_uint = libc::SYNC_FILE_RANGE_WRITE;
    pub(super) const FINISH: libc::c_uint = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;

    pub(super) fn sync_range(
        file: &File,
        position: u64,
        len: u64,
        flags: libc::c_uint,
    ) -> io::Result<()> {
        let position = i64::try_from(position).map_err(io::Error::other)?;
        let len = i64::try_from(len).map_err(io::Error::other)?;
        // SAFETY: no memory is passed, and `file` keeps the descriptor open.
        match unsafe { libc::sync_file_range(file.as_raw_fd(), position, len, flags) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Since Linux 6.5; the number is the same on every architecture.
    const SYS_CACHESTAT: libc::c_long = 451;

    #[repr(C)]
    struct CachestatRange {
        position: u64,
        len: u64,
    }

    #[repr(C)]
    #[derive(Default)]
    struct Cachestat {
        cached: u64,
        dirty: u64,
        writeback: u64,
        evicted: u64,
        recently_evicted: u64,
    }

    pub(super) fn cached_pages(file: &File, position: u64, len: u64) -> Option<u64> {
        let range = CachestatRange { position, len };
        let mut found = Cachestat::default();
        // SAFETY: both structs have the layout of the kernel's and outlive the call; `file` keeps
        // the descriptor open.
        let result = unsafe {
            libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut found, 0u32)
        };
        (result == 0).then_some(found.cached)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::fs::File;
    use std::io;

    pub(super) const START: u32 = 0;
    pub(super) const FINISH: u32 = 1;

    pub(super) fn sync_range(_: &File, _: u64, _: u64, _: u32) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn cached_pages(_: &File, _: u64, _: u64) -> Option<u64> {
        None
    }
}
