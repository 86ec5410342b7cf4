package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
)

// quorumSet is the quorum set of a node: a threshold over validators and inner sets.
type quorumSet struct {
	Threshold  int         `json:"t"`
	Validators []string    `json:"v,omitempty"`
	Inner      []quorumSet `json:"i,omitempty"`
}

// maxNesting is the maximum depth of a quorum set (MAXIMUM_QUORUM_NESTING_LEVEL).
const maxNesting = 4

// satisfied tells whether those for which `in` holds reach the threshold.
func (q quorumSet) satisfied(in func(string) bool) bool {
	count := 0
	for _, validator := range q.Validators {
		if in(validator) {
			count++
		}
	}
	for _, inner := range q.Inner {
		if inner.satisfied(in) {
			count++
		}
	}
	return count >= q.Threshold
}

// size is the number of members at the top.
func (q quorumSet) size() int { return len(q.Validators) + len(q.Inner) }

// members returns all validators in it, sorted.
func (q quorumSet) members() []string {
	all := slices.Clone(q.Validators)
	for _, inner := range q.Inner {
		all = append(all, inner.members()...)
	}
	slices.Sort(all)
	return all
}

// blocking returns the smallest number of present members whose silence leaves the set unsatisfied; 0 if it already is.
func (q quorumSet) blocking(in func(string) bool) int {
	left := 1 + q.size() - q.Threshold
	var costs []int
	for _, validator := range q.Validators {
		if in(validator) {
			costs = append(costs, 1)
		} else {
			left--
		}
	}
	for _, inner := range q.Inner {
		if cost := inner.blocking(in); cost > 0 {
			costs = append(costs, cost)
		} else {
			left--
		}
	}
	if left <= 0 {
		return 0
	}
	slices.Sort(costs)
	total := 0
	for _, cost := range costs[:min(left, len(costs))] {
		total += cost
	}
	return total
}

// sane tells whether SCP accepts it; `strict` without UNSAFE_QUORUM.
func (q quorumSet) sane(strict bool) error {
	members := q.members()
	if len(slices.Compact(slices.Clone(members))) != len(members) {
		return errors.New("duplicate node found in quorum configuration")
	}
	return q.saneLevel(strict, 0)
}

func (q quorumSet) saneLevel(strict bool, depth int) error {
	switch {
	case depth > maxNesting:
		return errors.New("maximum quorum nesting level exceeded")
	case q.Threshold < 1:
		return errors.New("the threshold for a quorum must equal at least 1")
	case q.Threshold > q.size():
		return errors.New("the threshold for a quorum exceeds total number of entries")
	case strict && q.Threshold < 1+q.size()-q.Threshold:
		return errors.New("the threshold for a quorum is too low: it is smaller than what blocks it")
	}
	for _, inner := range q.Inner {
		if err := inner.saneLevel(strict, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// simplified replaces each inner set of a single validator by that validator.
func (q quorumSet) simplified() quorumSet {
	result := quorumSet{Threshold: q.Threshold, Validators: slices.Clone(q.Validators)}
	for _, inner := range q.Inner {
		inner = inner.simplified()
		if inner.Threshold == 1 && len(inner.Validators) == 1 && len(inner.Inner) == 0 {
			result.Validators = append(result.Validators, inner.Validators[0])
		} else {
			result.Inner = append(result.Inner, inner)
		}
	}
	if result.Threshold == 1 && len(result.Validators) == 0 && len(result.Inner) == 1 {
		return result.Inner[0]
	}
	slices.Sort(result.Validators)
	return result
}

// hash is the short form in answers.
func (q quorumSet) hash() string {
	text, _ := json.Marshal(q)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// byzantine and majority are the thresholds of n = 3f + 1 and n = 2f + 1.
func byzantine(n int) int { return n - (n-1)/3 }
func majority(n int) int  { return n - (n-1)/2 }
