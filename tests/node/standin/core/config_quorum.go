package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// qualities in their order. A validator of one of the last two needs an archive, and two more in its home domain.
var qualities = []string{"LOW", "MEDIUM", "HIGH", "CRITICAL"}

const high, critical = 2, 3

// entry is one of [[VALIDATORS]].
type entry struct {
	name, key, domain string
	quality           int
	history           bool
}

// loadQuorum reads QUORUM_SET, or generates one from [[HOME_DOMAINS]] and [[VALIDATORS]], and checks FAILURE_SAFETY.
func (c *config) loadQuorum() error {
	domains, err := c.homeDomains()
	if err != nil {
		return err
	}
	entries, err := c.validators(domains)
	if err != nil {
		return err
	}
	given, hasSet := c.table["QUORUM_SET"]
	if c.validator && !(len(entries) == 0 && hasSet) {
		if c.homeDomain == "" {
			return errors.New("NODE_HOME_DOMAIN must be set")
		}
		quality, known := domains[c.homeDomain]
		if !known {
			return fmt.Errorf("Validator configured with NODE_HOME_DOMAIN='%s' but there is no matching HOME_DOMAINS", c.homeDomain)
		}
		entries = append(entries, entry{name: "self", key: c.id, domain: c.homeDomain, quality: quality})
	}
	generated, err := c.generate(entries)
	if err != nil {
		return err
	}
	threshold := byzantine
	if hasSet {
		table, ok := given.(map[string]any)
		if !ok {
			return errors.New("invalid entry in quorum set definition")
		}
		if c.quorum, err = c.quorumSet(table, 0); err != nil {
			return err
		}
		if len(entries) > 0 && !c.unsafe && c.quorum.simplified().hash() != generated.hash() {
			failure("default", "Can't override [[VALIDATORS]] with QUORUM_SET unless you also set UNSAFE_QUORUM=true. "+
				"Be sure you know what you are doing!")
			return errors.New("SCP unsafe")
		}
	} else {
		c.quorum = generated
		if err := c.archivesBlock(entries); err != nil {
			return err
		}
		distinct := map[string]bool{}
		for _, one := range entries {
			distinct[one.domain] = true
		}
		if len(distinct) <= 1 && len(c.quorum.Inner) == 0 {
			threshold = majority
		}
	}
	return c.failures(threshold)
}

// homeDomains reads [[HOME_DOMAINS]]: the quality of each.
func (c *config) homeDomains() (map[string]int, error) {
	result := map[string]int{}
	raw, given := c.table["HOME_DOMAINS"]
	if !given {
		return result, nil
	}
	tables, ok := raw.([]map[string]any)
	if !ok {
		return nil, errors.New("malformed HOME_DOMAINS")
	}
	for _, table := range tables {
		domain, quality := "", -1
		for _, field := range sortedKeys(table) {
			text, isText := table[field].(string)
			switch {
			case field != "HOME_DOMAIN" && field != "QUALITY":
				return nil, fmt.Errorf("Unknown field '%s' in HOME_DOMAINS", field)
			case !isText:
				return nil, fmt.Errorf("invalid '%s'", field)
			case field == "HOME_DOMAIN":
				domain = text
			default:
				if quality = slices.Index(qualities, text); quality < 0 {
					return nil, fmt.Errorf("Unknown QUALITY '%s'", text)
				}
			}
		}
		if domain == "" || quality < 0 {
			return nil, fmt.Errorf("Malformed HOME_DOMAINS '%s'", domain)
		}
		if _, twice := result[domain]; twice {
			return nil, fmt.Errorf("Malformed HOME_DOMAINS: duplicate '%s'", domain)
		}
		result[domain] = quality
	}
	return result, nil
}

// validators reads [[VALIDATORS]], with their archives and addresses.
func (c *config) validators(domains map[string]int) ([]entry, error) {
	raw, given := c.table["VALIDATORS"]
	if !given {
		return nil, nil
	}
	tables, ok := raw.([]map[string]any)
	if !ok {
		return nil, errors.New("malformed VALIDATORS")
	}
	var result []entry
	for _, table := range tables {
		text := map[string]string{}
		for _, field := range sortedKeys(table) {
			if !slices.Contains([]string{"NAME", "HOME_DOMAIN", "QUALITY", "PUBLIC_KEY", "ADDRESS", "HISTORY"}, field) {
				return nil, fmt.Errorf("malformed VALIDATORS entry, unknown element '%s'", field)
			}
			if text[field], ok = table[field].(string); !ok {
				return nil, fmt.Errorf("invalid '%s'", field)
			}
		}
		one := entry{name: text["NAME"], key: text["PUBLIC_KEY"], domain: text["HOME_DOMAIN"], history: text["HISTORY"] != ""}
		if one.name == "" {
			return nil, errors.New("malformed VALIDATORS entry: missing 'NAME'")
		}
		if one.key == "" || one.domain == "" {
			return nil, fmt.Errorf("malformed VALIDATORS entry '%s'", one.name)
		}
		quality, ofDomain := domains[one.domain]
		switch {
		case ofDomain && text["QUALITY"] != "":
			return nil, fmt.Errorf("malformed VALIDATORS entry '%s': quality already defined in home domain '%s'", one.name, one.domain)
		case ofDomain:
			one.quality = quality
		case text["QUALITY"] == "":
			return nil, fmt.Errorf("malformed VALIDATORS entry '%s' (missing quality)", one.name)
		default:
			if one.quality = slices.Index(qualities, text["QUALITY"]); one.quality < 0 {
				return nil, fmt.Errorf("Unknown QUALITY '%s'", text["QUALITY"])
			}
		}
		if err := c.name(one.key, one.name); err != nil {
			return nil, err
		}
		if _, err := decodeKey(accountByte, one.key); err != nil {
			return nil, fmt.Errorf("bad public key: %s", one.key)
		}
		if one.history {
			if err := c.addArchive(archive{name: one.name, get: text["HISTORY"]}); err != nil {
				return nil, err
			}
		} else if one.quality >= high && !c.unsafe {
			return nil, fmt.Errorf("malformed VALIDATORS entry '%s' (critical and high quality must have an archive)", one.name)
		}
		if address := text["ADDRESS"]; address != "" && c.homeDomain == one.domain {
			c.preferred = append(c.preferred, address)
		} else if address != "" {
			c.knownPeers = append(c.knownPeers, address)
		}
		result = append(result, one)
	}
	return result, nil
}

// generate makes a quorum set of validators: one level per quality, each trusting all lower ones as one member.
func (c *config) generate(entries []entry) (quorumSet, error) {
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b entry) int {
		return cmp.Or(cmp.Compare(b.quality, a.quality), strings.Compare(a.domain, b.domain))
	})
	level, err := c.generateLevel(sorted, critical)
	return level.simplified(), err
}

func (c *config) generateLevel(entries []entry, quality int) (quorumSet, error) {
	var result quorumSet
	i := 0
	for i < len(entries) && entries[i].quality == quality {
		domain := quorumSet{}
		first := entries[i]
		for ; i < len(entries) && entries[i].domain == first.domain && entries[i].quality == quality; i++ {
			domain.Validators = append(domain.Validators, entries[i].key)
		}
		if quality >= high && len(domain.Validators) < 3 && !c.unsafe {
			return result, fmt.Errorf("Critical and High quality validators for '%s' must have redundancy of at least 3", first.domain)
		}
		domain.Threshold = majority(len(domain.Validators))
		result.Inner = append(result.Inner, domain)
	}
	if i < len(entries) {
		lower, err := c.generateLevel(entries[i:], entries[i].quality)
		if err != nil {
			return result, err
		}
		result.Inner = append(result.Inner, lower)
	}
	if n := len(result.Inner); n > 0 && quality == critical {
		result.Threshold = n
	} else if n > 0 {
		result.Threshold = byzantine(n)
	}
	return result, nil
}

// quorumSet reads a table of QUORUM_SET.
func (c *config) quorumSet(table map[string]any, depth int) (quorumSet, error) {
	var result quorumSet
	if depth > maxNesting {
		return result, errors.New("too many levels in quorum set")
	}
	percent := int64(67)
	for _, key := range sortedKeys(table) {
		switch key {
		case "THRESHOLD_PERCENT":
			value, ok := table[key].(int64)
			if !ok || value <= 0 || value > 100 {
				return result, errors.New("invalid THRESHOLD_PERCENT")
			}
			percent = value
		case "VALIDATORS":
			items, ok := table[key].([]any)
			if !ok {
				return result, errors.New("'VALIDATORS' must be an array")
			}
			for _, item := range items {
				text, ok := item.(string)
				if !ok {
					return result, errors.New("invalid element of 'VALIDATORS'")
				}
				node, err := c.nodeID(text)
				if err != nil {
					return result, err
				}
				result.Validators = append(result.Validators, node)
			}
		default:
			inner, ok := table[key].(map[string]any)
			if !ok {
				return result, fmt.Errorf("invalid quorum set, should be a group while parsing '%s'", key)
			}
			set, err := c.quorumSet(inner, depth+1)
			if err != nil {
				return result, fmt.Errorf("%w while parsing '%s'", err, key)
			}
			result.Inner = append(result.Inner, set)
		}
	}
	if result.size() == 0 {
		return result, errors.New("invalid quorum set definition")
	}
	result.Threshold = 1 + (result.size()*int(percent)-1)/100
	return result, nil
}

// archivesBlock checks that each quorum of a generated set contains validators with archives.
func (c *config) archivesBlock(entries []entry) error {
	with := map[string]bool{}
	for _, one := range entries {
		if one.history {
			with[one.key] = true
		}
	}
	if c.quorum.size() == 0 || !c.quorum.satisfied(func(key string) bool { return !with[key] }) {
		return nil
	}
	warning("default", "Quorum can be reached without validators with an archive")
	if c.unsafe {
		return nil
	}
	failure("default", "Potentially unsafe configuration: validators with known archives should be included in all quorums. "+
		"If this is really what you want, set UNSAFE_QUORUM=true. Be sure you know what you are doing!")
	return errors.New("SCP unsafe")
}

// failures checks FAILURE_SAFETY and the minimum thresholds (`validateConfig`).
func (c *config) failures(threshold func(int) int) error {
	if c.quorum.size() == 0 {
		return errors.New("no validators defined in VALIDATORS/QUORUM_SET")
	}
	breaks := c.quorum.blocking(func(string) bool { return true })
	least := threshold(c.quorum.size())
	if c.failureSafety == -1 {
		c.failureSafety = int64(c.quorum.size() - least)
		info("default", "Assigning calculated value of %d to FAILURE_SAFETY", c.failureSafety)
	}
	problem := ""
	switch {
	case c.failureSafety >= int64(breaks):
		failure("default", "Not enough nodes / thresholds too strict in your Quorum set to ensure your desired level of "+
			"FAILURE_SAFETY. Reduce FAILURE_SAFETY or fix quorum set")
		problem = "FAILURE_SAFETY incompatible with QUORUM_SET"
	case !c.unsafe && c.failureSafety == 0:
		failure("default", "Can't have FAILURE_SAFETY=0 unless you also set UNSAFE_QUORUM=true. Be sure you know what you are doing!")
		problem = "SCP unsafe"
	case !c.unsafe && c.quorum.Threshold < least:
		failure("default", "Your THRESHOLD_PERCENTAGE is too low. If you really want this set UNSAFE_QUORUM=true. "+
			"Be sure you know what you are doing!")
		problem = "SCP unsafe"
	}
	if problem != "" {
		info("default", " Current QUORUM_SET breaks with %d failures", breaks)
		return errors.New(problem)
	}
	if err := c.quorum.sane(!c.unsafe); err != nil {
		fatal("default", "Invalid QUORUM_SET: %v", err)
		return errors.New("Invalid QUORUM_SET")
	}
	return nil
}
