//! A task that ends with its owner.

use tokio::task::JoinHandle;

/// Ends when dropped.
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub fn new(handle: JoinHandle<()>) -> Self {
        Task(handle)
    }

    /// Ends it, and waits until it does nothing any more.
    pub async fn end(mut self) {
        self.0.abort();
        // That it was aborted is what was wanted.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
