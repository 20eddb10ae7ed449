package main

import (
	"fmt"

	"github.com/quorate/quorate/mutant"
)

// proof is how a mutant is found: by exactly one of a scenario, seeds and a
// test.
type proof struct {
	mutant   mutant.Mutant
	scenario string // of e2e/sim, played with seeds from 1 on
	seeds    bool   // of the simulator, from 1 on
	pkg      string // whose test it is
	test     string
}

// maxTries is how many seeds may pass before a mutant counts as not found.
const maxTries = 30

// proofs has one for each mutant.
//
//nolint:gochecknoglobals // a table
var proofs = []proof{
	{mutant: mutant.NoLogSync, seeds: true},
	{mutant: mutant.AckBeforeCommit, scenario: "lonely leader"},
	{mutant: mutant.EarlySequence, seeds: true},
	{mutant: mutant.SnapshotWithoutTokens, scenario: "install"},
	{mutant: mutant.TokensExpireEarly, seeds: true},
	{mutant: mutant.UnverifiedRead, scenario: "deposed leader"},
	{mutant: mutant.NoBarrier, scenario: "young leader"},
	{mutant: mutant.TwoWriteVote, pkg: "raftlog", test: "TestVoteCutBetweenItsValues"},
	{mutant: mutant.AcceptOldSnapshot, pkg: "raftnet", test: "TestFollowerNeverGoesBack"},
	{mutant: mutant.SeparateIndex, seeds: true},
	{mutant: mutant.CursorGoesBack, seeds: true},
	{mutant: mutant.CheckAtEdgeOnly, seeds: true},
	{mutant: mutant.RecallLeavesMessage, seeds: true},
	{mutant: mutant.DropWithoutResync, scenario: "slow reader"},
	{mutant: mutant.TruncateBeforeFlush, seeds: true},
	{mutant: mutant.CommitUnmatched, pkg: "raftnet", test: "TestCommitsOnlyWhatMatched"},
	{mutant: mutant.StaleCaches, scenario: "install"},
	{mutant: mutant.LateInterest, scenario: "late interest"},
	{mutant: mutant.NoCatchUp, scenario: "lost stream"},
	{mutant: mutant.AckBeforeDelivery, scenario: "outbox"},
	{mutant: mutant.EarlyFollower, scenario: "lagging edge"},
	{mutant: mutant.FreshRetry, seeds: true},
	{mutant: mutant.OwnUnique, scenario: "unique"},
}

// tries is how often a proof may be tried: a test is not left to chance.
func (p *proof) tries() int {
	if p.test != "" {
		return 1
	}
	return maxTries
}

// what says how a proof finds its mutant, with the seed that it came to.
func (p *proof) what(seed int) string {
	switch {
	case p.test != "":
		return fmt.Sprintf("%s, %s", p.pkg, p.test)
	case p.scenario != "":
		return fmt.Sprintf("scenario %q, seed %d", p.scenario, seed)
	default:
		return fmt.Sprintf("simulator, seed %d", seed)
	}
}
