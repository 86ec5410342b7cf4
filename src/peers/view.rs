//! A validator's view of its group: one hash of all other members.
//!
//! A group of n members has n views. Each one is the sum of all members' hashes minus one of them; hashing the text of
//! the others instead would take n texts of n lines.

use serde::{Deserialize, Serialize};

use super::NodeId;
use crate::util::digest;

/// Prefix of the hashed text. Change it whenever a view covers something else.
const FORMAT: &str = "view 1";

/// Hash of the *identities* of the other members of a group: their nodes and ports, never their addresses.
///
/// A restart changes the validator's address and no view, so restarts converge (rule R2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct View(pub(super) String);

impl View {
    /// The view of these members, in any order.
    pub fn of<'a>(members: impl Iterator<Item = (&'a NodeId, u16)>) -> Self {
        Sum::of(members).view()
    }

    /// The view of a validator without other members.
    pub fn empty() -> Self {
        Self::of(std::iter::empty())
    }

    /// The hash, 64 hexadecimal characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The number of members, and the sum of their hashes modulo 2²⁵⁶. The order does not matter, and a member can be
/// subtracted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    count: usize,
    /// Least significant limb first.
    limbs: [u64; 4],
}

impl Sum {
    pub(super) fn of<'a>(members: impl Iterator<Item = (&'a NodeId, u16)>) -> Self {
        members.fold(Self::default(), |sum, (node, port)| sum.with(hash(node, port), 1))
    }

    /// The view of a member that is part of the sum.
    pub(super) fn without(self, node: &NodeId, port: u16) -> View {
        let negated = hash(node, port).map(|limb| !limb);
        let mut rest = self.with(negated, 1).with([1, 0, 0, 0], 0);
        rest.count = self.count.saturating_sub(1);
        rest.view()
    }

    fn with(mut self, addend: [u64; 4], members: usize) -> Self {
        let mut carry = false;
        for (limb, addend) in self.limbs.iter_mut().zip(addend) {
            let (sum, first) = limb.overflowing_add(addend);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*limb, carry) = (sum, first || second);
        }
        self.count += members;
        self
    }

    fn view(self) -> View {
        let [a, b, c, d] = self.limbs;
        View(digest::sha256_hex(
            format!("{FORMAT} {} {d:016x}{c:016x}{b:016x}{a:016x}", self.count).as_bytes(),
        ))
    }
}

fn hash(node: &NodeId, port: u16) -> [u64; 4] {
    let bytes = digest::sha256(format!("{node}:{port}").as_bytes());
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    limbs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members() -> impl Strategy<Value = Vec<(NodeId, u16)>> {
        let member = ("[a-c]", 1..4u16).prop_map(|(name, port)| (NodeId::new("n", name), port));
        proptest::collection::vec(member, 0..6)
    }

    fn view(members: &[(NodeId, u16)]) -> View {
        View::of(members.iter().map(|(node, port)| (node, *port)))
    }

    proptest! {
        #[test]
        fn equal_members_have_equal_views_in_any_order_and_no_others_have(a in members(), b in members()) {
            let sorted = |members: &[(NodeId, u16)]| {
                let mut members = members.to_vec();
                members.sort();
                members
            };
            prop_assert_eq!(view(&a) == view(&b), sorted(&a) == sorted(&b));
        }

        #[test]
        fn taking_a_member_out_is_never_having_put_it_in(members in members(), name in "[a-z]", port in any::<u16>()) {
            let one = NodeId::new("n", name);
            let mut all = members.clone();
            all.push((one.clone(), port));
            let sum = Sum::of(all.iter().map(|(node, port)| (node, *port)));
            prop_assert_eq!(sum.without(&one, port), view(&members));
        }
    }
}
