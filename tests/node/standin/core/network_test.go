package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The stand-in's timers run this much faster in tests: ledgers of 0.4 s, checkpoints of 16 ledgers.
const (
	testLedgerSeconds = 0.4
	testCheckpoint    = 16
	// patience is how long tests wait for what takes moments on an idle machine.
	patience = 20 * time.Second
)

// unit is the length of a second of stellar-core's own timers.
func (n *network) unit() time.Duration { return time.Duration(n.seconds * float64(time.Second) / 5) }

// TestMain is the stand-in itself if a test started it as such.
func TestMain(m *testing.M) {
	if os.Getenv("STAND_IN_IN_TESTS") != "" {
		main()
	}
	flag.Parse()
	// Nodes mostly wait.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

var networks atomic.Int32

// network is a number of nodes on loopback addresses of their own.
type network struct {
	t      *testing.T
	number int
	root   string
	nodes  []*member
	// checkpoint is how many ledgers a checkpoint has, seconds how long a ledger takes.
	checkpoint uint32
	seconds    float64
}

// member is one node of a network, running or not.
type member struct {
	*network
	address string
	dir     string
	seed    string
	id      string
	extra   string
	known   []string
	process *exec.Cmd
	log     *os.File
}

// newNetwork makes configs for a number of nodes. Each knows all others and trusts 67 % of the first `trusted`.
func newNetwork(t *testing.T, count, trusted int) *network {
	t.Helper()
	t.Parallel()
	n := &network{t: t, number: int(networks.Add(1)), root: t.TempDir(), checkpoint: testCheckpoint, seconds: testLedgerSeconds}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(n.root, "curl")); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		raw := sha256.Sum256(fmt.Appendf(nil, "%d %d", n.number, i))
		m := &member{network: n, address: fmt.Sprintf("127.%d.%d.%d", 50+os.Getpid()%150, n.number, i+1),
			dir: filepath.Join(n.root, fmt.Sprint(i)), seed: encodeKey(seedByte, raw[:]), id: publicKey(ed25519.NewKeyFromSeed(raw[:]))}
		n.nodes = append(n.nodes, m)
	}
	for _, m := range n.nodes {
		for _, other := range n.nodes {
			if other != m {
				m.known = append(m.known, other.address+":11625")
			}
		}
		m.make()
	}
	t.Cleanup(func() {
		for _, m := range n.nodes {
			m.kill()
			if t.Failed() {
				text, _ := os.ReadFile(filepath.Join(m.dir, "log"))
				lines := strings.Split(string(text), "\n")
				t.Logf("%s %s:\n%s", m.address, short(m.id), strings.Join(lines[max(0, len(lines)-30):], "\n"))
			}
		}
	})
	trust := []string{}
	for _, m := range n.nodes[:trusted] {
		trust = append(trust, fmt.Sprintf("%q", m.id))
	}
	for _, m := range n.nodes {
		m.extra = "[QUORUM_SET]\nTHRESHOLD_PERCENT=67\nVALIDATORS=[" + strings.Join(trust, ",") + "]\n"
	}
	return n
}

func (m *member) make() {
	m.t.Helper()
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// keys adds top-level keys to a node's config; tables adds tables.
func (m *member) keys(text string)   { m.extra = text + "\n" + m.extra }
func (m *member) tables(text string) { m.extra += text + "\n" }

// archive lets a node write to a directory of its own and read from some of the others'.
func (m *member) archive(directory string, write bool) {
	text := fmt.Sprintf("[HISTORY.%s]\nget=\"cp %s/{0} {1}\"\n", filepath.Base(directory), directory)
	if write {
		text += fmt.Sprintf("put=\"cp {0} %s/{1}\"\nmkdir=\"mkdir -p %s/{0}\"\n", directory, directory)
	}
	m.tables(text)
}

func (n *network) passphrase() string { return fmt.Sprintf("network %d ; 2026", n.number) }

func (m *member) config() string {
	known := ""
	if len(m.known) > 0 {
		text, _ := json.Marshal(m.known)
		known = "KNOWN_PEERS=" + string(text) + "\n"
	}
	return fmt.Sprintf("NETWORK_PASSPHRASE=%q\nNODE_SEED=\"%s self\"\nNODE_IS_VALIDATOR=true\n"+
		"DATABASE=\"sqlite3://%s/stellar.db\"\nBUCKET_DIR_PATH=\"%s/buckets\"\n%s%s", m.passphrase(), m.seed, m.dir, m.dir, known, m.extra)
}

// command prepares a call of the stand-in with this node's config.
func (m *member) command(args ...string) *exec.Cmd {
	m.t.Helper()
	conf := filepath.Join(m.dir, "stellar-core.cfg")
	if err := os.WriteFile(conf, []byte(m.config()), 0o600); err != nil {
		m.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		m.t.Fatal(err)
	}
	command := exec.Command(self, append(args, "--conf", conf, "--console")...)
	command.Dir = m.dir
	command.Env = append(os.Environ(), "STAND_IN_IN_TESTS=1", "STAND_IN_ADDRESS="+m.address, fmt.Sprintf("STAND_IN_LEDGER_SECONDS=%v", m.seconds),
		fmt.Sprintf("STAND_IN_CHECKPOINT=%d", m.checkpoint), "PATH="+m.root+":"+os.Getenv("PATH"))
	return command
}

// call runs a command to its end, and returns whether it succeeded and what it printed.
func (m *member) call(args ...string) (bool, string) {
	m.t.Helper()
	output, err := m.command(args...).CombinedOutput()
	return err == nil, string(output)
}

// create runs new-db.
func (m *member) create() {
	m.t.Helper()
	if ok, output := m.call("new-db"); !ok {
		m.t.Fatalf("new-db: %s", output)
	}
}

// start runs the node.
func (m *member) start() {
	m.t.Helper()
	log, err := os.OpenFile(filepath.Join(m.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		m.t.Fatal(err)
	}
	m.process = m.command("run")
	m.process.Stdout, m.process.Stderr, m.log = log, log, log
	m.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := m.process.Start(); err != nil {
		m.t.Fatal(err)
	}
}

// kill ends it like a power cut.
func (m *member) kill() { m.end(syscall.SIGKILL) }

func (m *member) end(signal syscall.Signal) {
	if m.process == nil {
		return
	}
	pid := m.process.Process.Pid
	if signal == syscall.SIGKILL {
		pid = -pid // with what it runs, as where a machine loses its power
	}
	_ = syscall.Kill(pid, signal)
	_ = m.process.Wait()
	m.log.Close()
	m.process = nil
}

// up creates and starts all nodes.
func (n *network) up() {
	n.t.Helper()
	for _, m := range n.nodes {
		m.create()
	}
	for _, m := range n.nodes {
		m.start()
	}
}

// get calls one of a node's HTTP commands; empty if it does not answer.
func (m *member) get(path string) string {
	client := http.Client{Timeout: patience}
	response, err := client.Get("http://" + m.address + ":11626/" + path)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

// told is what tests read of `/info`.
type told struct {
	Info struct {
		State  string
		Status []string
		Ledger struct {
			Num  uint32
			Hash string
			Age  int
		}
		Peers struct {
			Authenticated int `json:"authenticated_count"`
		}
	}
}

func (m *member) info() (t told) {
	_ = json.Unmarshal([]byte(m.get("info")), &t)
	return t
}

func (m *member) ledger() uint32 { return m.info().Info.Ledger.Num }
func (m *member) synced() bool   { return m.info().Info.State == "Synced!" }
func (m *member) connected() int { return m.info().Info.Peers.Authenticated }
func (m *member) connect(o *member) string {
	return m.get("connect?peer=" + url.QueryEscape(o.address) + "&port=11625")
}

// grows waits until a node has closed some more ledgers.
func (m *member) grows(more uint32) {
	m.t.Helper()
	from := m.ledger()
	eventually(m.t, 2*patience, fmt.Sprintf("%s closes %d more ledgers", m.address, more), func() bool {
		return m.ledger() >= from+more && m.synced()
	})
}

// reaches waits until a node is at a given ledger.
func (m *member) reaches(seq uint32) {
	m.t.Helper()
	eventually(m.t, 3*patience, fmt.Sprintf("%s reaches ledger %d", m.address, seq), func() bool { return m.ledger() >= seq })
}

// votes waits until a node has reached another's ledger and is in consensus.
func (m *member) votes(with *member, within time.Duration) {
	m.t.Helper()
	eventually(m.t, within, m.address+" votes", func() bool {
		return m.synced() && m.connected() > 0 && m.ledger()+1 >= with.ledger()
	})
}

func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("did not happen within %v: %s", within, what)
		}
	}
}
