//! Random delay of what the controller tells others, for tests of everybody's patience: `--test-delay 1ms..50ms`.

use crate::options;
use kube::Client;
use kube::client::Body;
use std::str::FromStr;
use std::time::Duration;

/// Between these two, each time anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    shortest: Duration,
    longest: Duration,
}

impl Delay {
    /// Waits.
    pub async fn pass(self) {
        let span = u64::try_from((self.longest - self.shortest).as_micros()).unwrap_or(u64::MAX);
        tokio::time::sleep(self.shortest + Duration::from_micros(fastrand::u64(0..=span))).await;
    }

    /// A client whose requests leave late, each by itself, so that they also overtake each other.
    pub fn slow(self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let client = client.clone();
            async move {
                self.pass().await;
                client.send(request).await
            }
        });
        Client::new(service, namespace)
    }
}

impl FromStr for Delay {
    type Err = String;

    fn from_str(text: &str) -> Result<Delay, String> {
        let (shortest, longest) = text.split_once("..").ok_or_else(|| format!("`{text}` is not like 1ms..50ms"))?;
        let delay = Delay { shortest: options::duration(shortest)?, longest: options::duration(longest)? };
        if delay.shortest > delay.longest {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use tokio::time::Instant;

    #[test]
    fn a_range_of_durations() {
        let ms = Duration::from_millis;
        assert_eq!("1ms..50ms".parse(), Ok(Delay { shortest: ms(1), longest: ms(50) }));
        assert_eq!("0..1s".parse(), Ok(Delay { shortest: ms(0), longest: ms(1000) }));
        for bad in ["", "1ms", "..", "1ms..", "2ms..1ms", "1..2"] {
            assert!(bad.parse::<Delay>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn requests_of_a_slow_client_arrive_late() {
        let service = tower::service_fn(|request: http::Request<Body>| async move {
            Ok::<_, Infallible>(http::Response::new(Body::from(request.uri().path().as_bytes().to_vec())))
        });
        let delay: Delay = "20ms..30ms".parse().unwrap();
        let client = delay.slow(Client::new(service, "home"));
        assert_eq!(client.default_namespace(), "home");
        let start = Instant::now();
        let text = client.request_text(http::Request::get("/version").body(Vec::new()).unwrap()).await.unwrap();
        assert_eq!(text, "/version");
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
}
