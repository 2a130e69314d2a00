use std::thread;

use tollgate_testkit::process::free_address;

use super::*;
use crate::settings::Settings;

/// Two nodes of one link that are nowhere. Their tasks do not run, as long as the test does not wait.
fn nodes() -> [Node; 2] {
    let location = format!("redis://{}", free_address()).parse().unwrap();
    let common = Arc::new(Common {
        dialer: Dialer::new(location, Settings::default()).unwrap(),
        stats: Arc::default(),
        clock: SystemClock::new(),
        stale: Notify::new(),
        runtime: Handle::current(),
    });
    [0, 1].map(|_| Node::new(&common, None, "probe".to_owned()))
}

#[tokio::test]
async fn whether_a_server_is_away_is_what_its_breaker_says_whoever_opens_and_closes_it_at_once() {
    let nodes = nodes();
    let stats = &nodes[0].shared.common.stats;
    for _ in 0..300 {
        thread::scope(|scope| {
            for node in &nodes {
                scope.spawn(|| (0..90).for_each(|_| node.shared.trip(&LinkError::Broken)));
                scope.spawn(|| (0..90).filter(|_| node.shared.probed(true)).count());
            }
        });
        let open = nodes.iter().map(|node| node.shared.breaker().is_open());
        let open: Vec<bool> = open.collect();
        let away = nodes.iter().map(Node::is_away);
        assert_eq!(away.collect::<Vec<_>>(), open);
        let count = open.iter().filter(|is_open| **is_open).count() as u64;
        assert_eq!(stats.servers_away(), count);
        assert_eq!(stats.degraded_since().is_some(), count > 0);
    }
}
