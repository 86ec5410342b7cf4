package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// invariants are those of a node without a metadata stream.
var invariants = []string{
	"AccountSubEntriesCountIsValid", "ArchivedStateConsistency", "BucketListIsConsistentWithDatabase", "BucketListStateConsistency",
	"ConservationOfLumens", "ConstantProductInvariant", "LedgerEntryIsValid", "LiabilitiesMatchOffers", "SponsorshipCountIsValid",
}

// largestTransaction is the size that flow control must leave room for (MAX_CLASSIC_TX_SIZE_BYTES).
const largestTransaction = 100 * 1024

// further checks the rules that concern several keys.
func (c *config) further() error {
	batch, flood := c.number("FLOW_CONTROL_SEND_MORE_BATCH_SIZE", 40), c.number("PEER_FLOOD_READING_CAPACITY", 200)
	switch {
	case batch > flood:
		return errors.New("Invalid configuration: FLOW_CONTROL_SEND_MORE_BATCH_SIZE can't be greater than " +
			"PEER_FLOOD_READING_CAPACITY")
	case c.number("PEER_READING_CAPACITY", 201) <= flood:
		return errors.New("Invalid configuration: PEER_READING_CAPACITY must be greater than PEER_FLOOD_READING_CAPACITY")
	case c.flag("INVARIANT_EXTRA_CHECKS", false) && c.validator:
		return errors.New("Invalid configuration: INVARIANT_EXTRA_CHECKS cannot be enabled on a validator node " +
			"(NODE_IS_VALIDATOR=true)")
	case c.flag("BACKFILL_STELLAR_ASSET_EVENTS", false) && !c.flag("EMIT_CLASSIC_EVENTS", false):
		return errors.New("Invalid configuration: BACKFILL_STELLAR_ASSET_EVENTS requires EMIT_CLASSIC_EVENTS to be enabled")
	}
	return nil
}

// checkApplication checks the rules that stellar-core applies when it sets itself up, for every command.
func (c *config) checkApplication() error {
	networked := c.validator && !c.standalone
	refused := func(key string) error {
		return fmt.Errorf("%s is set, NODE_IS_VALIDATOR is set, and RUN_STANDALONE is not set", key)
	}
	page := c.number("BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT", 14)
	switch {
	case c.passphrase == "":
		return errors.New("NETWORK_PASSPHRASE not configured")
	case networked && c.flag("ENABLE_SOROBAN_DIAGNOSTIC_EVENTS", false):
		return refused("ENABLE_SOROBAN_DIAGNOSTIC_EVENTS")
	case networked && c.text("METADATA_OUTPUT_STREAM", "") != "":
		return refused("METADATA_OUTPUT_STREAM")
	case networked && c.number("HTTP_QUERY_PORT", 0) != 0:
		return refused("HTTP_QUERY_PORT")
	case page != 0 && page < 8:
		return errors.New("BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT must be at least 8 or set to 0 for individual entry indexing")
	case page > 31:
		return errors.New("BUCKETLIST_DB_INDEX_PAGE_SIZE_EXPONENT must be less than 32")
	}
	return c.checkInvariants()
}

// checkInvariants checks that the patterns of INVARIANT_CHECKS match something.
func (c *config) checkInvariants() error {
	for _, pattern := range c.texts("INVARIANT_CHECKS") {
		if pattern == "" {
			return errors.New("Invariant pattern must be non empty")
		}
		if strings.Contains(pattern, "(?!") || strings.Contains(pattern, "(?=") {
			// stellar-core's expressions look ahead, and so do its examples; Go's cannot.
			continue
		}
		compiled, err := regexp.Compile("(?i)^(?:" + pattern + ")$")
		if err != nil {
			return fmt.Errorf("Invalid invariant pattern '%s': %v", pattern, err)
		}
		matched := false
		for _, name := range invariants {
			matched = matched || compiled.MatchString(name)
		}
		if !matched {
			return fmt.Errorf("Invariant pattern '%s' did not match any invariants.", pattern)
		}
	}
	return nil
}

// checkStart checks the rules that only `run` reaches.
func (c *config) checkStart() error {
	flood, batch := c.number("PEER_FLOOD_READING_CAPACITY_BYTES", 0), c.number("FLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES", 0)
	if (flood != 0 || batch != 0) && flood-batch < largestTransaction {
		return fmt.Errorf("Invalid configuration: the difference between PEER_FLOOD_READING_CAPACITY_BYTES (%d) and "+
			"FLOW_CONTROL_SEND_MORE_BATCH_SIZE_BYTES (%d) must be at least %d bytes", flood, batch, largestTransaction)
	}
	return nil
}
