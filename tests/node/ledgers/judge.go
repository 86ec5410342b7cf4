package main

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A process that ends reports it, or goes silent, before it is gone. One that goes silent on a busy machine and then
// still votes has missed nothing.
const silence = 10.0

var endings = []string{"Stopping", "silent"}

type verdict struct {
	first, last int
	gap         float64
	faults      []string
}

func (v verdict) String() string {
	said := fmt.Sprintf("ledgers %d to %d, longest gap %.1f s", v.first, v.last, v.gap)
	for _, fault := range v.faults {
		said += "\n" + fault
	}
	return said
}

// What is known about one process.
type life struct {
	pod, state string
	first      int
	voted      bool
	changed    float64
}

// excused tells whether a failure until now is excused by what follows.
func (l *life) excused(state string, at float64) bool {
	return at-l.changed <= silence && (state == "gone" && slices.Contains(endings, l.state) || state == "Synced!" && l.state == "silent")
}

// judge returns the longest time between two ledgers since a given moment, and each stellar-core that stopped voting
// without ending.
//
// The network's ledger is the highest that any process has closed. A process counts as voting once it has closed a
// ledger with the others: what it reports at its start can be wrong. From then on it must report Synced! until it is
// stopped.
func judge(record io.Reader, since, now float64, except []string) verdict {
	var result verdict
	lives := map[string]*life{}
	highest, closed := 0, 0.0
	scanner := bufio.NewScanner(record)
	for scanner.Scan() {
		var at float64
		var pod, process, ledger, state string
		if n, _ := fmt.Sscan(scanner.Text(), &at, &pod, &process, &ledger, &state); n != 5 {
			continue
		}
		var number int
		if n, _ := fmt.Sscan(ledger, &number); n == 1 && number > highest {
			if at >= since {
				if result.first == 0 {
					result.first = number
				}
				result.last = number
				if closed > 0 {
					result.gap = max(result.gap, at-closed)
				}
			}
			highest, closed = number, at
		}
		if slices.Contains(except, strings.TrimSuffix(pod, "-0")) {
			continue
		}
		one := lives[process]
		if one == nil {
			one = &life{pod: pod}
			lives[process] = one
		}
		if one.first == 0 {
			one.first = number
		}
		if one.state != state && !(slices.Contains(endings, one.state) && slices.Contains(endings, state)) {
			if one.voted && one.state != "Synced!" && one.changed >= since && !one.excused(state, at) {
				result.faults = append(result.faults, fmt.Sprintf("%s was %s for %.1f s", pod, one.state, at-one.changed))
			}
			one.state, one.changed = state, at
		}
		one.voted = one.voted || (state == "Synced!" && number > one.first && number == highest)
	}
	for _, one := range lives {
		ending := slices.Contains(endings, one.state) && now-one.changed <= silence
		if one.voted && one.state != "Synced!" && one.state != "gone" && !ending && one.changed >= since {
			result.faults = append(result.faults, fmt.Sprintf("%s is %s", one.pod, one.state))
		}
	}
	slices.Sort(result.faults)
	if closed > 0 {
		result.gap = max(result.gap, now-closed)
	}
	if result.last == 0 {
		result.faults = append(result.faults, "no ledger was closed")
	}
	return result
}
