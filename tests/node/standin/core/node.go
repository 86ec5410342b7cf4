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
// Its mutex stands for stellar-core's main thread: an action that holds it long, such as resolving a name, delays
// everything else, including the answers to HTTP commands.
type node struct {
	mu      sync.Mutex
	c       *config
	s       *store
	started time.Time
	// unit is the length of a second of stellar-core's own timers: one, unless STAND_IN_LEDGER_SECONDS makes ledgers
	// shorter than 5 s.
	unit time.Duration
	// frequency is how many ledgers a checkpoint has.
	frequency uint32
	// bind is the address that this node listens on and dials from; empty for all.
	bind     string
	stopping bool

	// What was heard of others, and of itself, by key.
	statements map[string]*statement
	counter    uint64
	announced  time.Time
	roundStart time.Time
	// nominated tells whether it has begun to vote on the slot after its last ledger.
	nominated bool
	// locked is when it locked the ledger that it votes on, balloted when the last one; zero if it did not.
	locked, balloted time.Time

	// tracked is the last ledger that a quorum is known to have closed; tracking tells whether this was heard recently.
	tracked   uint32
	tracking  bool
	lastHeard time.Time
	// buffer holds what was heard of ledgers after the last closed one.
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
		// `run` on a validator forces SCP: it considers itself in consensus until it has heard no other for a while.
		tracking: c.validator, tracked: s.LCL.Seq, lastHeard: now,
	}
}

// after returns a time span of stellar-core's, of so many of its seconds.
func (n *node) after(seconds float64) time.Duration { return time.Duration(seconds * float64(n.unit)) }

// scratch is the directory for downloaded files of archives.
func (n *node) scratch() string { return filepath.Join(n.c.buckets, "tmp") }

// state is the state in `/info`.
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

// setStatus sets a line of `/info`'s status, or removes it if the text is empty; it logs a new line.
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

// save writes what must outlive the process. If the disk refuses, the process ends, as stellar-core does.
func (n *node) save() {
	if err := n.s.save(); err != nil {
		exception(err)
		os.Exit(1)
	}
}

// shuffled returns the same in a random order.
func shuffled[T any](items []T) []T {
	rand.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	return items
}
