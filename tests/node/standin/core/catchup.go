package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// How many ledgers a node accepts from its peers: the most that peers send (LEDGER_VALIDITY_BRACKET), and the most that
// it applies at once with parallel ledger apply.
const (
	sentAtMost      = 100
	appliedAtOnce   = 12
	fetchRetryAfter = 2.5
)

// catchUp closes buffered ledgers up to the tracked one, or starts to catch up with the network.
func (n *node) catchUp() {
	if n.fetching {
		return
	}
	last := n.s.LCL.Seq
	if n.tracked <= last {
		n.inSync()
		return
	}
	n.trim()
	few := n.applyAll || !n.c.parallelApply || n.tracked-last <= appliedAtOnce
	if few && n.contiguous(last+1) >= n.tracked {
		for seq := last + 1; seq <= n.tracked; seq++ {
			next := n.buffer[seq]
			if !n.s.LCL.followedBy(next) {
				fatal("Ledger", "ledger %d that was heard of does not follow this node's own", seq)
				return
			}
			n.close(next)
		}
		n.inSync()
		n.save()
		n.announce()
		return
	}
	if !n.catchingUp {
		info("Ledger", "Lost sync, local LCL is %d, network closed ledger %d", last, n.tracked)
		n.catchingUp = true
	}
	if now := time.Now(); now.Sub(n.asked) > n.after(2) {
		n.asked = now
		n.flood(message{GetSlots: last + 1}, nil)
	}
	n.awaitCheckpoint()
}

func (n *node) inSync() {
	if n.catchingUp {
		info("Ledger", "Catchup up to network ledger %d is done", n.s.LCL.Seq)
	}
	n.catchingUp, n.applyAll = false, false
	n.setStatus("catchup", "")
}

// trim drops ledgers that are closed or outside the node's own window of slots; it keeps those for a checkpoint.
func (n *node) trim() {
	for seq := range n.buffer {
		if seq <= n.s.LCL.Seq {
			delete(n.buffer, seq)
		}
	}
}

// contiguous returns the last ledger that is buffered without a gap from a first one, or the one before the first.
func (n *node) contiguous(first uint32) uint32 {
	end := first - 1
	for {
		if _, ok := n.buffer[end+1]; !ok {
			return end
		}
		end++
	}
}

// takesSlots tells whether a ledger that a peer remembers is within this node's own window.
func (n *node) takesSlots(seq uint32) bool {
	return seq+uint32(min(n.c.slots, sentAtMost)) > n.tracked
}

// remembered returns the ledgers that this node sends to a peer that asks.
func (n *node) remembered(from uint32) []ledger {
	var result []ledger
	slots := n.s.Slots[max(0, len(n.s.Slots)-min(n.c.slots, sentAtMost)):]
	for _, one := range slots {
		if one.Seq >= from {
			result = append(result, one)
		}
	}
	return result
}

// awaitCheckpoint waits for the network to close the first ledgers after a checkpoint, and then fetches up to it.
func (n *node) awaitCheckpoint() {
	end := n.tracked
	if _, ok := n.buffer[end]; !ok {
		return
	}
	start := end
	for {
		if _, ok := n.buffer[start-1]; !ok {
			break
		}
		start--
	}
	// The newest first ledger of a checkpoint that is buffered and has a ledger after it.
	first := (end - 1) / n.frequency * n.frequency
	if first < start || first == 0 {
		next := (start + n.frequency - 1) / n.frequency * n.frequency
		trigger := next + 1
		n.setStatus("catchup", fmt.Sprintf("Waiting for trigger ledger: %d/%d, ETA: %ds", end, trigger, int64(trigger-end)*5))
		return
	}
	if time.Now().Before(n.nextFetch) {
		return
	}
	if n.s.LCL.Seq >= first-1 {
		n.applyAll = true
		return
	}
	n.fetching = true
	n.setStatus("catchup", fmt.Sprintf("Starting catchup after ensuring checkpoint ledger %d was closed on network", end))
	go n.fetch(n.s.LCL, first-1)
}

// fetch brings the node to a checkpoint, with an archive that it picks.
func (n *node) fetch(own ledger, target uint32) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	ledgers, err := n.replay(ctx, own, target)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.fetching = false
	if err != nil {
		n.nextFetch = time.Now().Add(n.after(fetchRetryAfter))
		warning("History", "Catchup failed and will restart upon next close: %v", err)
		return
	}
	for _, one := range ledgers {
		// A ledger from an archive is no slot that this node heard: it has none of them for others.
		n.s.remember(one, 0)
		if len(ledgers) == 1 {
			n.s.Building = nil
		} else {
			n.record(one)
		}
	}
	n.applyAll = true
	info("History", "Catchup finished at ledger %d", n.s.LCL.Seq)
	n.save()
	n.consider()
}

// replay returns what a node closes to get from its own last ledger to a checkpoint: each ledger in between, or, from
// genesis, only the state of the checkpoint.
func (n *node) replay(ctx context.Context, own ledger, target uint32) ([]ledger, error) {
	from, ok := n.c.pick()
	if !ok {
		return nil, errors.New("No GET-enabled history archive in config")
	}
	info("History", "Selected archive %s for catchup", from.name)
	progress := func(text string) {
		n.mu.Lock()
		n.setStatus("catchup", fmt.Sprintf("Catching up to ledger %d: %s", target, text))
		n.mu.Unlock()
	}
	progress("Downloading state file " + wellKnownDirectory + "/" + historyFile + " for ledger current")
	newest, err := from.state(ctx, n.scratch(), 0)
	if err != nil {
		return nil, err
	}
	if newest.Passphrase != n.c.passphrase {
		return nil, fmt.Errorf("archive '%s' is of another network: '%s'", from.name, newest.Passphrase)
	}
	if newest.CurrentLedger < target {
		return nil, fmt.Errorf("archive '%s' ends at ledger %d, before %d", from.name, newest.CurrentLedger, target)
	}
	if _, err := from.state(ctx, n.scratch(), target); err != nil {
		return nil, err
	}
	first := own.Seq/n.frequency*n.frequency + n.frequency - 1
	if own.Seq%n.frequency == n.frequency-1 {
		first += n.frequency
	}
	if own.Seq == 1 && !n.c.complete {
		first = target
	}
	var result []ledger
	for checkpoint := first; checkpoint <= target; checkpoint += n.frequency {
		progress(fmt.Sprintf("downloading ledger files: %d", checkpoint))
		ledgers, err := from.ledgers(ctx, n.scratch(), checkpoint)
		if err != nil {
			return nil, fmt.Errorf("archive '%s' has no checkpoint %d: %w", from.name, checkpoint, err)
		}
		result = append(result, ledgers...)
	}
	return follow(own, result, own.Seq == 1 && !n.c.complete, target)
}

// follow checks that ledgers lead from a node's own to the target; with `state` the target alone is taken as given.
func follow(own ledger, ledgers []ledger, state bool, target uint32) ([]ledger, error) {
	var result []ledger
	if n := len(ledgers); state && n > 0 && ledgers[n-1].Seq == target {
		return ledgers[n-1:], nil
	}
	last := own
	for _, one := range ledgers {
		if one.Seq <= own.Seq {
			if one.Seq == own.Seq && one != own {
				return nil, fmt.Errorf("the archive has another ledger %d", one.Seq)
			}
			continue
		}
		if !last.followedBy(one) {
			return nil, fmt.Errorf("ledger %d of the archive does not follow", one.Seq)
		}
		result, last = append(result, one), one
	}
	if last.Seq != target {
		return nil, fmt.Errorf("the archive's file ends at ledger %d", last.Seq)
	}
	return result, nil
}
