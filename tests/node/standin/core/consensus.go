package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// statement is what a node tells all others: what it has closed, and what it votes for. It is flooded.
//
// The protocol is federated voting with rounds, much simpler than SCP: no node lies, a node can only be silent. In each
// round a node votes for one close time. A node that sees a quorum vote for the same time in its round locks it. A node
// that sees a quorum that has locked the same time in the same round closes the ledger. A node that votes again takes
// the newest lock of any node, so two quorums that share a node cannot close different ledgers.
type statement struct {
	ID string `json:"id"`
	// Epoch and Counter order the statements of one node, across its restarts.
	Epoch   int64  `json:"epoch"`
	Counter uint64 `json:"counter"`
	LCL     ledger `json:"lcl"`
	// Recent are the last ledgers that it closed.
	Recent []ledger  `json:"recent"`
	Ballot ballot    `json:"ballot"`
	QSet   quorumSet `json:"qset"`
	heard  time.Time
}

// recentLedgers is how many of its last ledgers a node keeps announcing.
const recentLedgers = 4

// stuckSeconds is the time without a ledger after which a node no longer considers itself in consensus
// (CONSENSUS_STUCK_TIMEOUT_SECONDS).
const stuckSeconds = 35

// newer tells whether a statement replaces another of the same node.
func (s *statement) newer(than *statement) bool {
	return than == nil || s.Epoch > than.Epoch || s.Epoch == than.Epoch && s.Counter > than.Counter
}

// closed returns what the node closed as this ledger, if it did and announces it.
func (s *statement) closed(seq uint32) (ledger, bool) {
	for _, one := range s.Recent {
		if one.Seq == seq {
			return one, true
		}
	}
	return s.LCL, s.LCL.Seq == seq
}

// quorum tells whether this node and those for which `in` holds contain a quorum of this node.
func (n *node) quorum(in func(*statement) bool) bool {
	members := map[string]*statement{}
	for id, one := range n.statements {
		if in(one) {
			members[id] = one
		}
	}
	has := func(id string) bool { return members[id] != nil }
	for removed := true; removed; {
		removed = false
		for id, one := range members {
			if !one.QSet.satisfied(has) {
				delete(members, id)
				removed = true
			}
		}
	}
	if n.c.validator && members[n.c.id] == nil {
		return false
	}
	return n.c.quorum.satisfied(has)
}

// consider takes each step that the known statements allow.
func (n *node) consider() {
	n.track()
	for n.vote() {
		n.track()
	}
	now := time.Now()
	if n.tracking && now.Sub(n.lastHeard) > n.after(stuckSeconds) {
		warning("Herder", "Lost track of consensus")
		n.tracking = false
	}
	if now.Sub(n.announced) > n.after(1) {
		n.announce()
	}
}

// announce makes and floods this node's own statement.
func (n *node) announce() {
	n.counter++
	n.announced = time.Now()
	recent := n.s.Slots[max(0, len(n.s.Slots)-recentLedgers):]
	own := &statement{
		ID: n.c.id, Epoch: n.started.UnixNano(), Counter: n.counter, LCL: n.s.LCL, Recent: slices.Clone(recent), Ballot: n.s.Ballot,
		QSet: n.c.quorum, heard: n.announced,
	}
	n.statements[n.c.id] = own
	n.flood(message{Statement: own}, nil)
}

// hear takes a statement from a peer, and passes on what is new.
func (n *node) hear(one *statement, from *peer) {
	if one.ID == n.c.id || !one.newer(n.statements[one.ID]) {
		return
	}
	one.heard = time.Now()
	n.statements[one.ID] = one
	for _, closed := range one.Recent {
		n.bufferLedger(closed)
	}
	n.bufferLedger(one.LCL)
	n.flood(message{Statement: one}, from)
	n.consider()
}

// bufferLedger keeps a ledger that this node still has to close.
func (n *node) bufferLedger(one ledger) {
	if one.Seq > n.s.LCL.Seq {
		n.buffer[one.Seq] = one
	} else if one.Seq == n.s.LCL.Seq && one != n.s.LCL && one.Seq > 1 {
		fatal("Herder", "the network closed another ledger %d than this node: %s", one.Seq, one.Hash)
	}
}

// track finds the last ledger that a quorum has closed, and closes what can be closed up to there.
func (n *node) track() {
	highest := n.s.LCL.Seq
	for _, one := range n.statements {
		if seq := one.LCL.Seq; seq > highest && n.quorum(func(other *statement) bool {
			return other.ID == n.c.id || other.LCL.Seq >= seq
		}) {
			highest = seq
		}
	}
	if highest > n.tracked {
		n.tracked, n.lastHeard = highest, time.Now()
		if !n.tracking {
			info("Herder", "Tracking network ledger %d", highest)
		}
		n.tracking = true
	}
	n.catchUp()
}

// vote takes one step on the slot after the last ledger, and tells whether that closed it.
func (n *node) vote() bool {
	now := time.Now()
	last := n.s.LCL
	if !n.c.validator || n.catchingUp || n.tracked > last.Seq || now.Before(n.due()) {
		return false
	}
	b := &n.s.Ballot
	before := *b
	if b.Slot != last.Seq+1 {
		*b = ballot{Slot: last.Seq + 1}
	}
	if !n.nominated {
		n.nominated = true
		if b.Round == 0 {
			n.enter(b, 1)
		}
		n.roundStart = now
	}
	highest := b.Round
	for _, one := range n.statements {
		if one.Ballot.Slot == b.Slot {
			highest = max(highest, one.Ballot.Round)
		}
	}
	if highest == b.Round && now.Sub(n.roundStart) > n.roundLasts(b.Round) {
		highest++
	}
	if highest > b.Round {
		n.enter(b, highest)
	}
	if b.Vote == 0 {
		b.Vote = n.choice(b)
	}
	n.tell(before)
	before = *b
	if b.Vote != 0 && b.LockRound < b.Round && n.quorum(func(one *statement) bool {
		return one.Ballot.Slot == b.Slot && one.Ballot.Round == b.Round && one.Ballot.Vote == b.Vote || one.has(b.Slot, b.Vote)
	}) {
		b.LockRound, b.LockClose = b.Round, b.Vote
		n.locked = now
	}
	n.tell(before)
	if b.LockRound != 0 && n.quorum(func(one *statement) bool {
		return one.Ballot.Slot == b.Slot && one.Ballot.LockRound == b.LockRound && one.Ballot.LockClose == b.LockClose ||
			one.has(b.Slot, b.LockClose)
	}) {
		n.close(last.next(b.LockClose))
		n.save()
		n.announce()
		return true
	}
	return false
}

// due returns when this node begins with the next ledger: a ledger's time after it began to decide on the last one.
// With a dead node, whose turn to propose costs seconds, the age counts from the proposal: it passes 10 s although no
// two ledgers are that far apart.
func (n *node) due() time.Time {
	if !n.balloted.IsZero() {
		return n.balloted.Add(5 * n.unit)
	}
	return time.UnixMilli(n.s.LCL.Close).Add(5 * n.unit)
}

// has tells whether the node closed this slot at that time.
func (s *statement) has(slot uint32, closeTime int64) bool {
	closed, known := s.closed(slot)
	return known && closed.Close == closeTime
}

// enter begins a round; it proposes the current time as close time.
func (n *node) enter(b *ballot, round int) {
	b.Round, b.Vote = round, 0
	n.roundStart = time.Now()
	b.Proposal = max(n.roundStart.UnixMilli(), n.s.LCL.Close+n.after(1).Milliseconds())
}

// tell saves and announces a changed ballot: no other node hears a vote that a crash could take back.
func (n *node) tell(before ballot) {
	if n.s.Ballot != before {
		n.save()
		n.announce()
	}
}

// roundLasts returns how long a round waits for its leader: with one dead of four a ledger takes 5, 8 or 9 s. However
// short ledgers are, a statement needs its time from one process to another.
func (n *node) roundLasts(round int) time.Duration {
	rounds := min(round, 10)
	least := time.Duration(rounds) * 300 * time.Millisecond
	if round == 1 {
		return max(n.after(3), least)
	}
	return max(n.after(float64(rounds-1)), least)
}

// choice returns what to vote for: what a quorum may have closed already, or what the round's leader proposes; 0 for
// not yet.
func (n *node) choice(b *ballot) int64 {
	best, at := int64(0), 0
	for _, one := range n.statements {
		if closed, known := one.closed(b.Slot); known {
			return closed.Close
		}
		if one.Ballot.Slot == b.Slot && one.Ballot.LockRound > at {
			best, at = one.Ballot.LockClose, one.Ballot.LockRound
		}
	}
	if best != 0 {
		return best
	}
	leader := n.leader(b.Slot, b.Round)
	if leader == n.c.id {
		return b.Proposal
	}
	if one := n.statements[leader]; one != nil && one.Ballot.Slot == b.Slot && one.Ballot.Round == b.Round {
		return one.Ballot.Proposal
	}
	return 0
}

// leader returns whose proposal counts in a round: a random one in the first two, each in turn after that.
func (n *node) leader(slot uint32, round int) string {
	members := append(n.c.quorum.members(), n.c.id)
	slices.Sort(members)
	members = slices.Compact(members)
	seed := fmt.Sprintf("%d %d", slot, min(round, 2))
	sum := sha256.Sum256([]byte(seed))
	index := binary.BigEndian.Uint32(sum[:]) + uint32(max(0, round-2))
	return members[index%uint32(len(members))]
}

// close makes a ledger the last closed one. The caller saves.
func (n *node) close(one ledger) {
	n.s.remember(one, n.c.slots)
	n.nominated, n.balloted, n.locked = false, n.locked, time.Time{}
	n.tracked = max(n.tracked, one.Seq)
	n.lastHeard, n.tracking = time.Now(), true
	delete(n.buffer, one.Seq)
	info("Ledger", "Closed ledger: [seq=%d, hash=%.6s]", one.Seq, one.Hash)
	n.record(one)
}
