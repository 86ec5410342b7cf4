package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// record adds a closed ledger to the current checkpoint, and queues the checkpoint when it is complete.
func (n *node) record(one ledger) {
	if !n.c.publishes() {
		// Without publishing, nothing is kept for a checkpoint: one that is begun later is incomplete.
		n.s.Building = nil
		return
	}
	b := append(n.s.Building, one)
	n.s.Building = b
	if (one.Seq+1)%n.frequency != 0 {
		return
	}
	n.s.Building = nil
	first := max(1, one.Seq+1-n.frequency)
	if b[0].Seq != first || uint32(len(b)) != one.Seq-first+1 {
		info("History", "Skipping incomplete checkpoint, publish was previously disabled")
		return
	}
	info("History", "Queueing publish state for ledger %d", one.Seq)
	text, err := json.Marshal(b)
	if err == nil {
		err = os.WriteFile(n.queued(one.Seq), text, 0o644)
	}
	if err != nil {
		failure("History", "Error writing the publish queue: %v", err)
	}
}

func (n *node) queued(checkpoint uint32) string {
	return filepath.Join(n.c.buckets, "publishqueue", fmt.Sprintf("%08x.checkpoint", checkpoint))
}

// queue lists the checkpoints that wait to be published.
func (n *node) queue() []uint32 {
	var result []uint32
	entries, _ := os.ReadDir(filepath.Join(n.c.buckets, "publishqueue"))
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".checkpoint"); ok {
			if seq, err := strconv.ParseUint(name, 16, 32); err == nil {
				result = append(result, uint32(seq))
			}
		}
	}
	slices.Sort(result)
	return result
}

// publish starts to publish the oldest checkpoint of the queue, one at a time.
func (n *node) publish() {
	if n.publishing || n.stopping || time.Now().Before(n.nextPublish) {
		return
	}
	n.nextPublish = time.Now().Add(n.after(1))
	queue := n.queue()
	if len(queue) == 0 || !n.c.publishes() {
		n.setStatus("publish", "")
		return
	}
	n.publishing = true
	go n.publishOne(queue)
}

func (n *node) publishOne(queue []uint32) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	checkpoint := queue[0]
	step := func(text string) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.setStatus("publish", fmt.Sprintf("Publishing %d queued checkpoints [%d-%d]: Awaiting 0/0 prerequisites of: "+
			"update-archives-%08x:%s", len(queue), queue[0], queue[len(queue)-1], checkpoint, text))
	}
	err := n.upload(ctx, checkpoint, step)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.publishing = false
	if err != nil {
		// The status stays as it was ("getting archives") if new-hist was never run.
		warning("History", "Failed to publish checkpoint %d: %v", checkpoint, err)
		n.nextPublish = time.Now().Add(n.after(5))
		return
	}
	info("History", "Published history for checkpoint %d", checkpoint)
	if err := os.Remove(n.queued(checkpoint)); err != nil {
		failure("History", "Error removing %s: %v", n.queued(checkpoint), err)
	}
	n.nextPublish = time.Now()
}

// upload writes a checkpoint to each archive that the node writes to: its files, its history file, and the well-known
// file last.
func (n *node) upload(ctx context.Context, checkpoint uint32, step func(string)) error {
	text, err := os.ReadFile(n.queued(checkpoint))
	if err != nil {
		return err
	}
	var ledgers []ledger
	if err := json.Unmarshal(text, &ledgers); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(n.scratch(), "snapshot-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	step("getting archives")
	var writable []archive
	for _, one := range n.c.archives {
		if !one.writable() {
			continue
		}
		state, err := one.state(ctx, scratch, 0)
		if err != nil {
			return err
		}
		if state.CurrentLedger > checkpoint {
			info("History", "archive '%s' is ahead at ledger %d", one.name, state.CurrentLedger)
		}
		writable = append(writable, one)
	}
	step("zipping files")
	for _, category := range []string{"ledger", "transactions", "results", "scp"} {
		content := ledgers
		if category != "ledger" {
			content = []ledger{}
		}
		_, name := remoteFile(category, checkpoint)
		if err := writeLedgers(filepath.Join(scratch, name), content); err != nil {
			return err
		}
	}
	local := filepath.Join(scratch, historyFile)
	if err := newArchiveState(n.c.version, n.c.passphrase, checkpoint).save(local); err != nil {
		return err
	}
	step("uploading files")
	for _, one := range writable {
		for _, category := range []string{"ledger", "transactions", "results", "scp"} {
			directory, name := remoteFile(category, checkpoint)
			if err := one.putFile(ctx, filepath.Join(scratch, name), directory, name); err != nil {
				return err
			}
		}
		directory, name := remoteFile("history", checkpoint)
		if err := one.putFile(ctx, local, directory, name); err != nil {
			return err
		}
		if err := one.putFile(ctx, local, wellKnownDirectory, historyFile); err != nil {
			return err
		}
	}
	return nil
}
