//! The real disk with failures on demand.
#![allow(unreachable_pub, dead_code, reason = "each test file uses its part")]

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use strandline_ports::real::RealDisk;
use strandline_ports::{Completion, DirEntry, DirLock, Disk, DiskSpace, File, OpenMode};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fault {
    #[default]
    None,
    /// Half of each write arrives, then it fails.
    WriteHalf(io::ErrorKind),
    /// So many writes succeed, the next one fails half way.
    WriteHalfAfter(u32, io::ErrorKind),
    Sync,
}

#[derive(Clone, Default)]
pub struct FaultyDisk {
    real: Arc<RealDisk>,
    fault: Arc<Mutex<Fault>>,
}

struct FaultyFile {
    real: Arc<dyn File>,
    fault: Arc<Mutex<Fault>>,
}

impl FaultyDisk {
    pub fn fail(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let real = self.real.open(path, mode)?;
        Ok(Arc::new(FaultyFile { real, fault: Arc::clone(&self.fault) }))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.real.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.real.create_dir_all(dir)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.real.remove_file(path)
    }
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.real.remove_dir_all(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.real.rename(from, to)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.real.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn DirLock>> {
        self.real.lock(path)
    }
    fn boot_id(&self) -> io::Result<String> {
        self.real.boot_id()
    }
    fn space(&self, dir: &Path) -> io::Result<DiskSpace> {
        let space = self.real.space(dir)?;
        Ok(match *self.fault.lock().unwrap() {
            Fault::WriteHalf(_) => DiskSpace { usable_bytes: 0, ..space },
            Fault::None | Fault::Sync | Fault::WriteHalfAfter(..) => space,
        })
    }
}

impl File for FaultyFile {
    fn write_at(&self, position: u64, pieces: Vec<Bytes>) -> Completion {
        let kind = {
            let mut fault = self.fault.lock().unwrap();
            match *fault {
                Fault::WriteHalf(kind) => Some(kind),
                Fault::WriteHalfAfter(0, kind) => {
                    *fault = Fault::None;
                    Some(kind)
                }
                Fault::WriteHalfAfter(left, kind) => {
                    *fault = Fault::WriteHalfAfter(left - 1, kind);
                    None
                }
                Fault::None | Fault::Sync => None,
            }
        };
        let Some(kind) = kind else { return self.real.write_at(position, pieces) };
        let whole = Bytes::from(pieces.concat());
        let half = whole.slice(..whole.len() / 2);
        drop(self.real.write_at(position, vec![half]));
        Completion::ready(Err(kind.into()))
    }
    fn sync(&self) -> Completion {
        match *self.fault.lock().unwrap() {
            Fault::Sync => Completion::ready(Err(io::ErrorKind::Other.into())),
            Fault::None | Fault::WriteHalf(_) | Fault::WriteHalfAfter(..) => self.real.sync(),
        }
    }
    fn read_at(&self, position: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.real.read_at(position, buf)
    }
    fn read_cached_at(&self, position: u64, buf: &mut [u8]) -> io::Result<Option<usize>> {
        self.real.read_cached_at(position, buf)
    }
    fn is_cached(&self, position: u64, len: u64) -> bool {
        self.real.is_cached(position, len)
    }
    fn len(&self) -> io::Result<u64> {
        self.real.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.real.set_len(len)
    }
    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.real.as_fd()
    }
}
