package main

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

type object = map[string]any

// serve answers stellar-core's HTTP commands; each waits for the main thread.
func (n *node) serve(listener net.Listener) error {
	mux := http.NewServeMux()
	command := func(path string, answer func(query) string) {
		mux.HandleFunc("/"+path, func(w http.ResponseWriter, r *http.Request) {
			n.mu.Lock()
			text := answer(query(r.URL.Query()))
			n.mu.Unlock()
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, text)
		})
	}
	command("info", func(query) string { return styled(n.info()) })
	command("peers", func(q query) string { return styled(n.peerList(q.is("fullkeys"))) })
	command("quorum", n.quorumAnswer)
	command("metrics", func(query) string { return n.metrics() })
	command("connect", n.connectAnswer)
	command("droppeer", n.dropAnswer)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<b>Welcome to stellar-core!</b><p>Supported HTTP commands are listed in the docs as well as in the man pages.</p>"+
			"<p>Have fun!</p>")
	})
	return http.Serve(listener, mux)
}

type query map[string][]string

func (q query) get(key string) (string, bool) {
	values := q[key]
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}

func (q query) is(key string) bool {
	value, _ := q.get(key)
	return value == "true"
}

// info answers `/info`.
func (n *node) info() object {
	last := n.s.LCL
	outboundPending := 0
	for p := range n.pending {
		if p.outbound {
			outboundPending++
		}
	}
	answer := object{
		"build":            "v" + n.c.version,
		"protocol_version": ledgerVersion,
		"state":            n.state(),
		"startedOn":        n.started.Format(time.RFC3339),
		"ledger": object{
			"num": last.Seq, "hash": last.Hash, "closeTime": last.Close / 1000, "version": 0, "baseFee": 100, "baseReserve": 100000000,
			"maxTxSetSize": 100, "age": max(0, time.Now().Unix()-last.Close/1000),
		},
		"peers":   object{"pending_count": len(n.pending), "authenticated_count": len(n.peers)},
		"network": n.c.passphrase,
		"quorum":  n.quorumSummary(false),
	}
	var status []string
	for _, subject := range sortedKeys(n.status) {
		status = append(status, n.status[subject])
	}
	if len(status) > 0 {
		answer["status"] = status
	}
	return object{"info": answer}
}

// peerList answers `/peers`.
func (n *node) peerList(full bool) object {
	lists := map[bool][]object{}
	for _, id := range sortedKeys(n.peers) {
		p := n.peers[id]
		lists[p.outbound] = append(lists[p.outbound], object{
			"address": p.address, "elapsed": int(time.Since(p.since).Seconds()), "id": n.c.display(id, full), "latency": 0,
			"olver": p.hello.overlay, "ver": p.hello.version,
			"flow_control": object{
				"local_capacity":       object{"flood": 200, "reading": 201},
				"local_capacity_bytes": object{"flood": 300000},
				"peer_capacity":        200, "peer_capacity_bytes": 300000,
			},
		})
	}
	waiting := map[bool][]string{}
	for p := range n.pending {
		waiting[p.outbound] = append(waiting[p.outbound], p.address)
	}
	slices.Sort(waiting[true])
	slices.Sort(waiting[false])
	return object{
		"authenticated_peers": object{"inbound": lists[false], "outbound": lists[true]},
		"pending_peers":       object{"inbound": waiting[false], "outbound": waiting[true]},
	}
}

// split sorts the validators of the quorum set by their state: with this node, one ledger behind or more, silent.
func (n *node) split() (agree, delayed, missing []string) {
	for _, id := range n.c.quorum.members() {
		one := n.statements[id]
		switch {
		case one == nil || id != n.c.id && time.Since(one.heard) > n.after(10):
			missing = append(missing, id)
		case one.LCL.Seq+1 < n.tracked:
			delayed = append(delayed, id)
		default:
			agree = append(agree, id)
		}
	}
	return agree, delayed, missing
}

// quorumSummary is the part about the quorum in `/info`, or with names that in `/quorum`.
func (n *node) quorumSummary(named bool) object {
	agree, delayed, missing := n.split()
	phase := "EXTERNALIZE"
	if !n.tracking || n.catchingUp {
		phase = "unknown"
	}
	failAt := n.c.quorum.blocking(func(id string) bool { return slices.Contains(agree, id) })
	qset := object{"fail_at": failAt, "hash": n.c.quorum.hash()[:6], "ledger": n.s.LCL.Seq, "phase": phase, "validated": n.c.validator}
	if named {
		names := func(ids []string) any { return n.displayAll(ids, false) }
		qset["agree"], qset["delayed"], qset["missing"], qset["disagree"] = names(agree), names(delayed), names(missing), nil
		qset["cost"], qset["lag_ms"] = object{}, object{}
		qset["fail_with"] = n.displayAll(agree[:min(failAt, len(agree))], false)
		qset["value"] = n.qsetObject(n.c.quorum, false)
	} else {
		qset["agree"], qset["delayed"], qset["missing"], qset["disagree"] = len(agree), len(delayed), len(missing), 0
		qset["cost"], qset["lag_ms"] = 4048*len(n.peers), 20
		qset["ledger"] = max(1, n.s.LCL.Seq-1)
	}
	return object{
		"maybe_dead_nodes": []string{},
		"node":             n.c.display(n.c.id, false),
		"qset":             qset,
		"transitive": object{
			"critical": nil, "intersection": true, "last_check_ledger": min(2, n.s.LCL.Seq), "node_count": len(n.c.quorum.members()),
		},
	}
}

func (n *node) displayAll(ids []string, full bool) any {
	if len(ids) == 0 {
		return nil
	}
	var names []string
	for _, id := range ids {
		names = append(names, n.c.display(id, full))
	}
	return names
}

// qsetObject is a quorum set as in answers: inner sets come after the validators.
func (n *node) qsetObject(q quorumSet, full bool) object {
	var members []any
	for _, id := range q.Validators {
		members = append(members, n.c.display(id, full))
	}
	for _, inner := range q.Inner {
		members = append(members, n.qsetObject(inner, full))
	}
	return object{"t": q.Threshold, "v": members}
}

// quorumAnswer answers `/quorum`, with `transitive=true` also with what is known about each node of the quorum.
func (n *node) quorumAnswer(q query) string {
	if name, given := q.get("node"); given {
		if _, known := n.c.resolve(name); !known {
			return `{"exception": "unknown name"}`
		}
	}
	if !q.is("transitive") {
		return styled(n.quorumSummary(true))
	}
	full := q.is("fullkeys")
	own := n.c.quorum.members()
	if !slices.Contains(own, n.c.id) {
		own = append(own, n.c.id)
	}
	var nodes []object
	for _, id := range own {
		line := object{"node": n.c.display(id, full), "distance": 1, "status": "missing"}
		if id == n.c.id {
			line["distance"] = 0
		}
		if one := n.statements[id]; one != nil {
			line["qset"], line["heard"], line["status"] = n.qsetObject(one.QSet, full), one.LCL.Seq, "tracking"
			line["value_id"] = 1
			line["value"] = fmt.Sprintf("[ SIGNED@%s txH: %.6s, ct: %d, upgrades: [ ] ]", n.c.display(id, false), one.LCL.Hash,
				one.LCL.Close/1000)
		}
		nodes = append(nodes, line)
	}
	answer := object{"nodes": nodes, "maybe_dead_nodes": []string{}}
	for key, value := range n.quorumSummary(false)["transitive"].(object) {
		answer[key] = value
	}
	return styled(answer)
}

func (n *node) connectAnswer(q query) string {
	host, hasHost := q.get("peer")
	port, hasPort := q.get("port")
	if !hasHost || !hasPort {
		return "Must specify a peer and port: connect&peer=PEER&port=PORT"
	}
	if err := n.connect(host + ":" + port); err != nil {
		return fmt.Sprintf(`{"exception": "%v"}`, err)
	}
	return "Connect to: " + host + ":" + port
}

func (n *node) dropAnswer(q query) string {
	name, given := q.get("node")
	if !given {
		return "Must specify at least peer id: droppeer?node=NODE_ID"
	}
	id, _ := n.c.resolve(name)
	p := n.peers[id]
	if p == nil {
		return "Peer " + name + " not found"
	}
	p.send(message{Error: "dropped by user"})
	delete(n.peers, id)
	time.AfterFunc(n.after(0.2), func() { p.conn.Close() })
	if ban, _ := q.get("ban"); ban == "1" {
		n.banned[id] = true
		return "Drop and ban peer: " + name
	}
	return "Drop peer: " + name
}

// metrics answers `/metrics`, with a few of them.
func (n *node) metrics() string {
	counts := []struct {
		name  string
		count int
	}{
		{"ledger.ledger.num", int(n.s.LCL.Seq)},
		{"overlay.connection.authenticated", len(n.peers)},
		{"overlay.connection.pending", len(n.pending)},
	}
	host := "stand-in"
	var out strings.Builder
	fmt.Fprintf(&out, "{\n\"ts\":\"%s\",\n\"uname\":\"%s\",\n\"metrics\":{\n", time.Now().UTC().Format("2006-01-02T15:04:05Z"), host)
	for i, one := range counts {
		if i > 0 {
			out.WriteByte(',')
		}
		fmt.Fprintf(&out, "\"%s\":{\n\"type\":\"counter\",\n\"count\":%d\n}\n", one.name, one.count)
	}
	out.WriteString("}\n}\n")
	return out.String()
}
