package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Timers of stellar-core's overlay, in its seconds; those that wait for another machine are never shortened.
const (
	authenticationSeconds = 2
	idleSeconds           = 30
	dialSeconds           = 2
)

// message is what stand-ins send each other after HELLO; one field is set.
type message struct {
	Statement *statement `json:"statement,omitempty"`
	GetSlots  uint32     `json:"getSlots,omitempty"`
	Slots     []ledger   `json:"slots,omitempty"`
	Error     string     `json:"error,omitempty"`
}

// peer is a connection with another node.
type peer struct {
	conn     net.Conn
	outbound bool
	// address is the dialled address, or the listen address that a dialling peer reports.
	address string
	hello   hello
	since   time.Time
	out     chan []byte
}

// accept takes a peer that dials in.
func (n *node) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go n.meet(&peer{conn: conn, address: conn.RemoteAddr().String()})
	}
}

// dial connects to an address, and records the result in the peer database.
func (n *node) dial(p *peer) {
	dialer := net.Dialer{Timeout: max(n.after(dialSeconds), dialSeconds*time.Second)}
	if n.bind != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(n.bind)}
	}
	conn, err := dialer.Dial("tcp4", p.address)
	if err != nil {
		n.mu.Lock()
		delete(n.pending, p)
		n.backOff(p.address)
		n.mu.Unlock()
		return
	}
	p.conn = conn
	n.meet(p)
}

// meet exchanges HELLO (the dialling node speaks first) and then talks until the connection ends.
func (n *node) meet(p *peer) {
	defer p.conn.Close()
	n.mu.Lock()
	n.pending[p] = struct{}{}
	n.mu.Unlock()
	reader := bufio.NewReader(p.conn)
	err := n.greet(p, reader)
	n.mu.Lock()
	delete(n.pending, p)
	if err == nil {
		err = n.admit(p)
	}
	if err != nil && p.outbound {
		n.backOff(p.address)
	}
	n.mu.Unlock()
	if err != nil {
		info("Overlay", "Dropping peer %s, reason %v", p.address, err)
		return
	}
	go p.write(p.out, n.after(idleSeconds))
	err = n.listen(p, reader)
	n.mu.Lock()
	if n.peers[p.hello.id] == p {
		delete(n.peers, p.hello.id)
	}
	close(p.out)
	p.out = nil
	n.mu.Unlock()
	info("Overlay", "Dropping peer %s@%s, reason %v", n.c.display(p.hello.id, false), p.address, err)
}

// greet exchanges HELLO.
func (n *node) greet(p *peer, reader *bufio.Reader) error {
	_ = p.conn.SetDeadline(time.Now().Add(max(n.after(authenticationSeconds), authenticationSeconds*time.Second)))
	own, err := encodeHello(n.c)
	if err != nil {
		return err
	}
	if p.outbound {
		if err := writeRecord(p.conn, own); err != nil {
			return err
		}
	}
	body, err := readRecord(reader)
	if err != nil {
		return err
	}
	if p.hello, err = decodeHello(body); err != nil {
		return err
	}
	if !p.outbound {
		host, _, _ := net.SplitHostPort(p.conn.RemoteAddr().String())
		p.address = net.JoinHostPort(host, strconv.Itoa(p.hello.port))
		if err := writeRecord(p.conn, own); err != nil {
			return err
		}
	}
	switch {
	case p.hello.networkID != n.c.networkID:
		return errors.New("wrong network passphrase")
	case p.hello.expires.Before(time.Now()):
		return errors.New("expired certificate")
	case p.hello.overlay < overlayMinVersion:
		return errors.New("wrong protocol version")
	case p.hello.id == n.c.id:
		return errors.New("connecting to self")
	}
	return nil
}

// admit adds a peer to the authenticated ones, unless it is connected already or there is no room.
func (n *node) admit(p *peer) error {
	inbound, outbound := n.counts()
	switch {
	case n.stopping:
		return errors.New("shutting down")
	case n.banned[p.hello.id]:
		return errors.New("node is banned")
	case p.outbound && outbound >= n.c.target || !p.outbound && inbound >= 8*n.c.target:
		return errors.New("peer rejected: all available slots are taken")
	}
	if other := n.peers[p.hello.id]; other != nil {
		// Both dialled each other at once: both keep the connection that the lower key dialled.
		crossed := other.outbound != p.outbound && time.Since(other.since) < n.after(1)
		if !crossed || p.outbound != (n.c.id < p.hello.id) {
			return fmt.Errorf("already-connected peer: %s", n.c.display(p.hello.id, false))
		}
		other.conn.Close()
	}
	p.since, p.out = time.Now(), make(chan []byte, 1024)
	n.peers[p.hello.id] = p
	n.know(p)
	info("Overlay", "Authenticated to %s@%s", n.c.display(p.hello.id, false), p.address)
	for _, one := range n.statements {
		p.send(message{Statement: one})
	}
	p.send(message{GetSlots: n.s.LCL.Seq + 1})
	return nil
}

// counts returns the number of authenticated connections in each direction.
func (n *node) counts() (inbound, outbound int) {
	for _, p := range n.peers {
		if p.outbound {
			outbound++
		} else {
			inbound++
		}
	}
	return inbound, outbound
}

// send queues a message; a peer that does not keep up is dropped.
func (p *peer) send(m message) {
	text, err := json.Marshal(m)
	if err != nil || p.out == nil {
		return
	}
	select {
	case p.out <- text:
	default:
		p.conn.Close()
	}
}

// flood sends to all peers except one.
func (n *node) flood(m message, but *peer) {
	for _, p := range n.peers {
		if p != but {
			p.send(m)
		}
	}
}

// write sends the queued messages.
func (p *peer) write(out <-chan []byte, idle time.Duration) {
	for text := range out {
		_ = p.conn.SetWriteDeadline(time.Now().Add(idle))
		if err := writeRecord(p.conn, text); err != nil {
			p.conn.Close()
			return
		}
	}
}

// listen reads from a peer until it falls silent.
func (n *node) listen(p *peer, reader *bufio.Reader) error {
	for {
		_ = p.conn.SetReadDeadline(time.Now().Add(n.after(idleSeconds)))
		body, err := readRecord(reader)
		if err != nil {
			return err
		}
		var m message
		if err := json.Unmarshal(body, &m); err != nil {
			return err
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
		n.mu.Lock()
		switch {
		case n.peers[p.hello.id] != p || n.stopping:
		case m.Statement != nil:
			n.hear(m.Statement, p)
		case m.GetSlots > 0:
			if slots := n.remembered(m.GetSlots); len(slots) > 0 {
				p.send(message{Slots: slots})
			}
		default:
			for _, one := range m.Slots {
				if n.takesSlots(one.Seq) {
					n.bufferLedger(one)
				}
			}
			n.consider()
		}
		n.mu.Unlock()
	}
}
