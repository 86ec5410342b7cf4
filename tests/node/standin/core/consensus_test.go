package main

import (
	"os"
	ossignal "os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

var closedLedger = regexp.MustCompile(`Closed ledger: \[seq=(\d+), hash=(\w+)\]`)

// closings returns the hashes of the ledgers that a node closed, according to its log.
func (m *member) closings() map[string]string {
	m.t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "log"))
	if err != nil {
		m.t.Fatal(err)
	}
	result := map[string]string{}
	for _, found := range closedLedger.FindAllStringSubmatch(string(text), -1) {
		if other, twice := result[found[1]]; twice && other != found[2] {
			m.t.Errorf("%s closed ledger %s twice: %s and %s", m.address, found[1], other, found[2])
		}
		result[found[1]] = found[2]
	}
	return result
}

// agree fails if two nodes closed different ledgers of the same number.
func (n *network) agree() {
	n.t.Helper()
	all := map[string]string{}
	for _, m := range n.nodes {
		for seq, hash := range m.closings() {
			if other, known := all[seq]; known && other != hash {
				n.t.Errorf("ledger %s was closed as %s and as %s", seq, other, hash)
			}
			all[seq] = hash
		}
	}
	if len(all) < 5 {
		n.t.Errorf("only %d ledgers were closed", len(all))
	}
}

// private is a network of four as the product configures it: each reads from and writes to an archive of its own.
func private(t *testing.T) *network {
	n := newNetwork(t, 4, 4)
	for _, m := range n.nodes {
		m.archive(filepath.Join(m.dir, "volume"), true)
	}
	return n
}

func TestFourReachConsensusOnTheSameLedgers(t *testing.T) {
	n := private(t)
	n.up()
	for _, m := range n.nodes {
		m.votes(n.nodes[0], patience)
		m.grows(4)
	}
	for _, m := range n.nodes {
		eventually(t, patience, "all are connected to all", func() bool { return m.connected() == 3 })
	}
	n.agree()
}

func TestThreeOfFourGoOnAndNoneOfThemEverStopsVoting(t *testing.T) {
	n := private(t)
	n.seconds = 1
	n.up()
	for _, m := range n.nodes {
		m.grows(2)
	}
	n.nodes[3].kill()
	from := n.nodes[0].ledger()
	eventually(t, 2*patience, "eight more ledgers", func() bool {
		for _, m := range n.nodes[:3] {
			if told := m.info().Info; told.State != "Synced!" {
				t.Fatalf("%s: %s at ledger %d", m.address, told.State, told.Ledger.Num)
			}
		}
		return n.nodes[0].ledger() >= from+8
	})
	n.agree()
}

func TestTwoOfFourSaySyncedForAWhileAndThenJoiningSCP(t *testing.T) {
	n := private(t)
	n.seconds = 0.8
	n.up()
	for _, m := range n.nodes {
		m.grows(2)
	}
	n.nodes[2].kill()
	n.nodes[3].kill()
	cut := time.Now()
	first := n.nodes[0]
	stuck := first.ledger() + 1
	eventually(t, 60*n.unit(), "it no longer believes itself in consensus", func() bool { return first.info().Info.State == "Joining SCP" })
	if lasted := time.Since(cut); lasted < 15*n.unit() {
		t.Errorf("it said so after %v", lasted)
	}
	if now := first.ledger(); now > stuck {
		t.Errorf("two of four went on from %d to %d", stuck, now)
	}
	// A node that restarts alone considers itself in consensus, although it hears no other, until the same time is
	// over.
	n.nodes[1].kill()
	first.kill()
	first.start()
	eventually(t, patience, "it answers", func() bool { return first.info().Info.State != "" })
	if told := first.info().Info; told.State != "Synced!" || told.Peers.Authenticated != 0 {
		t.Errorf("after a restart alone: %+v", told)
	}
	eventually(t, 60*n.unit(), "it gives up", func() bool { return first.info().Info.State == "Joining SCP" })
	for _, m := range n.nodes[1:] {
		m.start()
	}
	for _, m := range n.nodes {
		m.votes(first, patience)
		m.grows(1)
	}
	n.agree()
}

func TestNoTwoLedgersOfOneNumberHoweverNodesDie(t *testing.T) {
	n := private(t)
	n.up()
	for round := range 14 {
		one := n.nodes[(round*round+round/3)%4]
		one.kill()
		if round%3 == 0 {
			other := n.nodes[(round+2)%4]
			other.kill()
			other.start()
		}
		one.start()
		for _, m := range n.nodes {
			if m.process == nil {
				m.start()
			}
		}
		n.nodes[round%4].grows(1)
	}
	for _, m := range n.nodes {
		m.votes(n.nodes[0], patience)
	}
	n.agree()
}

func TestWhatIsInNobodysQuorumSetIsNotMissedAndVotes(t *testing.T) {
	n := newNetwork(t, 5, 4)
	for _, m := range n.nodes {
		m.archive(filepath.Join(m.dir, "volume"), true)
		m.keys("MAX_SLOTS_TO_REMEMBER=120\nPARALLEL_LEDGER_APPLY=false")
	}
	// The others do not know the fifth.
	for _, m := range n.nodes[:4] {
		m.known = m.known[:3]
		m.create()
		m.start()
	}
	for _, m := range n.nodes[:4] {
		m.grows(4)
		eventually(t, patience, "the four are connected", func() bool { return m.connected() == 3 })
	}
	fifth := n.nodes[4]
	fifth.create()
	fifth.start()
	fifth.votes(n.nodes[0], patience)
	if connected := fifth.connected(); connected != 3 {
		t.Errorf("nobody dials it, and it keeps %d connections", connected)
	}
	fifth.kill()
	for _, m := range n.nodes[:4] {
		m.grows(2)
	}
	n.agree()
}

func TestATermEndsItSoonAndAHangupAtOnce(t *testing.T) {
	n := newNetwork(t, 1, 1)
	m := n.nodes[0]
	m.keys("UNSAFE_QUORUM=true\nFAILURE_SAFETY=0")
	m.archive(filepath.Join(m.dir, "volume"), true)
	m.create()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		// A program that starts with the signal ignored, as with nohup, keeps ignoring it.
		if ossignal.Ignored(signal) {
			t.Logf("%v is ignored here", signal)
			continue
		}
		m.start()
		m.grows(1)
		began := time.Now()
		_ = m.process.Process.Signal(signal)
		err := m.process.Wait()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%v took %v", signal, took)
		}
		if (signal == syscall.SIGHUP) != (err != nil) {
			t.Errorf("%v: %v", signal, err)
		}
		m.process = nil
	}
}

func TestALedgerIsClosedAsSoonAsAQuorumHasLockedIt(t *testing.T) {
	own, other := newTestNode(t, 1), key(2)
	own.c.quorum = quorumSet{Threshold: 2, Validators: []string{own.c.id, other}}
	says := func(counter uint64, b ballot) {
		own.hear(&statement{ID: other, Epoch: 1, Counter: counter, LCL: own.s.LCL, QSet: own.c.quorum, Ballot: b}, nil)
	}
	own.announce()
	own.consider()
	v := own.s.Ballot.Proposal
	says(1, ballot{Slot: 2, Round: 1, Vote: v, Proposal: v})
	if got := own.s.Ballot; got.LockClose != v || own.s.LCL.Seq != 1 {
		t.Fatalf("it did not lock: %+v", got)
	}
	says(2, ballot{Slot: 2, Round: 1, Vote: v, Proposal: v, LockRound: 1, LockClose: v})
	if own.s.LCL.Seq != 2 || own.s.LCL.Close != v {
		t.Fatalf("it did not close: %+v", own.s.LCL)
	}
	if wait := time.Until(own.due()); wait < 4*own.unit || wait > 5*own.unit {
		t.Errorf("the next is due in %v", wait)
	}
}

func TestALockThatIsHeardOfIsVotedForAndAVoteIsNotTakenBackByARestart(t *testing.T) {
	own, other := newTestNode(t, 1), key(2)
	own.c.quorum = quorumSet{Threshold: 2, Validators: []string{own.c.id, other}}
	own.announce()
	own.hear(&statement{ID: other, Epoch: 1, Counter: 1, LCL: own.s.LCL, QSet: own.c.quorum,
		Ballot: ballot{Slot: 2, Round: 3, LockRound: 2, LockClose: 77}}, nil)
	if got := own.s.Ballot; got.Round != 3 || got.Vote != 77 {
		t.Fatalf("%+v", got)
	}
	again, err := openStore(own.c)
	if err != nil || again.Ballot != own.s.Ballot {
		t.Errorf("%+v, %v", again, err)
	}
}

// newTestNode returns a node without peers.
func newTestNode(t *testing.T, number int) *node {
	t.Helper()
	directory := t.TempDir()
	c := &config{id: key(number), validator: true, passphrase: "p", database: "sqlite3://" + directory + "/stellar.db", buckets: directory, slots: 12}
	if err := newStore(c); err != nil {
		t.Fatal(err)
	}
	s, err := openStore(c)
	if err != nil {
		t.Fatal(err)
	}
	return newNode(c, s, settings{ledger: 5 * time.Second, checkpoint: 64})
}
