//! Several addresses, and the first that answers (RFC 8305). Knows neither the DNS nor sockets.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::NoServer;

/// Addresses of a host that are tried, of each family.
const ADDRESSES_MAX: usize = 4;
/// From one that has not answered yet to the next (RFC 8305 5).
const NEXT_AFTER: Duration = Duration::from_millis(250);
/// IPv6 comes first if it is known within this time of IPv4 (RFC 8305 3).
const IPV6_TIME_MAX: Duration = Duration::from_millis(50);

/// Nobody has answered.
#[derive(Debug)]
pub(super) enum Lost {
    /// The host has no address.
    NoAddress,
    /// None was found, and one of the questions failed.
    Unknown(NoServer),
    /// There are addresses, and none may be connected to.
    Forbidden,
    /// What the last one said.
    Refused(io::Error),
}

/// Connects to the first that answers of those that may be connected to: IPv6 and IPv4 take turns, another one is begun when one fails or has
/// not answered for a quarter of a second. Those begun are tried on until one has won; how long altogether is the caller's to say.
pub(super) async fn first<T: Send + 'static, C: Future<Output = io::Result<T>> + Send + 'static>(
    v6: impl Future<Output = Result<Vec<SocketAddr>, NoServer>>,
    v4: impl Future<Output = Result<Vec<SocketAddr>, NoServer>>,
    judge: impl Fn(SocketAddr) -> bool,
    connect: impl Fn(SocketAddr) -> C,
) -> Result<T, Lost> {
    let (mut v6, mut v4) = (pin!(v6), pin!(v4));
    let (mut waits_for_v6, mut waits_for_v4) = (true, true);
    let mut line = Line::default();
    // Ends those that are still on their way, with itself.
    let mut begun = JoinSet::new();
    let mut refused = None;
    let mut has_begun = false;
    let mut next = Instant::now();
    loop {
        tokio::select! {
            biased;
            found = &mut v6, if waits_for_v6 => {
                waits_for_v6 = false;
                line.join(found, &judge);
                if !has_begun {
                    next = Instant::now();
                }
            }
            found = &mut v4, if waits_for_v4 => {
                waits_for_v4 = false;
                line.join(found, &judge);
                if !has_begun && waits_for_v6 {
                    next = Instant::now() + IPV6_TIME_MAX;
                }
            }
            Some(ended) = begun.join_next() => {
                match ended.unwrap_or_else(|why| Err(io::Error::other(why))) {
                    Ok(connected) => return Ok(connected),
                    Err(why) => refused = Some(why),
                }
                next = Instant::now();
            }
            () = sleep_until(next), if !line.is_empty() => {
                if let Some(address) = line.next() {
                    begun.spawn(connect(address));
                    has_begun = true;
                    next = Instant::now() + NEXT_AFTER;
                }
            }
            else => break,
        }
    }
    Err(match (refused, line) {
        (Some(why), _) => Lost::Refused(why),
        (None, Line { has_found: true, .. }) => Lost::Forbidden,
        (None, Line { failed: Some(why), .. }) => Lost::Unknown(why),
        (None, _) => Lost::NoAddress,
    })
}

/// Addresses that are to be tried yet.
#[derive(Default)]
struct Line {
    v6: VecDeque<SocketAddr>,
    v4: VecDeque<SocketAddr>,
    last_was_v6: bool,
    /// Was there any address, may it be connected to or not?
    has_found: bool,
    failed: Option<NoServer>,
}

impl Line {
    fn join(&mut self, found: Result<Vec<SocketAddr>, NoServer>, judge: impl Fn(SocketAddr) -> bool) {
        match found {
            Ok(all) => {
                self.has_found |= !all.is_empty();
                for address in all.into_iter().filter(|address| judge(*address)).take(ADDRESSES_MAX) {
                    if address.is_ipv6() { self.v6.push_back(address) } else { self.v4.push_back(address) }
                }
            }
            Err(why) => self.failed = Some(why),
        }
    }

    fn is_empty(&self) -> bool {
        self.v6.is_empty() && self.v4.is_empty()
    }

    fn next(&mut self) -> Option<SocketAddr> {
        let next = match self.last_was_v6 {
            true => self.v4.pop_front().or_else(|| self.v6.pop_front()),
            false => self.v6.pop_front().or_else(|| self.v4.pop_front()),
        };
        self.last_was_v6 = next.is_some_and(|address| address.is_ipv6());
        next
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::{Arc, Mutex};

    use tokio::time::sleep;

    use super::*;

    fn on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    type Found = Result<Vec<SocketAddr>, NoServer>;

    fn found(all: &[&str]) -> Found {
        Ok(all.iter().map(|address| at(address)).collect())
    }

    /// What happens at an address: it answers, refuses, or swallows everything.
    async fn answer(address: SocketAddr) -> io::Result<SocketAddr> {
        match address.port() {
            1 => Ok(address),
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => pending().await,
        }
    }

    /// Who has won or why nobody, in which order they were begun, and when each was, since the beginning.
    fn run(
        v6: impl Future<Output = Found>,
        v4: impl Future<Output = Found>,
        judge: impl Fn(SocketAddr) -> bool,
    ) -> (Result<SocketAddr, Lost>, Vec<(SocketAddr, Duration)>) {
        let order = Arc::new(Mutex::new(Vec::new()));
        let won = on(async {
            let beginning = Instant::now();
            let connect = |address| {
                order.lock().expect("nobody panics").push((address, beginning.elapsed()));
                answer(address)
            };
            first(v6, v4, judge, connect).await
        });
        let order = order.lock().expect("nobody panics").clone();
        (won, order)
    }

    fn who(order: &[(SocketAddr, Duration)]) -> Vec<SocketAddr> {
        order.iter().map(|(address, _)| *address).collect()
    }

    #[test]
    fn s5_a_second_one_is_begun_while_the_first_is_silent_and_wins() {
        let (won, order) = run(ready(found(&["[2001:db8::1]:3"])), ready(found(&["192.0.2.1:1"])), |_| true);
        assert_eq!(won.expect("the second"), at("192.0.2.1:1"));
        assert_eq!(who(&order), [at("[2001:db8::1]:3"), at("192.0.2.1:1")]);
        assert!(order[1].1 - order[0].1 >= NEXT_AFTER, "{order:?}");
    }

    #[test]
    fn s5_one_that_refuses_is_not_waited_for_and_families_take_turns() {
        let v6 = found(&["[2001:db8::1]:2", "[2001:db8::2]:2", "[2001:db8::3]:1"]);
        let (won, order) = run(ready(v6), ready(found(&["192.0.2.1:2"])), |_| true);
        assert_eq!(won.expect("the last"), at("[2001:db8::3]:1"));
        let expected = ["[2001:db8::1]:2", "192.0.2.1:2", "[2001:db8::2]:2", "[2001:db8::3]:1"];
        assert_eq!(who(&order), expected.map(at));
        // Else it would have been three times the wait.
        assert!(order[3].1 < NEXT_AFTER * 2, "{order:?}");
    }

    #[test]
    fn s3_a_name_server_that_swallows_questions_for_ipv6_delays_nobody() {
        let (won, order) = run(pending(), ready(found(&["192.0.2.1:1"])), |_| true);
        assert_eq!(won.expect("IPv4"), at("192.0.2.1:1"));
        assert!(order[0].1 >= IPV6_TIME_MAX, "IPv6 has had its chance: {order:?}");
    }

    #[test]
    fn s3_addresses_that_become_known_later_join() {
        let late = async {
            sleep(Duration::from_millis(20)).await;
            found(&["192.0.2.1:1"])
        };
        let (won, order) = run(ready(found(&["[2001:db8::1]:2"])), late, |_| true);
        assert_eq!(won.expect("IPv4"), at("192.0.2.1:1"));
        assert_eq!(order.len(), 2);
    }

    #[test]
    fn e4_whoever_may_not_be_connected_to_is_not() {
        let all = found(&["192.0.2.1:1", "192.0.2.2:1"]);
        let (won, order) = run(ready(found(&[])), ready(all.clone()), |address| address == at("192.0.2.2:1"));
        assert_eq!(won.expect("the other"), at("192.0.2.2:1"));
        assert_eq!(who(&order), [at("192.0.2.2:1")]);
        let (lost, order) = run(ready(found(&[])), ready(all), |_| false);
        assert!(matches!(lost, Err(Lost::Forbidden)), "{lost:?}");
        assert_eq!(order.len(), 0, "nobody was spoken to");
    }

    #[test]
    fn e4_of_very_many_addresses_some_are_tried() {
        let many: Vec<SocketAddr> = (1..=100).map(|n| SocketAddr::from(([192, 0, 2, n], 2))).collect();
        let (lost, order) = run(ready(found(&[])), ready(Ok(many)), |_| true);
        assert!(matches!(lost, Err(Lost::Refused(_))), "{lost:?}");
        assert_eq!(order.len(), ADDRESSES_MAX);
    }

    #[test]
    fn why_nobody_was_found() {
        let late = || Err(NoServer::Timeout("late".to_owned()));
        let (lost, _) = run(ready(found(&[])), ready(found(&[])), |_| true);
        assert!(matches!(lost, Err(Lost::NoAddress)), "{lost:?}");
        let (lost, _) = run(ready(late()), ready(found(&[])), |_| true);
        assert!(matches!(lost, Err(Lost::Unknown(NoServer::Timeout(_)))), "{lost:?}");
        let (won, _) = run(ready(late()), ready(found(&["192.0.2.1:1"])), |_| true);
        assert!(won.is_ok(), "{won:?}");
    }
}
