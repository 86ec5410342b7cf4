package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"strconv"
	"time"
)

const (
	defaultPort = 11625
	// withoutInbound is how many peers a node dials while none dials it (MIN_INBOUND_FACTOR).
	withoutInbound = 3
	// resolveSeconds is how long a name's addresses are valid; after an error it is resolved again sooner.
	resolveSeconds, resolveRetrySeconds = 600, 10
	backoffSeconds, backoffExponent     = 10, 10
)

// peerAddress matches what stellar-core accepts as a peer's address.
var peerAddress = regexp.MustCompile(`^(?:(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})|([[:alnum:].-]+))(?::(\d{1,5}))?$`)

// resolver resolves names as the pod's resolv.conf says.
var resolver = net.DefaultResolver

// resolveAddress returns the IPv4 address and port of a peer's address (PeerBareAddress::resolve). Everything else
// waits while it resolves a name. A name with a trailing dot is resolved as it is, never below the domains of
// resolv.conf.
func resolveAddress(text string) (string, error) {
	parts := peerAddress.FindStringSubmatch(text)
	if parts == nil {
		return "", fmt.Errorf("Cannot parse peer address '%s'", text)
	}
	host := parts[1]
	if host == "" {
		ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
		defer cancel()
		addresses, err := resolver.LookupIP(ctx, "ip4", parts[2])
		var unknown *net.DNSError
		switch {
		case errors.As(err, &unknown) && unknown.IsNotFound:
			return "", fmt.Errorf("Could not resolve '%s': Host not found (authoritative)", text)
		case err != nil || len(addresses) == 0:
			return "", fmt.Errorf("Could not resolve '%s': Host not found (non-authoritative), try again later", text)
		}
		host = addresses[0].String()
	} else if net.ParseIP(host) == nil {
		return "", fmt.Errorf("Could not resolve '%s': Host not found (authoritative)", text)
	}
	port := defaultPort
	if parts[3] != "" {
		port, _ = strconv.Atoi(parts[3])
		if port <= 0 || port > 65535 {
			return "", fmt.Errorf("Could not resolve '%s': port out of range", text)
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// resolvePeers adds the config's peers to the peer database: at the start, and when their names are due again.
func (n *node) resolvePeers() {
	due := n.after(resolveSeconds)
	if n.retries > 0 {
		due = min(due, n.after(resolveRetrySeconds)*time.Duration(n.retries))
	}
	if !n.resolved.IsZero() && time.Since(n.resolved) < due {
		return
	}
	first := n.resolved.IsZero()
	failed := false
	for i, text := range append(append([]string(nil), n.c.preferred...), n.c.knownPeers...) {
		address, err := resolveAddress(text)
		if err != nil {
			failure("Overlay", "Unable to resolve peer address: %v", err)
			failed = true
			continue
		}
		record := n.addressRecord(address)
		record.Inbound = false
		record.Preferred = i < len(n.c.preferred)
		if first {
			record.Failures, record.Next = 0, time.Time{}
		}
	}
	if failed {
		n.retries++
	} else {
		n.retries = 0
	}
	n.resolved = time.Now()
	n.save()
}

// addressRecord is the record of an address in the peer database.
func (n *node) addressRecord(address string) *peerRecord {
	record := n.s.Peers[address]
	if record == nil {
		record = &peerRecord{}
		n.s.Peers[address] = record
	}
	return record
}

// know records the address of a peer that was met, also of one that dialled in, to dial it after a restart.
func (n *node) know(p *peer) {
	_, known := n.s.Peers[p.address]
	record := n.addressRecord(p.address)
	if !known {
		record.Inbound = !p.outbound
	}
	record.Failures = 0
	record.Next = time.Now().Add(n.backoff(0))
	n.save()
}

// backOff delays an address that could not be reached.
func (n *node) backOff(address string) {
	record := n.addressRecord(address)
	record.Failures++
	record.Next = time.Now().Add(n.backoff(record.Failures))
	n.save()
}

// backoff returns a random time that doubles with each failure, up to 2.8 hours.
func (n *node) backoff(failures int) time.Duration {
	longest := backoffSeconds << min(failures, backoffExponent)
	return n.after(float64(rand.IntN(longest) + 1))
}

// dialCandidates dials addresses of the peer database, up to the number of outbound connections that the node wants.
func (n *node) dialCandidates() {
	inbound, outbound := n.counts()
	want := n.c.target
	if inbound == 0 && !n.c.standalone {
		want = min(want, withoutInbound)
	}
	busy := map[string]bool{}
	for _, p := range n.peers {
		busy[p.address] = true
	}
	for p := range n.pending {
		if p.outbound {
			busy[p.address] = true
			outbound++
		}
	}
	// Preferred ones first, then those that were dialled before, then those that dialled in.
	var groups [3][]string
	for address, record := range n.s.Peers {
		group := 1
		if record.Preferred {
			group = 0
		} else if record.Inbound {
			group = 2
		}
		if !busy[address] && time.Now().After(record.Next) {
			groups[group] = append(groups[group], address)
		}
	}
	for _, group := range groups {
		for _, address := range shuffled(group) {
			if outbound >= want {
				return
			}
			outbound++
			n.begin(address)
		}
	}
}

// begin dials an address.
func (n *node) begin(address string) {
	p := &peer{outbound: true, address: address}
	n.pending[p] = struct{}{}
	go n.dial(p)
}

// connect is `/connect`: it dials at once.
func (n *node) connect(text string) error {
	address, err := resolveAddress(text)
	if err != nil {
		return err
	}
	for _, p := range n.peers {
		if p.address == address {
			failure("Overlay", "trying to connect to a node we're already connected to %s", address)
			failure("Overlay", "Please report this bug along with this log file if this was not expected")
			return nil
		}
	}
	record := n.addressRecord(address)
	record.Inbound, record.Failures, record.Next = false, 0, time.Time{}
	n.save()
	n.begin(address)
	return nil
}
