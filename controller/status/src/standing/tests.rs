use super::*;
use fairlead_publish::ProxyProgress;

const GRACE: Duration = Duration::from_secs(10);

fn acked(versions: &[u64]) -> GatewayProgress {
    let proxy =
        |(i, acked): (usize, &u64)| (format!("p{i}").into(), ProxyProgress { acked: *acked, ..Default::default() });
    GatewayProgress { proxies: versions.iter().enumerate().map(proxy).collect() }
}

struct Play(Standing, Instant);

impl Play {
    fn new(standing: Standing) -> Self {
        Play(standing, Instant::now())
    }

    /// Whether it is programmed at some second.
    fn at(&mut self, second: u64, versions: &[u64], version: u64, generation: i64) -> Verdict {
        let progress = acked(versions);
        let sight = Sight { progress: Some(&progress), version, generation };
        self.0.judge(sight, self.1 + Duration::from_secs(second), GRACE)
    }

    fn is(&mut self, second: u64, versions: &[u64], version: u64, generation: i64) -> bool {
        self.at(second, versions, version, generation).pending.is_none()
    }
}

#[tokio::test]
async fn programmed_needs_a_proxy_and_all_of_them() {
    let mut play = Play::new(Standing::default());
    assert!(!play.is(0, &[], 3, 1));
    assert!(!play.is(1, &[0], 3, 1));
    assert!(!play.is(2, &[3, 2], 3, 1));
    assert_eq!(
        play.at(2, &[3, 2], 3, 1).pending.as_deref(),
        Some("1 of 2 connected proxies serve the current configuration")
    );
    assert!(play.is(3, &[3, 3], 3, 1));
}

#[tokio::test]
async fn a_push_under_way_changes_nothing_unless_it_lasts() {
    let mut play = Play::new(Standing::default());
    assert!(play.is(0, &[3, 3], 3, 1));
    assert!(play.is(1, &[3, 3], 4, 1));
    assert!(play.is(2, &[4, 3], 4, 1));
    assert!(play.is(3, &[4, 4], 4, 1));
    // A new proxy that needs a while.
    assert!(play.is(4, &[4, 4, 0], 4, 1));
    assert!(play.is(13, &[4, 4, 0], 4, 1));
    assert!(!play.is(14, &[4, 4, 0], 4, 1));
    assert!(!play.is(15, &[4, 4, 0], 4, 1));
    assert!(play.is(16, &[4, 4, 4], 4, 1));
}

#[tokio::test]
async fn ever_new_versions_are_no_lag_as_long_as_proxies_follow() {
    let mut play = Play::new(Standing::default());
    assert!(play.is(0, &[1], 1, 1));
    for second in 1..100 {
        assert!(play.is(second, &[second - 1], second, 1), "{second}");
    }
    // And are one when one does not.
    assert!((100..140).any(|second| !play.is(second, &[99], second, 1)));
}

#[tokio::test]
async fn without_proxies_it_stays_for_the_grace() {
    let mut play = Play::new(Standing::default());
    assert!(play.is(0, &[1], 1, 1));
    let verdict = play.at(1, &[], 1, 1);
    assert!(verdict.pending.is_none() && verdict.expected && verdict.until.is_some());
    assert!(play.is(10, &[], 1, 1));
    assert!(!play.is(11, &[], 1, 1));
    assert!(!play.at(12, &[], 1, 1).expected);
    assert!(play.is(13, &[1], 1, 1));
}

#[tokio::test]
async fn a_new_generation_must_be_served_itself() {
    let mut play = Play::new(Standing::default());
    assert!(play.is(0, &[1], 1, 1));
    assert!(!play.is(1, &[1], 2, 2));
    assert!(play.is(2, &[2], 3, 2), "later pushes don't matter");
    assert!(!play.is(3, &[], 3, 3), "nobody is there to serve it");
}

#[tokio::test]
async fn a_new_leader_goes_on_where_the_last_one_was() {
    let mut play = Play::new(Standing::programmed(7));
    assert!(play.is(0, &[], 1, 7));
    assert!(play.is(9, &[0], 1, 7));
    assert!(play.is(11, &[1], 1, 7));
    let mut play = Play::new(Standing::programmed(7));
    assert!(!play.is(0, &[], 1, 8));
}
