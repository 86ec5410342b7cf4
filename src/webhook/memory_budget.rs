//! The memory budget for bodies and answers.
//!
//! Small reviews have a budget of their own, so they never wait for large ones. When a budget is used up, the client
//! that has reserved most loses the connection with its oldest review.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::util::http::Permit;

/// Which budget a review uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Up to [`Limits::small`](super::limits::Limits::small) bytes, as nearly all reviews.
    Small,
    /// Larger, or without a Content-Length.
    Large,
}

/// The memory budgets of small and of large reviews.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Mutex<Reservations>>);

#[derive(Debug)]
struct Reservations {
    small: usize,
    large: usize,
    /// Number of the next reservation; a lower one is older.
    next: u64,
    held: BTreeMap<u64, Held>,
}

#[derive(Debug)]
struct Held {
    permit: Option<Permit>,
    size: Size,
    bytes: usize,
    /// Whether the review waits for its client to send the rest or to read the answer.
    waits_for_client: bool,
}

impl Held {
    /// The client; tests without connections have a single one.
    fn client(&self) -> IpAddr {
        self.permit
            .as_ref()
            .map_or(Ipv4Addr::UNSPECIFIED.into(), Permit::client)
    }
}

impl MemoryBudget {
    /// Budgets of this many bytes.
    pub fn new(small: usize, large: usize) -> Self {
        Self(Arc::new(Mutex::new(Reservations {
            small,
            large,
            next: 0,
            held: BTreeMap::new(),
        })))
    }

    /// Opens a reservation of zero bytes.
    pub fn reserve(&self, permit: Option<Permit>, size: Size) -> Reservation {
        let mut reservations = self.lock();
        let id = reservations.next;
        reservations.next += 1;
        let held = Held {
            permit,
            size,
            bytes: 0,
            waits_for_client: true,
        };
        reservations.held.insert(id, held);
        drop(reservations);
        Reservation {
            budget: self.clone(),
            id,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Reservations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservations {
    fn left(&mut self, size: Size) -> &mut usize {
        match size {
            Size::Small => &mut self.small,
            Size::Large => &mut self.large,
        }
    }

    fn release(&mut self, id: u64) -> Option<Held> {
        let held = self.held.remove(&id)?;
        *self.left(held.size) += held.bytes;
        Some(held)
    }

    /// The oldest review that waits for its client, of the client that has reserved most.
    fn first_to_close(&self, size: Size, except: u64) -> Option<u64> {
        let of_size = || self.held.iter().filter(move |(_, held)| held.size == size);
        let mut bytes: HashMap<IpAddr, usize> = HashMap::new();
        for (_, held) in of_size() {
            *bytes.entry(held.client()).or_default() += held.bytes;
        }
        let candidates = of_size().filter(|(id, held)| held.waits_for_client && held.bytes > 0 && **id != except);
        let first = candidates.min_by_key(|(id, held)| (std::cmp::Reverse(bytes.get(&held.client())), **id));
        first.map(|(id, _)| *id)
    }
}

/// Memory reserved by one review, released on drop.
#[derive(Debug)]
pub struct Reservation {
    budget: MemoryBudget,
    id: u64,
}

impl Reservation {
    /// Reserves more bytes, if need be by closing connections of other reviews. Returns false if the budget is used up.
    pub fn grow(&self, bytes: usize) -> bool {
        let mut reservations = self.budget.lock();
        let Some(size) = reservations.held.get(&self.id).map(|held| held.size) else {
            return false;
        };
        while *reservations.left(size) < bytes {
            let first_to_close = reservations.first_to_close(size, self.id);
            let Some(permit) = first_to_close
                .and_then(|id| reservations.release(id))
                .map(|held| held.permit)
            else {
                return false;
            };
            if let Some(permit) = permit {
                permit.close();
            }
        }
        *reservations.left(size) -= bytes;
        if let Some(held) = reservations.held.get_mut(&self.id) {
            held.bytes += bytes;
        }
        true
    }

    /// Marks the review as complete: it no longer waits for its client.
    pub fn mark_complete(&self) {
        if let Some(held) = self.budget.lock().held.get_mut(&self.id) {
            held.waits_for_client = false;
        }
    }

    /// Replaces the memory of the review by that of its answer, which waits for the client. Returns false if the budget
    /// is used up.
    pub fn replace_by_answer(&self, bytes: usize) -> bool {
        let mut reservations = self.budget.lock();
        if let Some(held) = reservations.held.get_mut(&self.id) {
            held.waits_for_client = true;
            let (size, before) = (held.size, std::mem::take(&mut held.bytes));
            *reservations.left(size) += before;
        }
        drop(reservations);
        self.grow(bytes)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.lock().release(self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::Receiver;
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::util::http::ConnectionLimit;

    /// The parts of an open connection, and the signal to close it.
    struct Connection {
        reservation: Reservation,
        closed: Receiver<()>,
        _permit: Permit,
    }

    impl Connection {
        fn of(client: u8, limit: &ConnectionLimit, budget: &MemoryBudget) -> Self {
            let (permit, closed) = limit.take(IpAddr::from([10, 0, 0, client]));
            Self {
                reservation: budget.reserve(Some(permit.clone()), Size::Large),
                closed,
                _permit: permit,
            }
        }

        fn is_open(&mut self) -> bool {
            self.closed.try_recv() == Err(TryRecvError::Empty)
        }
    }

    #[test]
    fn whose_memory_is_taken_loses_the_connection_and_no_other_does() {
        let (limit, budget) = (ConnectionLimit::new(10, 10), MemoryBudget::new(0, 100));
        let mut held = [1, 1].map(|client| Connection::of(client, &limit, &budget));
        assert!(held.iter().all(|connection| connection.reservation.grow(50)));
        let mut new = Connection::of(2, &limit, &budget);
        assert!(held.iter_mut().all(Connection::is_open), "nothing is taken yet");
        assert!(new.reservation.grow(50));
        let open = held.each_mut().map(Connection::is_open);
        assert_eq!(open, [false, true], "of what was on its way for longest");
        assert!(new.is_open());
    }

    #[test]
    fn of_several_clients_the_one_with_most_memory_gives_way() {
        let (limit, budget) = (ConnectionLimit::new(10, 10), MemoryBudget::new(0, 100));
        // The first has the oldest and largest reservation, but the other client has more in two.
        let mut held = [1, 2, 2].map(|client| Connection::of(client, &limit, &budget));
        let sizes = [40, 30, 30];
        assert!(
            held.iter()
                .zip(sizes)
                .all(|(connection, bytes)| connection.reservation.grow(bytes))
        );
        let new = Connection::of(3, &limit, &budget);
        assert!(new.reservation.grow(20));
        assert_eq!(held.each_mut().map(Connection::is_open), [true, false, true]);
        // Now the first client has most.
        assert!(new.reservation.grow(20));
        assert_eq!(held.each_mut().map(Connection::is_open), [false, false, true]);
    }

    #[test]
    fn what_waits_for_its_client_gives_way_and_what_is_decided_does_not() {
        let budget = MemoryBudget::new(100, 100);
        let slow = budget.reserve(None, Size::Large);
        let decided = budget.reserve(None, Size::Large);
        assert!(slow.grow(60) && decided.grow(40));
        decided.mark_complete();
        let new = budget.reserve(None, Size::Large);
        assert!(new.grow(50), "from the slow one");
        assert!(!slow.grow(1), "it is gone");
        let other = budget.reserve(None, Size::Large);
        assert!(!other.grow(61), "no more than there is beside what is decided");
        assert!(other.grow(60));
        drop((slow, other, new));
        assert!(decided.replace_by_answer(90) && !decided.grow(11));
        drop(decided);
        assert!(budget.reserve(None, Size::Large).grow(100), "all of it came back");
    }

    #[test]
    fn small_reviews_have_room_of_their_own() {
        let budget = MemoryBudget::new(100, 100);
        let large = budget.reserve(None, Size::Large);
        assert!(large.grow(100));
        assert!(budget.reserve(None, Size::Small).grow(100));
        assert!(large.grow(0), "it is still there");
    }
}
