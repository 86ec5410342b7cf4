// A stand-in for stellar-core: it does what a validator's pod can see.
//
// It checks its config, makes databases and archives, meets peers, closes ledgers with a quorum of them, catches up and
// publishes as recorded from stellar-core 26.1.0. It applies no transactions. Called as `curl`, it is as much of curl
// as an archive's `get` needs.
//
// Environment: STAND_IN_VERSION (26.1.0), whose keys it knows; STAND_IN_LEDGER_SECONDS (5), which scales each of its
// timers; STAND_IN_CHECKPOINT (64) ledgers; STAND_IN_ADDRESS, the one address that it listens on and dials from;
// STAND_IN_LINGER, how long it takes to stop, in addition to the usual half second.
package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"crypto/ed25519"
)

// version is the version of stellar-core that it acts as; a build may set another.
var version = "26.1.0"

// settings are the values from the environment.
type settings struct {
	version    string
	ledger     time.Duration
	checkpoint uint32
	bind       string
	linger     time.Duration
}

func readSettings() settings {
	s := settings{version: version, ledger: 5 * time.Second, checkpoint: 64, bind: os.Getenv("STAND_IN_ADDRESS")}
	if text := os.Getenv("STAND_IN_VERSION"); text != "" {
		s.version = text
	}
	if seconds, err := strconv.ParseFloat(os.Getenv("STAND_IN_LEDGER_SECONDS"), 64); err == nil && seconds > 0 {
		s.ledger = time.Duration(seconds * float64(time.Second))
	}
	if ledgers, err := strconv.ParseUint(os.Getenv("STAND_IN_CHECKPOINT"), 10, 32); err == nil && ledgers > 1 {
		s.checkpoint = uint32(ledgers)
	}
	if linger, err := time.ParseDuration(os.Getenv("STAND_IN_LINGER")); err == nil {
		s.linger = linger
	}
	return s
}

func main() {
	if filepath.Base(os.Args[0]) == "curl" {
		os.Exit(curl(os.Args[1:]))
	}
	os.Exit(command(os.Args[1:]))
}

// command does what stellar-core's command line asks for, and returns its exit code.
func command(args []string) int {
	if len(args) == 0 {
		return usage()
	}
	s := readSettings()
	name, conf, rest := args[0], "stellar-core.cfg", []string(nil)
	for i := 1; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--conf" && i+1 < len(args):
			i++
			conf = args[i]
		case strings.HasPrefix(arg, "--conf="):
			conf = strings.TrimPrefix(arg, "--conf=")
		case arg == "--console" || arg == "--wait-for-consensus":
		case arg == "--ll" && i+1 < len(args):
			i++
		case strings.HasPrefix(arg, "-"):
			fmt.Fprintf(os.Stderr, "Unrecognised token: %s\n", arg)
			return usage()
		default:
			rest = append(rest, arg)
		}
	}
	switch name {
	case "version":
		fmt.Printf("v%s\nrust version: stand-in for stellar-core\n", s.version)
		return 0
	case "gen-seed", "keypair":
		return genSeed(name == "gen-seed")
	case "sec-to-pub":
		return secToPub()
	case "new-db":
		return newDB(conf, s)
	case "new-hist":
		return newHist(conf, s, rest)
	case "run":
		return run(conf, s)
	default:
		return usage()
	}
}

func usage() int {
	fmt.Fprintln(os.Stderr, "usage: stellar-core version|gen-seed|sec-to-pub|new-db|new-hist HISTORY-LABEL...|run [--conf FILE] [--console]")
	return 1
}

// genSeed prints a new seed and its public key, in stellar-core's words or bare.
func genSeed(worded bool) int {
	raw := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(raw); err != nil {
		return 1
	}
	format := "%s\n%s\n"
	if worded {
		format = "Secret seed: %s\nPublic: %s\n"
	}
	fmt.Printf(format, encodeKey(seedByte, raw), publicKey(ed25519.NewKeyFromSeed(raw)))
	return 0
}

// secToPub reads a seed from standard input.
func secToPub() int {
	line, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	raw, err := decodeKey(seedByte, strings.TrimSpace(line))
	if err != nil {
		exception(fmt.Errorf("invalid seed"))
		return 1
	}
	fmt.Println(publicKey(ed25519.NewKeyFromSeed(raw)))
	return 0
}

// setUp starts each command that has a config: it reads the config, and locks the directory of buckets for itself.
func setUp(conf string, s settings) (*config, error) {
	c, err := loadConfig(conf, s.version)
	if err != nil {
		return nil, err
	}
	logNode = short(c.id)
	mode := os.FileMode(0)
	if stat, err := os.Stat(conf); err == nil {
		mode = stat.Mode()
	}
	groups, _ := os.Getgroups()
	info("default", "uid %d gid %d groups %v, %s is %v", os.Getuid(), os.Getgid(), groups, conf, mode)
	info("default", "Starting stellar-core v%s (a stand-in)", s.version)
	if err := c.checkApplication(); err != nil {
		return nil, err
	}
	return c, lockBuckets(c.buckets)
}

func newDB(conf string, s settings) int {
	c, err := setUp(conf, s)
	if err == nil {
		err = newStore(c)
	}
	if err != nil {
		exception(err)
		return 1
	}
	info("Ledger", "Established genesis ledger, closing")
	for _, text := range []string{"*", "* The next launch will catchup from the network afresh.", "*"} {
		info("default", "%s", text)
	}
	return 0
}

func newHist(conf string, s settings, archives []string) int {
	c, err := setUp(conf, s)
	if err == nil {
		_, err = openStore(c)
	}
	if err == nil && len(archives) == 0 {
		return usage()
	}
	if err != nil {
		exception(err)
		return 1
	}
	for _, name := range archives {
		if !c.initialize(name, filepath.Join(c.buckets, "tmp")) {
			return 1
		}
	}
	return 0
}

func run(conf string, s settings) int {
	c, err := setUp(conf, s)
	if err != nil {
		exception(err)
		return 1
	}
	if !c.sensibleArchives() {
		failure("default", "Unable to setup the application to run")
		return 1
	}
	for _, one := range c.archives {
		if err := one.formats(); err != nil {
			exception(err)
			return 1
		}
	}
	err = c.checkStart()
	if err == nil {
		err = serveNode(c, s)
	}
	if err != nil {
		exception(err)
		return 1
	}
	return 0
}

// serveNode runs a node until it is stopped.
func serveNode(c *config, s settings) error {
	stored, err := openStore(c)
	if err != nil {
		return err
	}
	// stellar-core has its own paths for temporary files; a pod without one does not start.
	probe, err := os.CreateTemp("", "stellar-core-")
	if err != nil {
		return err
	}
	probe.Close()
	os.Remove(probe.Name())
	if file, err := os.CreateTemp("/", "should-not-be-"); err == nil {
		file.Close()
		os.Remove(file.Name())
		warning("default", "the root file system is writable")
	}
	n := newNode(c, stored, s)
	listener, err := net.Listen("tcp4", net.JoinHostPort(s.bind, strconv.Itoa(c.peerPort)))
	if err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	host := "127.0.0.1"
	if c.flag("PUBLIC_HTTP_PORT", false) {
		host = "0.0.0.0"
	}
	if s.bind != "" {
		host = s.bind
	}
	if c.httpPort != 0 {
		commands, err := net.Listen("tcp4", net.JoinHostPort(host, strconv.Itoa(c.httpPort)))
		if err != nil {
			return fmt.Errorf("bind: %w", err)
		}
		go func() { _ = n.serve(commands) }()
	}
	info("default", "Listening on 0.0.0.0:%d for peers, %s:%d for HTTP requests", c.peerPort, host, c.httpPort)
	if c.validator {
		info("default", "* Force-starting scp from the current db state.")
	}
	info("Ledger", "Last closed ledger (LCL) hash is [seq=%d, hash=%.6s]", stored.LCL.Seq, stored.LCL.Hash)
	stop, ended := make(chan struct{}), make(chan struct{})
	n.mu.Lock()
	n.announce()
	n.mu.Unlock()
	go n.accept(listener)
	go func() { n.live(stop); close(ended) }()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	got := <-signals
	info("default", "got signal %d, shutting down", got)
	n.mu.Lock()
	n.stopping = true
	listener.Close()
	n.mu.Unlock()
	close(stop)
	<-ended
	time.Sleep(n.after(0.3) + s.linger)
	n.mu.Lock()
	for _, p := range n.peers {
		p.conn.Close()
	}
	n.save()
	info("default", "Application destroyed")
	return nil
}
