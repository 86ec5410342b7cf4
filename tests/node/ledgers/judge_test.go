package main

import (
	"slices"
	"strings"
	"testing"
)

const two = `
0.0 a-0 1 5 Synced!
0.0 b-0 2 5 Synced!
5.0 a-0 1 6 Synced!
5.1 b-0 2 6 Synced!
11.0 a-0 1 7 Synced!
11.2 b-0 2 7 Synced!
`

func faults(t *testing.T, record string, since float64, except ...string) []string {
	t.Helper()
	return judge(strings.NewReader(record), since, 12, except).faults
}

func TestTheLongestTimeBetweenTwoLedgersOfTheNetwork(t *testing.T) {
	for _, one := range []struct{ since, now, gap float64 }{{0, 12, 6}, {6, 12, 6}, {0, 30, 19}} {
		if got := judge(strings.NewReader(two), one.since, one.now, nil); got.gap != one.gap || len(got.faults) > 0 {
			t.Errorf("since %v, now %v: %v", one.since, one.now, got)
		}
	}
	if got := judge(strings.NewReader(two), 11.5, 12, nil).faults; !slices.Equal(got, []string{"no ledger was closed"}) {
		t.Error(got)
	}
}

func TestWhoVotedAndGoesOnMustVote(t *testing.T) {
	left := two + "8.0 b-0 2 6 Catching_up\n"
	if got := faults(t, left, 0); !slices.Equal(got, []string{"b-0 is Catching_up"}) {
		t.Error(got)
	}
	if got := faults(t, left+"9.5 b-0 2 7 Synced!\n", 0); !slices.Equal(got, []string{"b-0 was Catching_up for 1.5 s"}) {
		t.Error(got)
	}
	if got := faults(t, left, 0, "b"); len(got) > 0 {
		t.Error("an exception:", got)
	}
	if got := faults(t, left, 8.5); len(got) > 0 {
		t.Error("it was before:", got)
	}
}

func TestWhoEndsMayBeSilentBefore(t *testing.T) {
	stopped := two + "8.0 b-0 2 7 Stopping\n8.4 b-0 2 - silent\n9.0 b-0 2 - gone\n9.5 b-0 3 - booting\n10.0 b-0 3 6 Joining_SCP\n"
	if got := faults(t, stopped, 0); len(got) > 0 {
		t.Error(got)
	}
	busy := two + "11.3 b-0 2 - silent\n13.0 b-0 2 7 Synced!\n"
	if got := faults(t, busy, 0); len(got) > 0 {
		t.Error(got)
	}
	hung := two + "11.3 b-0 2 - silent\n29.0 b-0 2 7 Synced!\n"
	if got := faults(t, hung, 0); !slices.Equal(got, []string{"b-0 was silent for 17.7 s"}) {
		t.Error(got)
	}
}

func TestWhoIsEndingAtTheEndOfTheRecordIsGivenTheTimeToEnd(t *testing.T) {
	for state, allowed := range map[string]bool{"7 Stopping": true, "- silent": true, "7 Catching_up": false} {
		record := two + "11.5 b-0 2 " + state + "\n"
		if got := judge(strings.NewReader(record), 0, 14, nil).faults; (len(got) == 0) != allowed {
			t.Error(state, got)
		}
		if got := judge(strings.NewReader(record), 0, 22, nil).faults; len(got) != 1 {
			t.Error(state, "for long:", got)
		}
	}
}

func TestWhatOneSaysAtItsStartCanBeWrong(t *testing.T) {
	returned := two + "11.4 c-0 3 3 Synced!\n11.6 c-0 3 3 Catching_up\n"
	if got := faults(t, returned, 0); len(got) > 0 {
		t.Error(got)
	}
	back := returned + "11.8 c-0 3 7 Synced!\n11.9 c-0 3 7 Joining_SCP\n"
	if got := faults(t, back, 0); !slices.Equal(got, []string{"c-0 is Joining_SCP"}) {
		t.Error(got)
	}
}
