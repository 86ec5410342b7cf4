package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// node is a running stellar-core.
//
// Its mutex stands for stellar-core's main thread: whoever holds it long, as the resolution of a name does, keeps
// everything waiting, the answers to HTTP commands included.
type node struct {
	mu      sync.Mutex
	c       *config
	s       *store
	started time.Time
	// unit is what a second of stellar-core's own timers lasts: one, unless STAND_IN_LEDGER_SECONDS makes ledgers
	// shorter than 5 s.
	unit time.Duration
	// frequency is how many ledgers a checkpoint has.
	frequency uint32
	// bind is the address that this node listens on and dials from; empty for all.
	bind     string
	stopping bool

	// What is heard of others, and of itself, by key.
	statements map[string]*statement
	counter    uint64
	announced  time.Time
	roundStart time.Time
	// nominated is whether it has begun to vote on the slot after its last ledger.
	nominated bool
	// locked is when it locked the ledger that it votes on, balloted when the last one; zero where it did not.
	locked, balloted time.Time

	// tracked is the last ledger that a quorum has closed, as far as is known; tracking says that this was heard not
	// long ago.
	tracked   uint32
	tracking  bool
	lastHeard time.Time
	// buffer has what was heard of ledgers after the last closed one.
	buffer     map[uint32]ledger
	catchingUp bool
	asked      time.Time
	fetching   bool
	nextFetch  time.Time
	applyAll   bool

	publishing  bool
	nextPublish time.Time

	// status is what `/info` shows, by subject.
	status map[string]string

	peers    map[string]*peer
	pending  map[*peer]struct{}
	banned   map[string]bool
	resolved time.Time
	retries  int
}

func newNode(c *config, s *store, settings settings) *node {
	now := time.Now()
	return &node{
		c: c, s: s, started: now.UTC(), unit: settings.ledger / 5, frequency: settings.checkpoint, bind: settings.bind,
		statements: map[string]*statement{}, roundStart: now, buffer: map[uint32]ledger{}, status: map[string]string{},
		peers: map[string]*peer{}, pending: map[*peer]struct{}{}, banned: map[string]bool{},
		// `run` on a validator forces SCP: it believes itself in consensus until it has heard nobody for a while.
		tracking: c.validator, tracked: s.LCL.Seq, lastHeard: now,
	}
}

// after is a time span of stellar-core's, of so many of its seconds.
func (n *node) after(seconds float64) time.Duration { return time.Duration(seconds * float64(n.unit)) }

// scratch is where files of archives are brought to.
func (n *node) scratch() string { return filepath.Join(n.c.buckets, "tmp") }

// state is what `/info` says.
func (n *node) state() string {
	switch {
	case n.stopping:
		return "Stopping"
	case !n.tracking:
		return "Joining SCP"
	case n.catchingUp:
		return "Catching up"
	default:
		return "Synced!"
	}
}

// setStatus sets or, with an empty text, removes a line of `/info`'s status; a new line is logged.
func (n *node) setStatus(subject, text string) {
	if text == "" {
		delete(n.status, subject)
	} else if n.status[subject] != text {
		n.status[subject] = text
		info("History", "%s", text)
	}
}

// live runs the node's timers until stop is closed.
func (n *node) live(stop <-chan struct{}) {
	period := max(n.after(0.1), 10*time.Millisecond)
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	nextDial := n.started.Add(n.after(2))
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		n.mu.Lock()
		n.consider()
		n.publish()
		if time.Now().After(nextDial) {
			n.resolvePeers()
			n.dialCandidates()
			nextDial = time.Now().Add(n.after(2))
		}
		n.mu.Unlock()
	}
}

// save keeps what must outlive the process; a disk that refuses ends it, as it ends stellar-core.
func (n *node) save() {
	if err := n.s.save(); err != nil {
		exception(err)
		os.Exit(1)
	}
}

// shuffled is the same in a random order.
func shuffled[T any](items []T) []T {
	rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	return items
}
