//! A thread beside the main one, for whose end a task can wait.

use anyhow::{Context as _, anyhow};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// See the module.
#[derive(Debug)]
pub struct Thread {
    name: &'static str,
    handle: JoinHandle<()>,
    running: oneshot::Receiver<anyhow::Result<()>>,
    /// `None` while it runs.
    result: Option<anyhow::Result<()>>,
}

impl Thread {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(
        name: &'static str,
        run: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Thread> {
        let (end, running) = oneshot::channel();
        let body = move || {
            // Nobody waits when the process is about to end.
            let _ = end.send(run());
        };
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(body);
        let handle = handle.with_context(|| format!("cannot start the {name} thread"))?;
        Ok(Thread { name, handle, running, result: None })
    }

    /// Waits until it has ended, while other tasks go on; says whether it ended well. Cancel safe, and may be asked again.
    pub async fn ended(&mut self) -> bool {
        let result = match self.result.take() {
            Some(result) => result,
            None => {
                let result = (&mut self.running).await;
                result.unwrap_or_else(|_| Err(anyhow!("the {} thread panicked", self.name)))
            }
        };
        self.result.insert(result).is_ok()
    }

    /// Waits until it has ended, and says how.
    ///
    /// # Errors
    ///
    /// What it ended with, or that it panicked.
    pub async fn join(mut self) -> anyhow::Result<()> {
        self.ended().await;
        // It has said its last word: this takes no time, and that it panicked is in the result.
        let _ = self.handle.join();
        self.result.unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn its_end_is_waited_for_while_other_tasks_go_on() {
        let (end, told) = std::sync::mpsc::channel::<()>();
        let mut thread = Thread::start("test", move || Ok(told.recv()?)).unwrap();
        assert!(timeout(Duration::from_millis(10), thread.ended()).await.is_err(), "it runs");
        end.send(()).unwrap();
        assert!(thread.ended().await);
        assert!(thread.ended().await, "asked again");
        thread.join().await.unwrap();
    }

    #[tokio::test]
    async fn it_tells_how_it_ended() {
        let thread = Thread::start("test", || Err(anyhow!("no more"))).unwrap();
        assert_eq!(thread.join().await.unwrap_err().to_string(), "no more");
        let mut thread = Thread::start("test", || panic!("as a test")).unwrap();
        assert!(!thread.ended().await);
        assert_eq!(thread.join().await.unwrap_err().to_string(), "the test thread panicked");
    }
}
