package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// config is what a node uses of its config file, checked by the rules of stellar-core's `Config::processConfig`.
type config struct {
	version       string
	passphrase    string
	networkID     [32]byte
	seed          ed25519.PrivateKey
	id            string
	validator     bool
	standalone    bool
	homeDomain    string
	peerPort      int
	httpPort      int
	target        int
	knownPeers    []string
	preferred     []string
	archives      []archive
	database      string
	buckets       string
	slots         int
	parallelApply bool
	complete      bool
	quorum        quorumSet
	names         map[string]string
	unsafe        bool
	failureSafety int64
	table         map[string]any
}

// loadConfig reads a file, or returns the error that stellar-core would report.
func loadConfig(path, version string) (*config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("No config file %s found", path)
	}
	if err != nil {
		return nil, fmt.Errorf("Failed to parse '%s' :Error opening file '%s'", path, path)
	}
	c, err := parseConfig(string(text), version)
	if err != nil {
		return nil, fmt.Errorf("Failed to parse '%s' :%v", path, err)
	}
	return c, nil
}

// parseConfig checks a config's text.
func parseConfig(text, version string) (*config, error) {
	table := map[string]any{}
	if _, err := toml.Decode(text, &table); err != nil {
		return nil, err
	}
	rules, err := keysOf(version)
	if err != nil {
		return nil, err
	}
	for _, key := range sortedKeys(table) {
		rule, known := rules[key]
		if !known {
			return nil, fmt.Errorf("Unknown configuration entry: '%s'", key)
		}
		if err := rule.check(key, table[key]); err != nil {
			return nil, err
		}
	}
	c := &config{version: version, table: table, names: map[string]string{}}
	c.settings()
	if err := c.identity(); err != nil {
		return nil, err
	}
	if err := c.history(); err != nil {
		return nil, err
	}
	if err := c.loadQuorum(); err != nil {
		return nil, err
	}
	return c, c.further()
}

// settings reads the values outside of tables.
func (c *config) settings() {
	c.passphrase = c.text("NETWORK_PASSPHRASE", "")
	c.networkID = sha256.Sum256([]byte(c.passphrase))
	c.validator = c.flag("NODE_IS_VALIDATOR", false)
	c.standalone = c.flag("RUN_STANDALONE", false)
	c.homeDomain = c.text("NODE_HOME_DOMAIN", "")
	c.peerPort = c.number("PEER_PORT", 11625)
	c.httpPort = c.number("HTTP_PORT", 11626)
	c.target = c.number("TARGET_PEER_CONNECTIONS", 8)
	c.knownPeers = c.texts("KNOWN_PEERS")
	c.preferred = c.texts("PREFERRED_PEERS")
	c.database = c.text("DATABASE", "sqlite3://:memory:")
	c.buckets = c.text("BUCKET_DIR_PATH", "buckets")
	c.slots = c.number("MAX_SLOTS_TO_REMEMBER", 12)
	c.complete = c.flag("CATCHUP_COMPLETE", false)
	c.unsafe = c.flag("UNSAFE_QUORUM", false)
	c.failureSafety = int64(c.number("FAILURE_SAFETY", -1))
	// On by default since 25. The key lost its EXPERIMENTAL_ in 25.1, which still reads the old one but ignores it.
	parallel := "PARALLEL_LEDGER_APPLY"
	if older(c.version, "25.1.0") {
		parallel = "EXPERIMENTAL_PARALLEL_LEDGER_APPLY"
	}
	c.parallelApply = c.flag(parallel, !older(c.version, "25.0.0"))
	if c.database == "sqlite3://:memory:" {
		c.parallelApply = false
	}
}

// identity reads the seed, and the key that it belongs to.
func (c *config) identity() error {
	text, given := c.table["NODE_SEED"].(string)
	if !given {
		_, c.seed, _ = ed25519.GenerateKey(rand.Reader)
		c.id = publicKey(c.seed)
		return nil
	}
	words := strings.Fields(text)
	if len(text) < 2 || len(words) == 0 {
		return fmt.Errorf("invalid key: %s", text)
	}
	raw, err := decodeKey(seedByte, words[0])
	if err != nil {
		return fmt.Errorf("invalid seed")
	}
	c.seed = ed25519.NewKeyFromSeed(raw)
	c.id = publicKey(c.seed)
	if len(words) > 1 {
		return c.name(c.id, words[1])
	}
	return nil
}

// name gives a key a name, once.
func (c *config) name(key, name string) error {
	if _, taken := c.resolve("$" + name); taken {
		return fmt.Errorf("name already used: %s", name)
	}
	if _, named := c.names[key]; named {
		return fmt.Errorf("naming node twice: %s", name)
	}
	c.names[key] = name
	return nil
}

// resolve finds the key of `$name`, or of `@G…` by its prefix.
func (c *config) resolve(text string) (string, bool) {
	if len(text) < 2 {
		return "", false
	}
	for key, name := range c.names {
		if text[0] == '$' && name == text[1:] || text[0] == '@' && strings.HasPrefix(key, text[1:]) {
			return key, true
		}
	}
	if _, err := decodeKey(accountByte, text); err != nil {
		return "", false
	}
	return text, true
}

// nodeID reads a member of a quorum set: `G…`, `G… name`, `$name`.
func (c *config) nodeID(text string) (string, error) {
	words := strings.Fields(text)
	if len(text) < 2 || len(words) == 0 {
		return "", fmt.Errorf("invalid key: %s", text)
	}
	if text[0] == '$' {
		key, known := c.resolve(text)
		if !known {
			return "", fmt.Errorf("unknown key in config: %s", text)
		}
		return key, nil
	}
	if _, err := decodeKey(accountByte, words[0]); err != nil {
		return "", fmt.Errorf("bad public key: %s", words[0])
	}
	if len(words) > 1 {
		return words[0], c.name(words[0], words[1])
	}
	return words[0], nil
}

// display returns the name of a key in answers.
func (c *config) display(key string, full bool) string {
	if full {
		return key
	}
	if name, named := c.names[key]; named {
		return name
	}
	return short(key)
}

func (c *config) text(key, otherwise string) string {
	if value, ok := c.table[key].(string); ok {
		return value
	}
	return otherwise
}

func (c *config) flag(key string, otherwise bool) bool {
	if value, ok := c.table[key].(bool); ok {
		return value
	}
	return otherwise
}

func (c *config) number(key string, otherwise int) int {
	if value, ok := c.table[key].(int64); ok {
		return int(value)
	}
	return otherwise
}

func (c *config) texts(key string) []string {
	var result []string
	items, _ := c.table[key].([]any)
	for _, item := range items {
		if text, ok := item.(string); ok {
			result = append(result, text)
		}
	}
	return result
}

func sortedKeys[V any](table map[string]V) []string {
	keys := make([]string, 0, len(table))
	for key := range table {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
