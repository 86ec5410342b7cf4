package main

import (
	_ "embed"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// keysTable is a copy of the product's table of stellar-core's config keys; `TestKeysAreTheProducts` keeps it equal.
//
//go:embed keys.tsv
var keysTable string

// keyRule is how one version of stellar-core reads a key.
type keyRule struct {
	kind     string
	min, max float64
}

// keysOf returns the keys that the release build of a version knows.
func keysOf(version string) (map[string]keyRule, error) {
	rules := map[string]keyRule{}
	for line := range strings.Lines(keysTable) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != 7 {
			return nil, fmt.Errorf("the table of keys has a line of %d fields: %s", len(fields), line)
		}
		key, kind, since, gone, tests := fields[0], fields[1], fields[4], fields[5], fields[6]
		if tests == "tests" || older(version, since) || gone != "-" && !older(version, gone) {
			continue
		}
		rules[key] = keyRule{kind, bound(fields[2], -math.MaxFloat64), bound(fields[3], math.MaxFloat64)}
	}
	return rules, nil
}

func bound(text string, otherwise float64) float64 {
	if number, err := strconv.ParseFloat(text, 64); err == nil {
		return number
	}
	return otherwise
}

// older tells whether version a came before b.
func older(a, b string) bool {
	left, right := strings.Split(a, "."), strings.Split(b, ".")
	for i := range 3 {
		var x, y int
		if i < len(left) {
			x, _ = strconv.Atoi(left[i])
		}
		if i < len(right) {
			y, _ = strconv.Atoi(right[i])
		}
		if x != y {
			return x < y
		}
	}
	return false
}

// check returns what is wrong with a key's value.
func (rule keyRule) check(key string, value any) error {
	switch rule.kind {
	case "bool":
		if _, ok := value.(bool); !ok {
			return fmt.Errorf("invalid '%s'", key)
		}
	case "int":
		return rule.number(key, value)
	case "double":
		number, ok := value.(float64)
		if !ok {
			return fmt.Errorf("invalid '%s'", key)
		}
		if number <= rule.min || number > rule.max {
			return fmt.Errorf("bad value for %s", key)
		}
	case "string":
		if _, ok := value.(string); !ok {
			return fmt.Errorf("invalid '%s'", key)
		}
	case "strings", "operations", "ints":
		items, ok := value.([]any)
		if !ok {
			return fmt.Errorf("'%s' must be an array", key)
		}
		for _, item := range items {
			if rule.kind == "ints" {
				if err := rule.number(key, item); err != nil {
					return err
				}
			} else if _, ok := item.(string); !ok {
				return fmt.Errorf("invalid element of '%s'", key)
			}
		}
	}
	return nil
}

func (rule keyRule) number(key string, value any) error {
	number, ok := value.(int64)
	if !ok {
		return fmt.Errorf("invalid '%s'", key)
	}
	if float64(number) < rule.min || float64(number) > rule.max {
		return fmt.Errorf("bad '%s'", key)
	}
	return nil
}
