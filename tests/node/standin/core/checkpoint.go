package main

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ledger is a closed ledger: its number, its close time in milliseconds, and a hash over both and the previous hash.
type ledger struct {
	Seq   uint32 `json:"seq"`
	Close int64  `json:"close"`
	Hash  string `json:"hash"`
}

// genesis is the ledger that `new-db` creates.
func genesis(passphrase string) ledger {
	sum := sha256.Sum256([]byte("genesis of " + passphrase))
	return ledger{Seq: 1, Hash: hex.EncodeToString(sum[:])}
}

// next returns the ledger after this one that closes at a given time.
func (l ledger) next(closeTime int64) ledger {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d", l.Hash, l.Seq+1, closeTime))
	return ledger{Seq: l.Seq + 1, Close: closeTime, Hash: hex.EncodeToString(sum[:])}
}

// followedBy tells whether the other ledger is the next one.
func (l ledger) followedBy(other ledger) bool { return l.next(other.Close) == other }

// wellKnown is the file with which an archive tells how far it goes.
const wellKnownDirectory, historyFile = ".well-known", "stellar-history.json"

// remoteFile returns the directory and the name of a checkpoint's file: `ledger/00/00/00`, `ledger-0000003f.xdr.gz`.
func remoteFile(category string, checkpoint uint32) (directory, name string) {
	hexed := fmt.Sprintf("%08x", checkpoint)
	suffix := "xdr.gz"
	if category == "history" {
		suffix = "json"
	}
	return fmt.Sprintf("%s/%s/%s/%s", category, hexed[0:2], hexed[2:4], hexed[4:6]), fmt.Sprintf("%s-%s.%s", category, hexed, suffix)
}

// archiveState is the content of a history file.
type archiveState struct {
	Version        int           `json:"version"`
	Server         string        `json:"server"`
	CurrentLedger  uint32        `json:"currentLedger"`
	Passphrase     string        `json:"networkPassphrase"`
	CurrentBuckets []bucketLevel `json:"currentBuckets"`
}

type bucketLevel struct {
	Curr string         `json:"curr"`
	Next map[string]int `json:"next"`
	Snap string         `json:"snap"`
}

func newArchiveState(version, passphrase string, current uint32) archiveState {
	state := archiveState{Version: 1, Server: "stellar-core " + version, CurrentLedger: current, Passphrase: passphrase}
	empty := fmt.Sprintf("%064d", 0)
	for range 11 {
		state.CurrentBuckets = append(state.CurrentBuckets, bucketLevel{empty, map[string]int{"state": 0}, empty})
	}
	return state
}

func (state archiveState) save(path string) error {
	text, err := json.MarshalIndent(state, "", "    ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// state fetches a history file of an archive: that of a checkpoint, or the newest if checkpoint is 0.
func (a archive) state(ctx context.Context, scratch string, checkpoint uint32) (archiveState, error) {
	var state archiveState
	directory, name := wellKnownDirectory, historyFile
	if checkpoint > 0 {
		directory, name = remoteFile("history", checkpoint)
	}
	remote := directory + "/" + name
	info("History", "Downloading history archive state: %s", remote)
	local, err := os.MkdirTemp(scratch, "history-")
	if err != nil {
		return state, err
	}
	defer os.RemoveAll(local)
	file := filepath.Join(local, historyFile)
	if err := a.getFile(ctx, remote, file); err != nil {
		if checkpoint == 0 {
			failure("History", "Could not download %s file: corrupt archive %s", remote, a.name)
		} else {
			failure("History", "Missing HAS for ledger %d: maybe stale archive %s", checkpoint, a.name)
		}
		return state, err
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &state)
	}
	if err == nil && state.Version != 1 && state.Version != 2 {
		err = errors.New("unexpected history archive state version")
	}
	if err != nil {
		failure("History", "Error loading history state: %v", err)
	}
	return state, err
}

// writeLedgers writes a checkpoint's ledgers, in the stand-in's format, compressed.
func writeLedgers(path string, ledgers []ledger) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	packed := gzip.NewWriter(file)
	if err := json.NewEncoder(packed).Encode(ledgers); err != nil {
		return err
	}
	return packed.Close()
}

// ledgers fetches the ledgers of a checkpoint.
func (a archive) ledgers(ctx context.Context, scratch string, checkpoint uint32) ([]ledger, error) {
	directory, name := remoteFile("ledger", checkpoint)
	local, err := os.MkdirTemp(scratch, "ledger-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(local)
	path := filepath.Join(local, name)
	if err := a.getFile(ctx, directory+"/"+name, path); err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	packed, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	var ledgers []ledger
	return ledgers, json.NewDecoder(packed).Decode(&ledgers)
}

// initialize is `new-hist` for one archive.
func (c *config) initialize(name, scratch string) bool {
	for _, one := range c.archives {
		if one.name != name {
			continue
		}
		ctx := context.Background()
		info("History", "Probing history archive '%s' for existing state", name)
		if _, err := one.state(ctx, scratch, 0); err == nil {
			failure("History", "History archive '%s' already initialized!", name)
			return false
		}
		info("History", "History archive '%s' appears uninitialized", name)
		info("History", "Initializing history archive '%s'", name)
		local := filepath.Join(scratch, historyFile)
		defer os.Remove(local)
		err := newArchiveState(c.version, c.passphrase, 0).save(local)
		directory, file := remoteFile("history", 0)
		if err == nil {
			err = one.putFile(ctx, local, directory, file)
		}
		if err == nil {
			err = one.putFile(ctx, local, wellKnownDirectory, historyFile)
		}
		if err != nil {
			fatal("History", "Failed to initialize history archive '%s'", name)
			return false
		}
		info("History", "Initialized history archive '%s'", name)
		return true
	}
	fatal("History", "Can't initialize unknown history archive '%s'", name)
	return false
}
