//! The connection limit of a server, in total and for each client.
//!
//! A new connection is never refused: it may come from the API server or the kubelet. Instead it closes an old one. At
//! the limit of one client, that is a connection of the same client; at the total limit, one of the client with the
//! most connections. Within the client, a connection without any request goes first, then the one that is idle for
//! longest, then the one that has waited longest for its answer.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

/// The connection limit of one server.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLimit(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    all: usize,
    each: usize,
    /// Number of the next connection.
    next: u64,
    open: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    client: IpAddr,
    state: State,
    since: Instant,
    /// Dropping this sender closes the connection.
    _open: oneshot::Sender<()>,
}

/// State of a connection, in the order in which connections are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Has sent no request yet.
    New,
    /// Its last request was answered.
    Idle,
    /// Sends a request, or waits for the answer.
    Busy,
}

impl ConnectionLimit {
    /// Allows `all` connections in total and `each` of one client.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            all,
            each,
            next: 0,
            open: BTreeMap::new(),
        })))
    }

    /// Admits a connection of `client`. The receiver completes when the connection must close.
    pub(crate) fn take(&self, client: IpAddr) -> (Permit, oneshot::Receiver<()>) {
        let client = client_key(client);
        let mut table = self.lock();
        table.make_room(client);
        let (open, closed) = oneshot::channel();
        let id = table.next;
        table.next += 1;
        let connection = Connection {
            client,
            state: State::New,
            since: Instant::now(),
            _open: open,
        };
        table.open.insert(id, connection);
        drop(table);
        let inner = Inner {
            limit: self.clone(),
            id,
            client,
        };
        (Permit(Arc::new(inner)), closed)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn make_room(&mut self, client: IpAddr) {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for connection in self.open.values() {
            *held.entry(connection.client).or_default() += 1;
        }
        let closing = if held.get(&client).is_some_and(|own| *own >= self.each) {
            Some(client)
        } else if self.open.len() >= self.all {
            // Of two clients with equally many, the new client gives way.
            held.into_iter()
                .max_by_key(|(other, held)| (*held, *other == client))
                .map(|(other, _)| other)
        } else {
            None
        };
        let Some(closing) = closing else { return };
        let candidates = self.open.iter().filter(|(_, connection)| connection.client == closing);
        let first = candidates.min_by_key(|(id, connection)| (connection.state, connection.since, **id));
        if let Some(id) = first.map(|(id, _)| *id) {
            self.open.remove(&id);
        }
    }
}

/// The address that identifies a client: an IPv6 client controls a whole /64.
fn client_key(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Counts one connection against the limit until the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Permit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: ConnectionLimit,
    id: u64,
    client: IpAddr,
}

impl Permit {
    pub(crate) fn client(&self) -> IpAddr {
        self.0.client
    }

    pub(crate) fn close(&self) {
        self.0.limit.lock().open.remove(&self.0.id);
    }

    pub(crate) fn mark_busy(&self) {
        self.set_state(State::Busy);
    }

    pub(crate) fn mark_idle(&self) {
        self.set_state(State::Idle);
    }

    fn set_state(&self, state: State) {
        if let Some(connection) = self.0.limit.lock().open.get_mut(&self.0.id) {
            connection.state = state;
            connection.since = Instant::now();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.limit.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    type Held = (Permit, oneshot::Receiver<()>);

    fn is_open(held: &mut Held) -> bool {
        held.1.try_recv() == Err(TryRecvError::Empty)
    }

    fn client(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn a_client_with_its_share_makes_room_among_its_own() {
        let limit = ConnectionLimit::new(10, 3);
        let mut other = limit.take(client(1));
        let mut held: Vec<Held> = (0..3).map(|_| limit.take(client(2))).collect();
        held[0].0.mark_busy();
        held[1].0.mark_busy();
        held[1].0.mark_idle();
        // The one without a request, the idle one, the one that waits for longest.
        for expected in [2, 1, 0] {
            held.push(limit.take(client(2)));
            held.last().unwrap().0.mark_busy();
            assert!(!is_open(&mut held[expected]), "{expected}");
        }
        assert!(is_open(&mut other));
        assert_eq!(limit.lock().open.len(), 4);
    }

    #[test]
    fn where_all_is_taken_the_client_with_most_makes_room() {
        let limit = ConnectionLimit::new(6, 5);
        let mut few = [limit.take(client(1)), limit.take(client(2))];
        let mut many: Vec<Held> = (0..4).map(|_| limit.take(client(3))).collect();
        let mut new = limit.take(client(4));
        assert!(!is_open(&mut many[0]) && is_open(&mut many[1]));
        assert!(is_open(&mut new) && few.iter_mut().all(is_open));
        drop(many);
        assert_eq!(limit.lock().open.len(), 3, "permits come back");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(of("fd00::1"), of("fd00::ffff:2"));
        assert_ne!(of("fd00::1"), of("fd00:0:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.2"), of("10.0.0.1"));
    }
}
