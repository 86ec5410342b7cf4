//! Who is connected, and who has to go when there is no place for one more.
//!
//! A connection is never refused: whoever comes new may be the API server or the kubelet, and whoever does nothing may
//! be anybody. A client that has its share makes room among its own connections; where all places are taken, the client
//! that has most does. Of its connections the one goes that never asked for anything, else the idlest, else the
//! slowest.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::Instant;

/// The places of a server.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    /// Places at all.
    all: usize,
    /// Places of one client.
    each: usize,
    /// The number of the next connection.
    next: u64,
    open: BTreeMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    client: IpAddr,
    state: State,
    since: Instant,
    /// Dropped with this, it ends the connection.
    _open: oneshot::Sender<()>,
}

/// What a connection does; the first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// It has asked for nothing yet.
    New,
    /// It was answered.
    Idle,
    /// It asks, or waits for its answer.
    Busy,
}

impl Places {
    /// So many places, and so many of them for one client.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            all,
            each,
            next: 0,
            open: BTreeMap::new(),
        })))
    }

    /// A place for a client, and what ends when the connection has to.
    pub(crate) fn take(&self, client: IpAddr) -> (Guest, oneshot::Receiver<()>) {
        let client = of_one(client);
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
        let place = Place {
            places: self.clone(),
            id,
            client,
        };
        (Guest(Arc::new(place)), closed)
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
        let whose = if held.get(&client).is_some_and(|own| *own >= self.each) {
            Some(client)
        } else if self.open.len() >= self.all {
            // Of two that have as many, whoever comes new is the one that gives way.
            held.into_iter()
                .max_by_key(|(other, held)| (*held, *other == client))
                .map(|(other, _)| other)
        } else {
            None
        };
        let Some(whose) = whose else { return };
        let of_theirs = self.open.iter().filter(|(_, connection)| connection.client == whose);
        let first = of_theirs.min_by_key(|(id, connection)| (connection.state, connection.since, **id));
        if let Some(id) = first.map(|(id, _)| *id) {
            self.open.remove(&id);
        }
    }
}

/// An address that one client has: it has a whole network of IPv6.
fn of_one(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// The client of one connection, which has its place until the last clone of this is gone.
#[derive(Clone, Debug)]
pub struct Guest(Arc<Place>);

#[derive(Debug)]
struct Place {
    places: Places,
    id: u64,
    client: IpAddr,
}

impl Guest {
    /// Its address.
    pub(crate) fn client(&self) -> IpAddr {
        self.0.client
    }

    /// Ends its connection.
    pub(crate) fn close(&self) {
        self.0.places.lock().open.remove(&self.0.id);
    }

    /// It asks.
    pub(crate) fn asks(&self) {
        self.is(State::Busy);
    }

    /// It is answered.
    pub(crate) fn is_answered(&self) {
        self.is(State::Idle);
    }

    fn is(&self, state: State) {
        if let Some(connection) = self.0.places.lock().open.get_mut(&self.0.id) {
            connection.state = state;
            connection.since = Instant::now();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    type Held = (Guest, oneshot::Receiver<()>);

    fn is_open(held: &mut Held) -> bool {
        held.1.try_recv() == Err(TryRecvError::Empty)
    }

    fn client(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[test]
    fn a_client_with_its_share_makes_room_among_its_own() {
        let places = Places::new(10, 3);
        let mut other = places.take(client(1));
        let mut held: Vec<Held> = (0..3).map(|_| places.take(client(2))).collect();
        held[0].0.asks();
        held[1].0.asks();
        held[1].0.is_answered();
        // The one that never asked, the idle one, the one that asks for longest.
        for expected in [2, 1, 0] {
            held.push(places.take(client(2)));
            held.last().unwrap().0.asks();
            assert!(!is_open(&mut held[expected]), "{expected}");
        }
        assert!(is_open(&mut other));
        assert_eq!(places.lock().open.len(), 4);
    }

    #[test]
    fn where_all_is_taken_the_client_with_most_makes_room() {
        let places = Places::new(6, 5);
        let mut few = [places.take(client(1)), places.take(client(2))];
        let mut many: Vec<Held> = (0..4).map(|_| places.take(client(3))).collect();
        let mut new = places.take(client(4));
        assert!(!is_open(&mut many[0]) && is_open(&mut many[1]));
        assert!(is_open(&mut new) && few.iter_mut().all(is_open));
        drop(many);
        assert_eq!(places.lock().open.len(), 3, "places come back");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| of_one(text.parse().unwrap());
        assert_eq!(of("fd00::1"), of("fd00::ffff:2"));
        assert_ne!(of("fd00::1"), of("fd00:0:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.2"), of("10.0.0.1"));
    }
}
