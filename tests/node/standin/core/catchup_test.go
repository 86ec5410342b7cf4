package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// away keeps a node down while the others close ledgers, so that it misses exactly that many or one more.
func (m *member) away(ledgers uint32, other *member) {
	m.t.Helper()
	m.kill()
	stored, err := openStore(&config{database: "sqlite3://" + m.dir + "/stellar.db", passphrase: m.passphrase()})
	if err != nil {
		m.t.Fatal(err)
	}
	other.reaches(stored.LCL.Seq + ledgers)
}

// empty is an archive that can be read and holds nothing.
func (n *network) empty() string { return filepath.Join(n.root, "empty") }

// quiet is a network of four whose only archive is never written.
func quiet(t *testing.T, keys string) *network {
	n := newNetwork(t, 4, 4)
	for _, m := range n.nodes {
		m.archive(n.empty(), false)
		m.keys(keys)
	}
	// As long as stellar-core's: none ends during a test.
	n.checkpoint = 64
	n.up()
	for _, m := range n.nodes {
		m.grows(2)
	}
	return n
}

// behind waits until a node knows that it must catch up, and checks that it still does after more ledgers.
func (m *member) behind(other *member, more uint32) {
	m.t.Helper()
	eventually(m.t, patience, m.address+" catches up", func() bool { return m.info().Info.State == "Catching up" })
	other.reaches(other.ledger() + more)
	if state := m.info().Info.State; state != "Catching up" {
		m.t.Errorf("%s is %s", m.address, state)
	}
}

func TestAwayForTenLedgersIsBackByWhatPeersRemember(t *testing.T) {
	n := quiet(t, "")
	n.nodes[3].away(8, n.nodes[0])
	n.nodes[3].start()
	n.nodes[3].votes(n.nodes[0], patience)
	n.agree()
}

func TestAwayForFourteenLedgersIsNeverBackWithoutAnArchive(t *testing.T) {
	n := quiet(t, "")
	last := n.nodes[3]
	last.away(14, n.nodes[0])
	last.start()
	eventually(t, patience, "it waits for a ledger", func() bool {
		return strings.HasPrefix(strings.Join(last.info().Info.Status, ""), "Waiting for trigger ledger: ")
	})
	last.behind(n.nodes[0], 6)
}

func TestMoreSlotsAloneDoNotHelpWithParallelApply(t *testing.T) {
	n := quiet(t, "MAX_SLOTS_TO_REMEMBER=120")
	n.nodes[3].away(15, n.nodes[0])
	n.nodes[3].start()
	n.nodes[3].behind(n.nodes[0], 6)
}

func TestTheTwoKeysBringBackWhoWasAwayForLong(t *testing.T) {
	n := quiet(t, "MAX_SLOTS_TO_REMEMBER=120\nPARALLEL_LEDGER_APPLY=false")
	last := n.nodes[3]
	last.away(20, n.nodes[0])
	last.start()
	last.votes(n.nodes[0], patience)
	// The same holds for a wiped node.
	last.kill()
	last.create()
	last.start()
	last.votes(n.nodes[0], patience)
	n.agree()
}

func TestPeersSendAHundredSlotsAtMost(t *testing.T) {
	s := &store{}
	n := &node{c: &config{slots: 720}, s: s}
	last := ledger{Seq: 1}
	for range 300 {
		last = last.next(last.Close + 5000)
		s.remember(last, n.c.slots)
	}
	got := n.remembered(1)
	if len(got) != 100 || got[99] != last {
		t.Errorf("%d slots, the last is %v", len(got), got[len(got)-1])
	}
	if n.c.slots = 12; len(n.remembered(1)) != 12 {
		t.Errorf("%d slots are more than it remembers", len(n.remembered(1)))
	}
}

func TestBeyondWhatPeersRememberAPublishedCheckpointIsFetched(t *testing.T) {
	n := newNetwork(t, 4, 4)
	for i, m := range n.nodes {
		m.archive(filepath.Join(m.dir, "volume"), true)
		// The last one reads the others' archives, one of which is dead.
		if i == 3 {
			m.archive(filepath.Join(n.nodes[0].dir, "volume0"), false)
			m.archive(filepath.Join(n.root, "dead"), false)
		}
		m.create()
	}
	if err := os.Symlink("volume", filepath.Join(n.nodes[0].dir, "volume0")); err != nil {
		t.Fatal(err)
	}
	for _, m := range n.nodes {
		if ok, output := m.call("new-hist", "volume"); !ok {
			t.Fatal(output)
		}
		m.start()
	}
	for _, m := range n.nodes {
		m.grows(2)
	}
	last := n.nodes[3]
	last.away(14, n.nodes[0])
	last.start()
	last.votes(n.nodes[0], 3*patience)
	log, _ := os.ReadFile(filepath.Join(last.dir, "log"))
	if !strings.Contains(string(log), "Catchup finished at ledger") {
		t.Error("it did not come back by an archive")
	}
	for _, m := range n.nodes[:3] {
		if _, err := os.Stat(filepath.Join(m.dir, "volume/history/00/00/00/history-0000000f.json")); err != nil {
			t.Error(err)
		}
	}
	// A wiped node takes the state of the next checkpoint.
	last.kill()
	last.create()
	last.start()
	last.votes(n.nodes[0], 3*patience)
	n.agree()
}

func TestWhoseLedgerLiesBeforeTheArchivesFirstNeverComesBackUntilWiped(t *testing.T) {
	n := quiet(t, "")
	n.checkpoint = testCheckpoint
	last := n.nodes[3]
	last.kill()
	shared := filepath.Join(n.root, "shared")
	for i, m := range n.nodes {
		m.archive(shared, i < 2)
	}
	for _, m := range n.nodes[:2] {
		m.end(15)
		if m == n.nodes[0] {
			if ok, output := m.call("new-hist", "shared"); !ok {
				t.Fatal(output)
			}
		}
		m.start()
		m.votes(n.nodes[2], patience)
	}
	eventually(t, 3*patience, "a checkpoint is published", func() bool {
		files, _ := filepath.Glob(shared + "/history/00/00/00/*")
		return len(files) > 1
	})
	log, _ := os.ReadFile(filepath.Join(n.nodes[0].dir, "log"))
	if !strings.Contains(string(log), "Skipping incomplete checkpoint, publish was previously disabled") {
		t.Error("the first checkpoint was not skipped")
	}
	if _, err := os.Stat(shared + "/history/00/00/00/history-0000000f.json"); err == nil {
		t.Error("the checkpoint in which the archive was added is there")
	}
	last.start()
	last.behind(n.nodes[0], testCheckpoint+3)
	// docs/archives.md uses this to tell it from other causes.
	log, _ = os.ReadFile(filepath.Join(last.dir, "log"))
	if !strings.Contains(string(log), "Could not download file: archive shared maybe missing file ledger/00/00/00/ledger-0000000f.xdr.gz") {
		t.Error("it does not say which file it lacks")
	}
	last.kill()
	last.create()
	last.start()
	last.votes(n.nodes[0], 3*patience)
	n.agree()
}

func TestWithoutNewHistNothingIsPublished(t *testing.T) {
	n := newNetwork(t, 1, 1)
	m := n.nodes[0]
	m.keys("UNSAFE_QUORUM=true\nFAILURE_SAFETY=0")
	m.archive(filepath.Join(m.dir, "volume"), true)
	m.create()
	m.start()
	eventually(t, 2*patience, "it waits for the archive", func() bool {
		return strings.HasSuffix(strings.Join(m.info().Info.Status, ""), ":getting archives")
	})
	if _, output := m.call("new-hist", "volume"); !strings.Contains(output, "unable to flock file") {
		t.Errorf("beside a running core: %s", output)
	}
	m.end(15)
	if ok, output := m.call("new-hist", "volume"); !ok {
		t.Errorf("new-hist: %s", output)
	}
	if ok, output := m.call("new-hist", "volume"); ok || !strings.Contains(output, "already initialized") {
		t.Errorf("again: %s", output)
	}
	if ok, output := m.call("new-hist", "other"); ok || !strings.Contains(output, "unknown history archive") {
		t.Errorf("an archive that is not there: %s", output)
	}
	m.start()
	eventually(t, patience, "what was queued is published", func() bool {
		_, err := os.Stat(filepath.Join(m.dir, "volume/ledger/00/00/00/ledger-0000000f.xdr.gz"))
		return err == nil
	})
}
