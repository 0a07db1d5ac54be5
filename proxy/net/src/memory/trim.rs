//! When it is worth to give memory back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Memory is given back after so many changes.
const MANY: usize = 2_000;
/// When nothing came for so long, that was all for now. By then what was replaced is not used any more.
const SETTLED: Duration = Duration::from_secs(2);
/// What goes on and on is not waited for any longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Gives memory back after the first configuration, and after each large change: when that is over, not amid it.
#[derive(Debug)]
pub struct Trim {
    /// Changes since the last time.
    changes: AtomicUsize,
    pushed: Notify,
}

impl Default for Trim {
    /// The first push counts as a large change, whatever its size.
    fn default() -> Trim {
        Trim { changes: AtomicUsize::new(MANY), pushed: Notify::new() }
    }
}

impl Trim {
    /// Configuration came that changes so many things.
    pub fn pushed(&self, changes: usize) {
        self.changes.fetch_add(changes, Ordering::Relaxed);
        self.pushed.notify_one();
    }

    /// Gives memory back whenever that is due, on a thread for blocking work of tokio's; never ends.
    pub async fn run(self: Arc<Self>) {
        self.call(super::give_back).await;
    }

    async fn call(&self, give_back: impl Fn() + Clone + Send + 'static) {
        loop {
            self.due().await;
            self.changes.store(0, Ordering::Relaxed);
            let _ = tokio::task::spawn_blocking(give_back.clone()).await;
        }
    }

    /// Until much has changed, and after that nothing came for a while.
    async fn due(&self) {
        loop {
            self.pushed.notified().await;
            if self.changes.load(Ordering::Relaxed) >= MANY {
                break;
            }
        }
        let quiet = async { while timeout(SETTLED, self.pushed.notified()).await.is_ok() {} };
        let _ = timeout(LONGEST, quiet).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;
    use tokio::time::{Instant, sleep, sleep_until};

    /// When memory is given back, after pushes of these times and sizes; in seconds.
    async fn given_back(pushes: &[(u64, usize)]) -> Vec<u64> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let trim = Arc::new(Trim::default());
        let start = Instant::now();
        let running = tokio::spawn({
            let trim = trim.clone();
            let tell = move || tell.send(Instant::now()).unwrap();
            async move { trim.call(tell).await }
        });
        for (at, changes) in pushes {
            sleep_until(start + Duration::from_secs(*at)).await;
            trim.pushed(*changes);
        }
        sleep(LONGEST * 2).await;
        running.abort();
        let mut times = Vec::new();
        while let Ok(at) = told.try_recv() {
            times.push((at - start).as_secs());
        }
        times
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_given_back_when_a_burst_is_over() {
        assert_eq!(given_back(&[]).await, [0; 0], "nothing has come");
        assert_eq!(given_back(&[(5, 1)]).await, [7], "the first configuration");
        let bursts = [(5, 1), (6, 3000), (7, 3000), (8, 1), (20, 1999), (40, 1), (41, 5)];
        assert_eq!(given_back(&bursts).await, [10, 43]);
        let endless: Vec<(u64, usize)> = (0..60).map(|second| (second, 100)).collect();
        assert_eq!(given_back(&endless).await, [30, 61], "the rest of it is enough for a second time");
        let small: Vec<(u64, usize)> = (0..60).map(|second| (second, 10)).collect();
        assert_eq!(given_back(&small).await, [30]);
    }
}
