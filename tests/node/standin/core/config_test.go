package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// key returns the n-th of some keys that tests trust.
func key(n int) string {
	raw := make([]byte, 32)
	raw[0] = byte(n)
	return encodeKey(accountByte, raw)
}

func keysText(count int) string {
	var keys []string
	for n := range count {
		keys = append(keys, fmt.Sprintf("%q", key(n+1)))
	}
	return strings.Join(keys, ",")
}

const (
	aSeed   = "SAXFMVGUT2RAIGU63DBRX2KPDQWUDSJ2V4PFYATXMWJIOR3SFTIQGIGE"
	aPublic = "GC5CF4Y2NWGLOZ43GDF547CKZ4HYUTJEH4QPCWW4NRORTQG6NZ5DB7HM"
	general = "NETWORK_PASSPHRASE=\"p\"\nNODE_IS_VALIDATOR=true\n"
	seed    = "NODE_SEED=\"" + aSeed + " self\"\n"
)

func flat(count int) string { return "[QUORUM_SET]\nVALIDATORS=[" + keysText(count) + "]\n" }

// generated is a config for which stellar-core generates a quorum set from three validators of one home domain.
func generated(domain, quality, more string) string {
	text := general + "NODE_SEED=\"" + aSeed + "\"\nNODE_HOME_DOMAIN=\"" + domain + "\"\n" + more +
		"[[HOME_DOMAINS]]\nHOME_DOMAIN=\"a.org\"\nQUALITY=\"" + quality + "\"\n"
	for n := range 3 {
		text += fmt.Sprintf("[[VALIDATORS]]\nNAME=\"v%d\"\nHOME_DOMAIN=\"a.org\"\nPUBLIC_KEY=%q\nHISTORY=\"cp a/{0} {1}\"\n", n, key(n+1))
	}
	return text
}

func TestConfigsThatAreTaken(t *testing.T) {
	for name, text := range map[string]string{
		"flat":           general + seed + flat(4),
		"self":           general + seed + "[QUORUM_SET]\nVALIDATORS=[\"$self\"," + keysText(3) + "]",
		"nested":         general + seed + "[QUORUM_SET]\nVALIDATORS=[" + keysText(3) + "]\n[QUORUM_SET.in]\nVALIDATORS=[\"" + key(8) + " name\"]",
		"unsafe":         general + seed + "UNSAFE_QUORUM=true\nFAILURE_SAFETY=0\n" + flat(2),
		"generated":      generated("a.org", "HIGH", ""),
		"medium":         generated("a.org", "MEDIUM", ""),
		"ignored keys":   general + seed + "BACKGROUND_EVICTION_SCAN=\"what you will\"\n" + flat(4),
		"parallel apply": general + seed + "PARALLEL_LEDGER_APPLY=false\nMAX_SLOTS_TO_REMEMBER=120\n" + flat(4),
	} {
		if c, err := parseConfig(text, "26.1.0"); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if c.id != aPublic {
			t.Errorf("%s: is %s", name, c.id)
		}
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	for _, row := range []struct{ name, text, says string }{
		{"no TOML", "A=\n", "expected"},
		{"unknown key", general + seed + "NO_SUCH_KEY=1\n" + flat(4), "Unknown configuration entry: 'NO_SUCH_KEY'"},
		{"a key of tests", general + seed + "TESTING_UPGRADE_MAX_TX_SET_SIZE=1\n" + flat(4), ""},
		{"a key that is gone", general + seed + "FORCE_SCP=true\n" + flat(4), "Unknown configuration entry: 'FORCE_SCP'"},
		{"not a bool", general + seed + "UNSAFE_QUORUM=1\n" + flat(4), "invalid 'UNSAFE_QUORUM'"},
		{"port 0", general + seed + "PEER_PORT=0\n" + flat(4), "bad 'PEER_PORT'"},
		{"peers as text", general + seed + "KNOWN_PEERS=\"a,b\"\n" + flat(4), "'KNOWN_PEERS' must be an array"},
		{"seed", general + "NODE_SEED=\"SNOSEED\"\n" + flat(4), "invalid seed"},
		{"seed with a wrong sum", general + "NODE_SEED=\"" + aSeed[:55] + "F\"\n" + flat(4), "invalid seed"},
		{"a public key as seed", general + "NODE_SEED=\"" + aPublic + "\"\n" + flat(4), "invalid seed"},
		{"trusts nobody", general + "NODE_SEED=\"" + aSeed + "\"\n", "NODE_HOME_DOMAIN must be set"},
		{"self without alias", general + "NODE_SEED=\"" + aSeed + "\"\n[QUORUM_SET]\nVALIDATORS=[\"$self\"," + keysText(3) + "]", "unknown key in config: $self"},
		{"own key in VALIDATORS", generated("a.org", "HIGH", "") + "[[VALIDATORS]]\nNAME=\"me\"\nHOME_DOMAIN=\"a.org\"\nPUBLIC_KEY=\"" + aPublic +
			"\"\nHISTORY=\"cp a/{0} {1}\"\n", "Invalid QUORUM_SET"},
		{"a key twice", general + seed + "[QUORUM_SET]\nVALIDATORS=[" + keysText(3) + ",\"" + key(1) + "\"]", "Invalid QUORUM_SET"},
		{"one name twice", general + seed + "[QUORUM_SET]\nVALIDATORS=[\"" + key(1) + " a\",\"" + key(2) + " a\"]", "name already used: a"},
		{"three equal ones", general + seed + flat(3), "SCP unsafe"},
		{"more failures than it bears", general + seed + "FAILURE_SAFETY=1\n" + flat(3), "FAILURE_SAFETY incompatible"},
		{"no failure is safe", general + seed + "FAILURE_SAFETY=0\n" + flat(4), "SCP unsafe"},
		{"threshold", general + seed + "FAILURE_SAFETY=1\n[QUORUM_SET]\nTHRESHOLD_PERCENT=51\nVALIDATORS=[" + keysText(6) + "]", "SCP unsafe"},
		{"percent", general + seed + "[QUORUM_SET]\nTHRESHOLD_PERCENT=101\nVALIDATORS=[" + keysText(4) + "]", "invalid THRESHOLD_PERCENT"},
		{"empty set", general + seed + "[QUORUM_SET]\nTHRESHOLD_PERCENT=67\n", "invalid quorum set definition"},
		{"no table", general + seed + "[QUORUM_SET]\nX=1\nVALIDATORS=[" + keysText(4) + "]", "should be a group while parsing 'X'"},
		{"home domain", generated("b.org", "HIGH", ""), "no matching HOME_DOMAINS"},
		{"quality", generated("a.org", "BEST", ""), "Unknown QUALITY 'BEST'"},
		{"high without archive", strings.Replace(generated("a.org", "HIGH", ""), "HISTORY=", "ADDRESS=", 1), "must have an archive"},
		{"both", generated("a.org", "HIGH", "") + flat(4), "SCP unsafe"},
		{"unknown field", generated("a.org", "HIGH", "") + "WHAT=\"x\"\n", "unknown element 'WHAT'"},
		{"history text", general + seed + "HISTORY=\"x\"\n" + flat(4), "incomplete HISTORY block"},
		{"history field", general + seed + flat(4) + "[HISTORY.a]\nfetch=\"x\"\n", "Unknown HISTORY-table entry: 'fetch'"},
		{"history twice", generated("a.org", "HIGH", "") + "[HISTORY.v0]\nget=\"x\"\n", "Conflicting archive name 'v0'"},
		{"extra invariants", general + seed + "INVARIANT_EXTRA_CHECKS=true\n" + flat(4), "INVARIANT_EXTRA_CHECKS"},
		{"batches", general + seed + "FLOW_CONTROL_SEND_MORE_BATCH_SIZE=300\n" + flat(4), "FLOW_CONTROL_SEND_MORE_BATCH_SIZE"},
	} {
		if _, err := parseConfig(row.text, "26.1.0"); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

func TestKeysComeAndGoWithVersions(t *testing.T) {
	for _, row := range []struct {
		key, version string
		known        bool
	}{
		{"PARALLEL_LEDGER_APPLY", "25.2.0", true}, {"PARALLEL_LEDGER_APPLY", "25.0.1", false},
		{"EXPERIMENTAL_PARALLEL_LEDGER_APPLY", "24.0.0", true}, {"EXPERIMENTAL_PARALLEL_LEDGER_APPLY", "21.0.0", false},
		{"TESTING_UPGRADE_MAX_TX_SET_SIZE", "26.1.0", false}, {"TESTING_UPGRADE_MAX_TX_SET_SIZE", "19.0.0", false},
	} {
		if _, err := parseConfig(general+seed+row.key+"=false\n"+flat(4), row.version); (err == nil) != row.known {
			t.Errorf("%s in %s: %v", row.key, row.version, err)
		}
	}
}

// TestKeysAreTheProducts checks that the copy of the table equals the product's, which is the original.
func TestKeysAreTheProducts(t *testing.T) {
	original, err := os.ReadFile("../../../../src/core_config/keys/keys.tsv")
	if err != nil {
		t.Fatal(err)
	}
	if string(original) != keysTable {
		t.Error("core/keys.tsv differs from src/core_config/keys/keys.tsv: copy that")
	}
}

func TestParallelApplyIsTheDefaultOfSomeVersions(t *testing.T) {
	for _, row := range []struct {
		version, text string
		parallel      bool
	}{
		{"26.1.0", "", true}, {"26.1.0", "PARALLEL_LEDGER_APPLY=false", false}, {"26.1.0", "EXPERIMENTAL_PARALLEL_LEDGER_APPLY=false", true},
		{"24.0.0", "", false}, {"24.0.0", "EXPERIMENTAL_PARALLEL_LEDGER_APPLY=true", true}, {"25.0.0", "EXPERIMENTAL_PARALLEL_LEDGER_APPLY=false", false},
	} {
		c, err := parseConfig(general+seed+"DATABASE=\"sqlite3://x\"\n"+row.text+"\n"+flat(4), row.version)
		if err != nil || c.parallelApply != row.parallel {
			t.Errorf("%s with %s: %v", row.version, row.text, err)
		}
	}
}

func TestGeneratedSetsAreAMajorityOfADomain(t *testing.T) {
	c, err := parseConfig(generated("a.org", "HIGH", ""), "26.1.0")
	if err != nil {
		t.Fatal(err)
	}
	if c.quorum.Threshold != 3 || len(c.quorum.Validators) != 4 || len(c.archives) != 3 {
		t.Errorf("%+v, %d archives", c.quorum, len(c.archives))
	}
}

func TestRunNeedsAReadableArchiveAndNewDBDoesNot(t *testing.T) {
	n := newNetwork(t, 1, 1)
	m := n.nodes[0]
	plain := m.extra
	for _, row := range []struct {
		name, archive string
		says          []string
	}{
		{"none", "", []string{"No readable archives configured, catchup will fail", "History archives misconfigured", "Unable to setup the application"}},
		{"put alone", "[HISTORY.a]\nget=\"cp x {0} {1}\"\n[HISTORY.b]\nput=\"cp {0} {1}\"\n", []string{"Archive 'b' has 'put' but no 'get' command"}},
		{"neither", "[HISTORY.a]\nget=\"cp x {0} {1}\"\n[HISTORY.b]\nmkdir=\"mkdir {0}\"\n", []string{"Archive 'b' has no 'get' or 'put' command"}},
		{"argument 2", "[HISTORY.a]\nget=\"cp {2} {1}\"\n", []string{"failed to format command string"}},
		{"lone brace", "[HISTORY.a]\nget=\"cp {0} {1}\"\nput=\"cp { {1}\"\n", []string{"failed to format command string"}},
	} {
		m.extra = "UNSAFE_QUORUM=true\nFAILURE_SAFETY=0\n" + plain + row.archive
		if ok, output := m.call("new-db"); !ok {
			t.Errorf("%s: new-db: %s", row.name, output)
		}
		ok, output := m.call("run")
		for _, text := range row.says {
			if ok || !strings.Contains(output, text) {
				t.Errorf("%s: %s", row.name, output)
			}
		}
	}
	m.extra = "NO_SUCH_KEY=1\n" + plain
	if ok, output := m.call("new-db"); ok || !strings.Contains(output, "[default FATAL] Got an exception: Failed to parse") ||
		!strings.Contains(output, "Unknown configuration entry: 'NO_SUCH_KEY'") {
		t.Error(output)
	}
	m.extra = "UNSAFE_QUORUM=true\nFAILURE_SAFETY=0\nPEER_FLOOD_READING_CAPACITY_BYTES=200000\n" +
		"FLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES=150000\n" + plain + "[HISTORY.a]\nget=\"cp x/{0} {1}\"\n"
	if ok, output := m.call("new-db"); !ok {
		t.Error(output)
	}
	if ok, output := m.call("run"); ok || !strings.Contains(output, "must be at least 102400 bytes") {
		t.Error(output)
	}
}

func TestWhatAValidatorRefusesWhenItSetsItselfUp(t *testing.T) {
	for text, says := range map[string]string{
		"":                                      "",
		"NETWORK_PASSPHRASE=\"\"":               "NETWORK_PASSPHRASE not configured",
		"HTTP_QUERY_PORT=11630":                 "HTTP_QUERY_PORT is set",
		"METADATA_OUTPUT_STREAM=\"fd:3\"":       "METADATA_OUTPUT_STREAM is set",
		"ENABLE_SOROBAN_DIAGNOSTIC_EVENTS=true": "ENABLE_SOROBAN_DIAGNOSTIC_EVENTS is set",
		"BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT=32": "must be less than 32",
		"BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT=7":  "at least 8",
		"INVARIANT_CHECKS=[\"(?!BucketListIs).*\"]": "",
		"INVARIANT_CHECKS=[\"NoSuchInvariant\"]":    "did not match any",
		"INVARIANT_CHECKS=[\"Events.*\"]":           "did not match any",
		"INVARIANT_CHECKS=[\"[\"]":                  "Invalid invariant pattern",
		"INVARIANT_CHECKS=[\"ledgerEntryIsValid\"]": "",
	} {
		passphrase := "NETWORK_PASSPHRASE=\"p\"\n"
		if strings.HasPrefix(text, "NETWORK") {
			passphrase = ""
		}
		c, err := parseConfig(passphrase+"NODE_IS_VALIDATOR=true\n"+seed+text+"\n"+flat(4), "26.1.0")
		if err == nil {
			err = c.checkApplication()
		}
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestADatabaseThatIsCorruptIsNotMadeAnew(t *testing.T) {
	n := newNetwork(t, 1, 1)
	m := n.nodes[0]
	m.keys("UNSAFE_QUORUM=true\nFAILURE_SAFETY=0")
	m.archive(n.empty(), false)
	database := filepath.Join(m.dir, "stellar.db")
	if ok, output := m.call("run"); ok {
		t.Errorf("runs without a database: %s", output)
	}
	if err := os.WriteFile(database, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if ok, output := m.call("new-db"); ok || !strings.Contains(output, "file is not a database") {
			t.Error(output)
		}
	}
	if err := os.WriteFile(database, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	m.create()
	m.start()
	m.grows(1)
	if ok, output := m.call("new-db"); ok || !strings.Contains(output, "unable to flock file") {
		t.Errorf("new-db beside a running core: %s", output)
	}
}
