//! The memory for bodies and answers, and who has to give his part back when there is none left.
//!
//! Small reviews have room of their own, so that none waits for large ones. Where there is none left, the client that
//! has most of it loses the connection on which something has been on its way for longest.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::util::http::Guest;

/// Whether a review is among the small ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As nearly all are.
    Small,
    /// Any other, and one that does not say how large it is.
    Large,
}

/// So many bytes for small reviews, and so many for large ones.
#[derive(Clone, Debug)]
pub struct Room(Arc<Mutex<Shares>>);

#[derive(Debug)]
struct Shares {
    small: usize,
    large: usize,
    /// The number of the next share; a lower one is older.
    next: u64,
    held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    guest: Option<Guest>,
    size: Size,
    bytes: usize,
    /// Whether it waits for its client: to send the rest, or to take the answer.
    waits: bool,
}

impl Held {
    /// Whose it is; in tests without connections all are of one.
    fn client(&self) -> IpAddr {
        self.guest.as_ref().map_or(Ipv4Addr::UNSPECIFIED.into(), Guest::client)
    }
}

impl Room {
    /// Room for so many bytes.
    pub fn new(small: usize, large: usize) -> Self {
        Self(Arc::new(Mutex::new(Shares {
            small,
            large,
            next: 0,
            held: BTreeMap::new(),
        })))
    }

    /// A share of it, of no bytes yet.
    pub fn enter(&self, guest: Option<Guest>, size: Size) -> Share {
        let mut shares = self.lock();
        let id = shares.next;
        shares.next += 1;
        let held = Held {
            guest,
            size,
            bytes: 0,
            waits: true,
        };
        shares.held.insert(id, held);
        drop(shares);
        Share { room: self.clone(), id }
    }

    fn lock(&self) -> MutexGuard<'_, Shares> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    fn left(&mut self, size: Size) -> &mut usize {
        match size {
            Size::Small => &mut self.small,
            Size::Large => &mut self.large,
        }
    }

    fn give_back(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        *self.left(held.size) += held.bytes;
        Some(held)
    }

    /// Of the client that has most, what has been on its way for longest.
    fn slowest(&self, size: Size, but: u64) -> Option<u64> {
        let of_size = || self.held.iter().filter(move |(_, held)| held.size == size);
        let mut bytes: HashMap<IpAddr, usize> = HashMap::new();
        for (_, held) in of_size() {
            *bytes.entry(held.client()).or_default() += held.bytes;
        }
        let may_go = of_size().filter(|(id, held)| held.waits && held.bytes > 0 && **id != but);
        let first = may_go.min_by_key(|(id, held)| (std::cmp::Reverse(bytes.get(&held.client())), **id));
        first.map(|(id, _)| *id)
    }
}

/// What one review holds of the room, until it is dropped.
#[derive(Debug)]
pub struct Share {
    room: Room,
    id: u64,
}

impl Share {
    /// Takes so many bytes more, from others if need be; whether there are so many.
    pub fn grow(&self, bytes: usize) -> bool {
        let mut shares = self.room.lock();
        let Some(size) = shares.held.get(&self.id).map(|held| held.size) else {
            return false;
        };
        while *shares.left(size) < bytes {
            let slowest = shares.slowest(size, self.id);
            let Some(guest) = slowest.and_then(|id| shares.give_back(id)).map(|held| held.guest) else {
                return false;
            };
            if let Some(guest) = guest {
                guest.close();
            }
        }
        *shares.left(size) -= bytes;
        if let Some(held) = shares.held.get_mut(&self.id) {
            held.bytes += bytes;
        }
        true
    }

    /// It no longer waits for its client: it is decided.
    pub fn is_decided(&self) {
        if let Some(held) = self.room.lock().held.get_mut(&self.id) {
            held.waits = false;
        }
    }

    /// The review is gone, and its answer waits for its client; whether there is room for that.
    pub fn is_answered(&self, bytes: usize) -> bool {
        let mut shares = self.room.lock();
        if let Some(held) = shares.held.get_mut(&self.id) {
            held.waits = true;
            let (size, before) = (held.size, std::mem::take(&mut held.bytes));
            *shares.left(size) += before;
        }
        drop(shares);
        self.grow(bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.lock().give_back(self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::Receiver;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::util::http::Places;

    /// What a server keeps of a connection as long as it is open, and what ends when it has to be closed.
    struct Connection {
        share: Share,
        closed: Receiver<()>,
        _guest: Guest,
    }

    impl Connection {
        fn of(client: u8, places: &Places, room: &Room) -> Self {
            let (guest, closed) = places.take(IpAddr::from([10, 0, 0, client]));
            Self {
                share: room.enter(Some(guest.clone()), Size::Large),
                closed,
                _guest: guest,
            }
        }

        fn is_open(&mut self) -> bool {
            self.closed.try_recv() == Err(TryRecvError::Empty)
        }
    }

    #[test]
    fn whose_memory_is_taken_loses_the_connection_and_no_other_does() {
        let (places, room) = (Places::new(10, 10), Room::new(0, 100));
        let mut held = [1, 1].map(|client| Connection::of(client, &places, &room));
        assert!(held.iter().all(|connection| connection.share.grow(50)));
        let mut new = Connection::of(2, &places, &room);
        assert!(held.iter_mut().all(Connection::is_open), "nothing is taken yet");
        assert!(new.share.grow(50));
        let open = held.each_mut().map(Connection::is_open);
        assert_eq!(open, [false, true], "of what was on its way for longest");
        assert!(new.is_open());
    }

    #[test]
    fn of_several_clients_the_one_with_most_memory_gives_way() {
        let (places, room) = (Places::new(10, 10), Room::new(0, 100));
        // The first is the oldest, and has the largest share; but the other client has more in two.
        let mut held = [1, 2, 2].map(|client| Connection::of(client, &places, &room));
        let sizes = [40, 30, 30];
        assert!(
            held.iter()
                .zip(sizes)
                .all(|(connection, bytes)| connection.share.grow(bytes))
        );
        let new = Connection::of(3, &places, &room);
        assert!(new.share.grow(20));
        assert_eq!(held.each_mut().map(Connection::is_open), [true, false, true]);
        // Now it is the first that has most.
        assert!(new.share.grow(20));
        assert_eq!(held.each_mut().map(Connection::is_open), [false, false, true]);
    }

    #[test]
    fn what_waits_for_its_client_gives_way_and_what_is_decided_does_not() {
        let room = Room::new(100, 100);
        let slow = room.enter(None, Size::Large);
        let decided = room.enter(None, Size::Large);
        assert!(slow.grow(60) && decided.grow(40));
        decided.is_decided();
        let new = room.enter(None, Size::Large);
        assert!(new.grow(50), "from the slow one");
        assert!(!slow.grow(1), "it is gone");
        let other = room.enter(None, Size::Large);
        assert!(!other.grow(61), "no more than there is beside what is decided");
        assert!(other.grow(60));
        drop((slow, other, new));
        assert!(decided.is_answered(90) && !decided.grow(11));
        drop(decided);
        assert!(room.enter(None, Size::Large).grow(100), "all of it came back");
    }

    #[test]
    fn small_reviews_have_room_of_their_own() {
        let room = Room::new(100, 100);
        let large = room.enter(None, Size::Large);
        assert!(large.grow(100));
        assert!(room.enter(None, Size::Small).grow(100));
        assert!(large.grow(0), "it is still there");
    }
}
