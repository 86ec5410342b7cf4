package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// storeMark begins each of our databases; one that begins otherwise is corrupt.
const storeMark = "stand-in for stellar-core: database 1\n"

var errNotDatabase = errors.New("file is not a database")

// ballot is what a node must remember of the slot that it votes on: otherwise a restart could take back its vote.
type ballot struct {
	Slot      uint32 `json:"slot"`
	Round     int    `json:"round"`
	Vote      int64  `json:"vote"`
	LockRound int    `json:"lockRound"`
	LockClose int64  `json:"lockClose"`
	Proposal  int64  `json:"proposal"`
}

// peerRecord is a line of the peer database.
type peerRecord struct {
	Failures int       `json:"failures"`
	Next     time.Time `json:"next"`
	// Inbound marks an address that was learnt from a peer that dialled in.
	Inbound   bool `json:"inbound"`
	Preferred bool `json:"preferred"`
}

// store is the database on the volume.
type store struct {
	path string

	Passphrase string                 `json:"passphrase"`
	LCL        ledger                 `json:"lcl"`
	Slots      []ledger               `json:"slots"`
	Building   []ledger               `json:"building"`
	Ballot     ballot                 `json:"ballot"`
	Peers      map[string]*peerRecord `json:"peers"`
}

// databasePath is the file that stands for the value of DATABASE.
func (c *config) databasePath() (string, error) {
	if path, ok := strings.CutPrefix(c.database, "sqlite3://"); ok && path != ":memory:" {
		return path, nil
	}
	if strings.HasPrefix(c.database, "postgresql://") || c.database == "sqlite3://:memory:" {
		return filepath.Join(c.buckets, "stand-in.db"), nil
	}
	return "", fmt.Errorf("Cannot establish connection: no backend for '%s'", strings.SplitN(c.database, ":", 2)[0])
}

// newStore creates the genesis ledger, whatever was there, unless the file is not a database.
func newStore(c *config) error {
	path, err := c.databasePath()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	case len(text) > 0 && !bytes.HasPrefix(text, []byte(storeMark)):
		return errNotDatabase
	}
	for _, part := range []string{"publishqueue", "tmp"} {
		if err := os.RemoveAll(filepath.Join(c.buckets, part)); err != nil {
			return err
		}
	}
	first := genesis(c.passphrase)
	// Ledger 1 is the first of the first checkpoint, so that publishing is complete from the start.
	s := &store{path: path, Passphrase: c.passphrase, LCL: first, Building: []ledger{first}, Peers: map[string]*peerRecord{}}
	return s.save()
}

// openStore reads the database of a node after `new-db`.
func openStore(c *config) (*store, error) {
	path, err := c.databasePath()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("Database not initialized, run new-db first")
	}
	if err != nil {
		return nil, err
	}
	body, ok := bytes.CutPrefix(text, []byte(storeMark))
	s := &store{path: path}
	if !ok || json.Unmarshal(body, s) != nil {
		return nil, errNotDatabase
	}
	if s.Passphrase != c.passphrase {
		return nil, errors.New("NETWORK_PASSPHRASE does not match previously saved network passphrase")
	}
	if s.Peers == nil {
		s.Peers = map[string]*peerRecord{}
	}
	return s, nil
}

// save writes everything, so that a crash leaves the old or the new state.
func (s *store) save() error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return err
	}
	partial := s.path + "-wal"
	if err := os.WriteFile(partial, append([]byte(storeMark), text...), 0o644); err != nil {
		return err
	}
	return os.Rename(partial, s.path)
}

// remember adds a closed ledger, and keeps the last `slots` for peers.
func (s *store) remember(closed ledger, slots int) {
	s.LCL = closed
	s.Slots = append(s.Slots, closed)
	if extra := len(s.Slots) - slots; extra > 0 {
		s.Slots = append([]ledger(nil), s.Slots[extra:]...)
	}
}

// bucketsLock is the file whose lock this process holds. It is kept here because a collected file would be closed, and
// its lock lost.
var bucketsLock *os.File

// lockBuckets locks the directory of buckets for this process until it ends.
func lockBuckets(directory string) error {
	if err := os.MkdirAll(filepath.Join(directory, "tmp"), 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(directory, "publishqueue"), 0o755); err != nil {
		return err
	}
	path := filepath.Join(directory, "stellar-core.lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o700)
	if err != nil {
		return fmt.Errorf("unable to open lock file: %s (%v)", path, err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return fmt.Errorf("unable to flock file: %s (%v)", path, err)
	}
	bucketsLock = file
	return nil
}
