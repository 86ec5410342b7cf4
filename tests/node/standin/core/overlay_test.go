package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// recordedHello is the first record that stellar-core 26.1.0 sends to a peer.
const recordedHello = "800001240000000000000000000000000000000d0000001a0000002800000026" +
	"b1dbbdc495210f87cfc13c36eefa0ac2d702d8630233192ed989de88aa9603fb" +
	"0000000f7632362e312e302d707269766174650000002d6900000000edb222a91c6b45506575bb711b4823987d1b5da44881f1766e5edab66919a605" +
	"d4c6b3c2380f17e1cba05d2769f8867bf6d3cdd34e7e765765e401ecc0284e31000000006b0ad5ca00000040" +
	"da663ed2bc3217d92514cf2d74da73595b8a38701fb38d15b5f91326ac2541adef79364f62ef2ffef9496d07f6c6eaf6abb7a42bbddee2b1af4c1a4f47f3be04" +
	"43b14b204b78151922013a93f24821c34c3637ccaab7a4b1ef7c6f9a7e7befca" +
	"0000000000000000000000000000000000000000000000000000000000000000"

func TestTheRecordedHelloIsRead(t *testing.T) {
	raw, err := hex.DecodeString(recordedHello)
	if err != nil {
		t.Fatal(err)
	}
	body, err := readRecord(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	h, err := decodeHello(body)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig(`NETWORK_PASSPHRASE="Private core rig ; 2026"`+"\nUNSAFE_QUORUM=true\nFAILURE_SAFETY=0\n[QUORUM_SET]\nVALIDATORS=[\""+h.id+"\"]", "26.1.0")
	if err != nil {
		t.Fatal(err)
	}
	if h.id != "GDW3EIVJDRVUKUDFOW5XCG2IEOMH2G25UREID4LWNZPNVNTJDGTALM3M" || h.version != "v26.1.0-private" || h.port != 11625 ||
		h.overlay != 40 || h.networkID != c.networkID || h.expires.Unix() != 1795872202 {
		t.Errorf("%+v", h)
	}
	body[150] ^= 1
	if _, err := decodeHello(body); err == nil {
		t.Error("a changed certificate holds")
	}
}

func TestANodeSaysHelloFirstToWhomItDials(t *testing.T) {
	n := newNetwork(t, 1, 1)
	m := n.nodes[0]
	m.keys("UNSAFE_QUORUM=true\nFAILURE_SAFETY=0")
	m.archive(n.empty(), false)
	m.known = nil
	m.create()
	m.start()
	eventually(t, patience, "it answers", func() bool { return m.get("info") != "" })
	listener, err := net.Listen("tcp4", strings.TrimSuffix(m.address, "1")+"77:11625")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	host, _, _ := net.SplitHostPort(listener.Addr().String())
	if answer := m.get("connect?peer=" + host + "&port=11625"); answer != "Connect to: "+host+":11625" {
		t.Error(answer)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	body, err := readRecord(bufio.NewReader(conn))
	if err != nil {
		t.Fatal(err)
	}
	h, err := decodeHello(body)
	if err != nil || h.id != m.id || h.port != 11625 || h.version != "v26.1.0" || len(body) != 284 {
		t.Errorf("%d bytes, %+v, %v", len(body), h, err)
	}
}

func TestFourWithoutPeersMeetWhenToldAndAgainAfterARestart(t *testing.T) {
	n := private(t)
	for _, m := range n.nodes {
		m.known = nil
	}
	n.up()
	first := n.nodes[0]
	for _, m := range n.nodes {
		eventually(t, patience, "it answers", func() bool { return m.get("info") != "" })
	}
	for i, m := range n.nodes {
		for _, other := range n.nodes[i+1:] {
			if answer := m.connect(other); answer != "Connect to: "+other.address+":11625" {
				t.Error(answer)
			}
		}
	}
	for _, m := range n.nodes {
		eventually(t, patience, "all are connected to all", func() bool { return m.connected() == 3 })
		m.grows(1)
	}
	for _, m := range n.nodes {
		m.kill()
	}
	for _, m := range n.nodes {
		m.start()
	}
	for _, m := range n.nodes {
		m.votes(first, patience)
		m.grows(1)
	}
	n.agree()
}

func TestAnswersOfCommandsAreTheRecordedOnes(t *testing.T) {
	n := private(t)
	n.up()
	for _, m := range n.nodes {
		m.grows(2)
	}
	m := n.nodes[0]
	for path, want := range map[string]string{
		"connect?peer=foo_bar&port=1": `{"exception": "Cannot parse peer address 'foo_bar:1'"}`,
		"connect?peer=127.0.0.1":      "Must specify a peer and port: connect&peer=PEER&port=PORT",
		"connect?port=1":              "Must specify a peer and port: connect&peer=PEER&port=PORT",
		"droppeer":                    "Must specify at least peer id: droppeer?node=NODE_ID",
		"droppeer?node=GABC":          "Peer GABC not found",
		"quorum?node=nobody":          `{"exception": "unknown name"}`,
	} {
		if got := m.get(path); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	// Each of these lines was recorded.
	for path, lines := range map[string][]string{
		"info": {"{\n   \"info\" : {\n      \"build\" : \"v26.1.0\",\n      \"ledger\" : {\n         \"age\" : ", "\"authenticated_count\" : 3,",
			"\"maybe_dead_nodes\" : [],", "\"fail_at\" : 2,", "\"phase\" : \"EXTERNALIZE\",", "\"state\" : \"Synced!\"\n   }\n}\n"},
		"peers?fullkeys=true":    {"{\n   \"authenticated_peers\" : {\n      \"inbound\" : ", "\"id\" : \"" + n.nodes[1].id + "\",", "\"pending_peers\" : {"},
		"quorum":                 {"{\n   \"maybe_dead_nodes\" : [],\n   \"node\" : \"self\",\n   \"qset\" : {\n      \"agree\" : [ ", "\"missing\" : null,", "\"t\" : 3,"},
		"quorum?transitive=true": {"\"distance\" : 0,", "\"status\" : \"tracking\",", "\"node_count\" : 4,"},
		"metrics":                {"\"overlay.connection.authenticated\":{\n\"type\":\"counter\",\n\"count\":3\n}"},
	} {
		for _, line := range lines {
			eventually(t, patience, path+" has "+line, func() bool { return strings.Contains(m.get(path), line) })
		}
	}
	gone := n.nodes[1]
	if answer := m.get("droppeer?node=" + gone.id + "&ban=1"); answer != "Drop and ban peer: "+gone.id {
		t.Error(answer)
	}
	eventually(t, patience, "it is dropped", func() bool { return m.connected() == 2 })
	m.grows(2)
}

func TestNodesOfAnotherNetworkAreNoPeers(t *testing.T) {
	one := private(t)
	other := &member{network: &network{t: t, number: 99, root: one.root, checkpoint: 64}, address: strings.TrimSuffix(one.nodes[0].address, "1") + "99",
		dir: filepath.Join(one.root, "other"), seed: one.nodes[0].seed, id: one.nodes[0].id, extra: one.nodes[0].extra, known: one.nodes[1].known}
	t.Cleanup(other.kill)
	one.up()
	other.make()
	other.create()
	other.start()
	for _, m := range one.nodes {
		m.grows(4)
	}
	if connected := other.connected(); connected != 0 || other.ledger() != 1 {
		t.Errorf("it has %d peers and is at %d", connected, other.ledger())
	}
}

// names is a DNS server that only knows core.example. It returns the names of its queries.
func names(t *testing.T) (asked func() []string) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var questions []string
	go func() {
		packet := make([]byte, 512)
		for {
			n, from, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			name, end := "", 12
			for end < n && packet[end] != 0 {
				name += string(packet[end+1:end+1+int(packet[end])]) + "."
				end += 1 + int(packet[end])
			}
			mu.Lock()
			questions = append(questions, name)
			mu.Unlock()
			answer := append([]byte{packet[0], packet[1], 0x84, 3, 0, 1, 0, 0, 0, 0, 0, 0}, packet[12:end+5]...)
			if name == "core.example." {
				answer[3], answer[7] = 0, 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 9)
			}
			_, _ = server.WriteTo(answer, from)
		}
	}()
	before := resolver
	resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() { resolver = before; _ = server.Close() })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return questions
	}
}

func TestAddressesAreReadAsPeerBareAddressDoes(t *testing.T) {
	names(t)
	for text, want := range map[string]string{
		"127.0.0.1": "127.0.0.1:11625", "127.0.0.1:99": "127.0.0.1:99", "localhost:7": "127.0.0.1:7",
		"core.example": "10.0.0.9:11625", "core.example:7": "10.0.0.9:7",
		// The dot makes a name absolute: the pattern accepts it, and so does the resolver.
		"core.example.": "10.0.0.9:11625", "core.example.:7": "10.0.0.9:7",
	} {
		if got, err := resolveAddress(text); got != want || err != nil {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	unparsed, unknown, noPort := "Cannot parse peer address '%s'", "Could not resolve '%s': Host not found (authoritative)", "Could not resolve '%s': port out of range"
	for text, want := range map[string]string{
		"": unparsed, "foo_bar": unparsed, "[::1]:1": unparsed, "127.0.0.1/24": unparsed, "core.example.:": unparsed, "core.example:123456": unparsed,
		"127.0.0.1:0": noPort, "127.0.0.1:65536": noPort, "core.example.:0": noPort,
		// Four numbers are no name; with a trailing dot they are one that does not exist.
		"127.0.0.256": unknown, "127.0.0.1.": unknown, "nobody.example.:1": unknown,
	} {
		if got, err := resolveAddress(text); err == nil || err.Error() != fmt.Sprintf(want, text) {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

func TestAnAbsoluteNameIsAskedForAsItIs(t *testing.T) {
	asked := names(t)
	_, _ = resolveAddress("nobody.example.:1")
	if got := asked(); !slices.Equal(slices.Compact(got), []string{"nobody.example."}) {
		t.Errorf("asked for %v", got)
	}
}

func TestBackoffDoublesUpToHours(t *testing.T) {
	n := &node{unit: time.Second}
	for failures, longest := range map[int]time.Duration{0: 10 * time.Second, 3: 80 * time.Second, 30: 10240 * time.Second} {
		for range 100 {
			if got := n.backoff(failures); got <= 0 || got > longest {
				t.Errorf("%d failures: %v", failures, got)
			}
		}
	}
}
