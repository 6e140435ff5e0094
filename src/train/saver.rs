//! Checkpoints are written while the training goes on.

use std::thread::{Builder, JoinHandle};

use crate::error::{Error, Result};

/// One write at a time, each on a thread of its own. Dropping it waits for the last one.
#[derive(Default)]
pub struct Saver {
    writing: Option<JoinHandle<Result<()>>>,
    failed: bool,
}

impl Saver {
    /// Starts to write, after the write before has ended.
    ///
    /// Errors: those of the write before.
    pub fn start(&mut self, write: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
        self.wait()?;
        let thread = Builder::new().name("checkpoint".into()).spawn(write);
        self.writing = Some(thread.map_err(|e| Error::config(format!("cannot start a thread to save with: {e}")))?);
        Ok(())
    }

    /// Waits for nothing. Errors: those of a write that has ended.
    pub fn poll(&mut self) -> Result<()> {
        if self.writing.as_ref().is_some_and(JoinHandle::is_finished) { self.wait() } else { Ok(()) }
    }

    /// Waits for the write under way. Errors: its own.
    pub fn wait(&mut self) -> Result<()> {
        let written = match self.writing.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(written)) => written,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        };
        self.failed |= written.is_err();
        written
    }

    /// Whether a write has failed.
    pub fn failed(&self) -> bool {
        self.failed
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        if let Some(thread) = self.writing.take() {
            // Whoever wants to know the outcome has asked for it.
            let _ = thread.join();
        }
    }
}
